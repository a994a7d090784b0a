"""A release, step by step, in a copy of the clone; the clone itself changes at the end, if at all."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.version import Version

from tools.release import changelog, git, installation, versions
from tools.release.artifacts import make, require_empty
from tools.release.git import git as run_git
from tools.release.problems import ReleaseError
from tools.release.tag import check_tag


@dataclass(frozen=True)
class Plan:
    """One release of a clone."""

    root: Path
    version: Version
    on: date
    output: Path

    def run(self, *, dry: bool, checked: bool = True) -> None:
        """Do all of it; with ``dry`` without a commit and a tag, and without ``checked`` without `make check`."""
        self._say(f"releasing {self.version} of {self.on}" + (", as a dry run" if dry else ""))
        git.require_ready(self.root)
        versions.require_next(self.version, git.tags(self.root))
        require_empty(self.output)  # and not only after all that takes minutes
        with (
            tempfile.TemporaryDirectory(prefix="failpath-otel-release-") as temporary,
            git.worktree(self.root, Path(temporary, "tree")) as tree,
        ):
            self.write(tree)
            self._say(run_git(tree, "diff", "--stat"))
            for line in installation.doubtful(tree):
                self._say(f"look at {line}")
            if checked:
                self._check(tree)
            make(tree, self.output)
            commit = None if dry else self._commit(tree)
        if commit is None:
            self._say(f"nothing is committed or tagged; what was made is in {self.output}")
        else:
            self._tag(commit)

    def write(self, tree: Path) -> None:
        """Make a tree that of the release: its version, its changelog, how pages say that it is installed."""
        log = tree / changelog.FILE
        log.write_text(changelog.release(log.read_text(encoding="utf-8"), self.version, self.on), encoding="utf-8")
        versions.write(tree, self.version)
        installation.publish(tree)

    def _check(self, tree: Path) -> None:
        # In the environments of the clone, which are up to date, and must not become those of the copy: so what they
        # are made of is as old there as in the clone.
        self._make(self.root, "venv", "venv-release")
        for name in ("pyproject.toml", "tools/release/requirements.txt", "tools/floors.py"):
            shutil.copystat(self.root / name, tree / name)
        self._make(tree, "check", f"VENV={self.root / '.venv'}", f"VENV_RELEASE={self.root / '.venv-release'}")

    def _make(self, where: Path, *arguments: str) -> None:
        if subprocess.run(["make", "--no-print-directory", *arguments], cwd=where, check=False).returncode:
            raise ReleaseError(f"make {arguments[0]} failed")

    def _commit(self, tree: Path) -> str:
        # Without hooks, whose programs are in the clone; what they would check was checked.
        run_git(tree, "commit", "--quiet", "--no-verify", "--all", "--message", f"Release {self.version}")
        return run_git(tree, "rev-parse", "HEAD")

    def _tag(self, commit: str) -> None:
        tag = versions.tag_of(self.version)
        # The tag first: if either fails, as because another release came in between, neither is left.
        run_git(self.root, "tag", "--annotate", "--message", f"failpath-otel {self.version}", tag, commit)
        try:
            run_git(self.root, "merge", "--quiet", "--ff-only", commit)
        except BaseException:
            run_git(self.root, "tag", "--delete", tag)
            raise
        check_tag(self.root, tag)
        self._say(f"committed and tagged {tag}. Look at it, then publish it:")
        self._say(f"  git show {tag}")
        self._say(f"  git push --atomic {git.REMOTE} {git.BRANCH} {tag}")
        self._say(f"or take it back: git tag --delete {tag} && git reset --hard HEAD~1")

    @staticmethod
    def _say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
