"""What a release has in its folder: wheel, sdist, bill of materials, notes, and the hashes of all."""

import sys
from pathlib import Path
from typing import Final

from tools.release import changelog, contents, readme, versions
from tools.release.build import build_twice, digest, epoch
from tools.release.checks import require_sound
from tools.release.problems import ReleaseError
from tools.release.sbom import VENDORED, sbom

SBOM: Final = "sbom.cdx.json"
NOTES: Final = "notes.md"
SUMS: Final = "SHA256SUMS"


def require_empty(to: Path) -> None:
    """Raise unless a folder is empty or not there."""
    if to.exists() and any(to.iterdir()):
        raise ReleaseError(f"{to} is not empty: rm -r {to}")


def make(root: Path, to: Path) -> list[Path]:
    """Make all of it of the files of a tree, in a folder that is empty or not there; return what was made."""
    require_empty(to)
    built = build_twice(root, to)
    require_sound(root, built)
    version = versions.read(root)
    (wheel,) = (contents.of_wheel(path) for path in built if path.suffix == ".whl")
    base = f"{readme.REPOSITORY}/blob/{versions.tag_of(version)}"
    text = (root / changelog.FILE).read_text(encoding="utf-8")
    made = [*built, to / SBOM, to / NOTES]
    (to / SBOM).write_text(sbom(contents.metadata(wheel), wheel[VENDORED], epoch(root)), encoding="utf-8")
    (to / NOTES).write_text(changelog.notes(text, version, base), encoding="utf-8")
    sums = "".join(f"{digest(path)}  {path.name}\n" for path in made)
    (to / SUMS).write_text(sums, encoding="utf-8")
    sys.stdout.write(sums)
    return [*made, to / SUMS]
