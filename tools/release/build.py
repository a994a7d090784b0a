"""Wheel and sdist, with the same bytes wherever and whenever they are built."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from tools.release import changelog, git
from tools.release.problems import ReleaseError

_ZERO: Final = 1580601600
"""2020-02-02, what hatchling takes where nothing else is known."""
_PRIVATE: Final = 0o700
_PRIVATE_UMASK: Final = 0o077
_USUAL_UMASK: Final = 0o022


def epoch(root: Path) -> int:
    """Return the time of all files in what is built: the day of the release, else that of the newest commit.

    The first stands in the tree itself, so that the sdist or another clone builds the same.
    """
    newest = changelog.newest_release((root / changelog.FILE).read_text(encoding="utf-8"))
    if newest is not None and newest.date is not None:
        return int(datetime(newest.date.year, newest.date.month, newest.date.day, tzinfo=timezone.utc).timestamp())
    return git.commit_time(root) if git.is_clone(root) else _ZERO


def build_twice(root: Path, to: Path) -> list[Path]:
    """Build wheel and sdist of the files of a tree into a folder; raise if a second build is not the same.

    The second has another folder, umask, time zone, hash seed, order and age of its files.
    """
    to.mkdir(parents=True, exist_ok=True)
    when = epoch(root)
    with tempfile.TemporaryDirectory(prefix="failpath-otel-build-") as temporary:
        here = Path(temporary)
        first, second = here / "first", here / "elsewhere" / "second"
        git.copy(root, first)
        _copy_otherwise(first, second)
        built = _build(first, here / "built", when, _USUAL_UMASK, TZ="UTC", PYTHONHASHSEED="1")
        again = _build(second, here / "again", when, _PRIVATE_UMASK, TZ="Asia/Kathmandu", PYTHONHASHSEED="2")
        require_same(built, again)
        return [Path(shutil.copy(path, to)) for path in built]


def require_same(built: list[Path], again: list[Path]) -> None:
    """Raise if two builds have files of other names or with other bytes."""
    one, other = ({path.name: digest(path) for path in each} for each in (built, again))
    if one != other:
        names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        raise ReleaseError(f"two builds are not the same: {', '.join(names)}")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _build(source: Path, to: Path, when: int, umask: int, **variables: str) -> list[Path]:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), str(source)]
    environment = os.environ | variables | {"SOURCE_DATE_EPOCH": str(when)}
    done = subprocess.run(
        command, env=environment, cwd=source, umask=umask, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"the build failed:\n{done.stdout}{done.stderr}")
    return sorted(to.iterdir())


def _copy_otherwise(source: Path, to: Path) -> None:
    for age, path in enumerate(sorted(source.rglob("*"), reverse=True)):
        if path.is_file():
            copied = to / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
            copied.chmod(path.stat().st_mode & _PRIVATE)
            os.utime(copied, (_ZERO + age, _ZERO + age))
