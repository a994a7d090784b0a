"""Make a release: check, write the version and the changelog, build, describe, commit and tag. Nothing is pushed.

python -m tools.release 0.2.0 --dry-run   all of it in a copy, in dist/, without a commit or a tag
python -m tools.release 0.2.0             the same, and then the commit and the tag
python -m tools.release --check           the checks of the package that `make check` runs
python -m tools.release --check-tag v0.2.0
python -m tools.release --build dist/     what a release has: wheel, sdist, sbom.cdx.json, notes.md, SHA256SUMS
"""

import argparse
import sys
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Final

from tools.release.artifacts import make
from tools.release.checks import check
from tools.release.git import git, is_clone, require_on_branch
from tools.release.plan import Plan
from tools.release.problems import ReleaseError
from tools.release.tag import check_tag
from tools.release.versions import parse

ROOT: Final = Path(__file__).parents[2]


def main() -> int:
    """Do what the arguments ask for, and return the exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.skip_make_check and not arguments.dry_run:
        parser.error("a release is made with `make check`; --skip-make-check is for --dry-run")
    try:
        _run(arguments)
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    if arguments.check_tag is not None:
        check_tag(ROOT, arguments.check_tag)
        require_on_branch(ROOT)
        sys.stdout.write(f"{arguments.check_tag}: tag, version and changelog agree\n")
    elif arguments.build is not None:
        if is_clone(ROOT) and (changed := git(ROOT, "status", "--porcelain")):
            raise ReleaseError(f"what is built would not be what is committed:\n{changed}")
        make(ROOT, arguments.build)
    elif arguments.check:
        check(ROOT)
    else:
        today = datetime.now(timezone.utc).date()
        plan = Plan(ROOT, parse(arguments.version), arguments.date or today, arguments.output.resolve())
        plan.run(dry=arguments.dry_run, checked=not arguments.skip_make_check)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("version", nargs="?", help="the version to release")
    what.add_argument("--check", action="store_true", help="build the package twice, compare and check it")
    what.add_argument("--check-tag", metavar="TAG", help="fail unless tag, version and changelog agree, on main")
    what.add_argument("--build", metavar="DIRECTORY", type=Path, help="make what a release of this tree has")
    parser.add_argument("--dry-run", action="store_true", help="change nothing but the folder of --output")
    parser.add_argument("--date", type=date.fromisoformat, help="the day of the release; default: today, in UTC")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="DIRECTORY", help="default: dist/")
    parser.add_argument("--skip-make-check", action="store_true", help="with --dry-run: leave out `make check`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
