"""A clone: what it has, whether a release can be made of it, and copies of its files."""

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.release.problems import ReleaseError

BRANCH: Final = "main"
REMOTE: Final = "origin"
_OF_A_REPOSITORY: Final = frozenset({"GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE"})


def git(root: Path, *arguments: str, **variables: str) -> str:
    """Run git in a clone and return what it prints."""
    command = ["git", "-C", str(root), *arguments]
    # In a hook, or under `git rebase --exec`, these name another repository than that of the folder.
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=inherited | variables)
    if done.returncode:
        raise ReleaseError(f"git {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def is_clone(root: Path) -> bool:
    """Return whether git knows this folder as the top of a clone."""
    try:
        return Path(git(root, "rev-parse", "--show-toplevel")).resolve() == root.resolve()
    except (OSError, ReleaseError):
        return False


def require_ready(root: Path) -> None:
    """Raise unless the clone is clean, on its main branch, and has what its remote has."""
    if changed := git(root, "status", "--porcelain"):
        raise ReleaseError(f"the tree is not clean:\n{changed}")
    branch = git(root, "branch", "--show-current")
    if branch != BRANCH:
        raise ReleaseError(f"a release is made on {BRANCH}; this is {branch or 'no branch'}")
    if REMOTE in git(root, "remote").split():
        git(root, "fetch", "--quiet", "--tags", REMOTE, BRANCH)
        if behind := git(root, "rev-list", "--count", "HEAD..FETCH_HEAD").removeprefix("0"):
            raise ReleaseError(f"{BRANCH} is {behind} commits behind {REMOTE}: git pull --ff-only")


def require_on_branch(root: Path) -> None:
    """Raise unless what is checked out is on the main branch of the remote, as far as that is known here."""
    if REMOTE in git(root, "remote").split():
        branch = f"{REMOTE}/{BRANCH}"
        if not git(root, "for-each-ref", "--contains", "HEAD", f"refs/remotes/{branch}"):
            raise ReleaseError(f"what is checked out is not on {branch}: a release is made of what is")


def tags(root: Path) -> list[str]:
    """Return the names of all tags."""
    return git(root, "tag", "--list").split()


def commit_time(root: Path, commit: str = "HEAD") -> int:
    """Return when a commit was made, in seconds since the epoch."""
    return int(git(root, "log", "-1", "--format=%ct", commit))


def files(root: Path) -> list[str]:
    """Return the files of a tree that git knows, as they are now; without git, those that it does not ignore."""
    if not is_clone(root):
        return _files_by_hand(root)
    # Not what is new: tests, which run beside this, write files and delete them.
    return sorted(name for name in git(root, "ls-files", "-z").split("\0") if name and (root / name).is_file())


def copy(root: Path, to: Path) -> None:
    """Copy these files elsewhere."""
    for name in files(root):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, to / name)


@contextmanager
def worktree(root: Path, to: Path, commit: str = "HEAD") -> Iterator[Path]:
    """Check a commit out in another folder, without a branch, while the block runs."""
    git(root, "worktree", "add", "--quiet", "--detach", str(to), commit)
    try:
        yield to
    finally:
        git(root, "worktree", "remove", "--force", str(to))


def _files_by_hand(root: Path) -> list[str]:
    patterns = [".git", *(line.strip().strip("/") for line in (root / ".gitignore").read_text().splitlines() if line)]
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _matches(name, patterns)]
        found += [Path(folder, name).relative_to(root).as_posix() for name in names if not _matches(name, patterns)]
    return sorted(found)


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
