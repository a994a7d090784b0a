"""The directory of one process's journal, and the lock that says that its owner lives."""

import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.journal import directory as directory_module
from failpath_otel.journal.directory import LockedDirectory, UnusableError, list_journals, open_base
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.files.file_system import Folder
from tests.journal.conftest import BINDING

if sys.platform != "win32":
    import fcntl

    from failpath_otel.journal.files import posix

AS_ROOT = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives away")


@pytest.fixture
def opened(base: Path) -> Iterator[Folder]:
    """The journal directory, open."""
    folder = open_base(str(base), create=True)
    yield folder
    folder.close()


def test_a_locked_directory_is_listed_and_cannot_be_locked_again(base: Path, opened: Folder) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    assert list(list_journals(opened)) == [(directory.name, BINDING)]
    assert LockedDirectory.try_lock(opened, directory.name) is None
    directory.close()
    relocked = LockedDirectory.try_lock(opened, directory.name)
    assert relocked is not None
    assert LockedDirectory.try_lock(opened, directory.name) is None
    relocked.remove()
    assert list(base.iterdir()) == []


def test_a_directory_that_is_removed_while_its_lock_is_opened_is_not_locked(
    base: Path, opened: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    directory.close()
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        other = LockedDirectory.try_lock(opened, directory.name)
        assert other is not None
        other.remove()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert LockedDirectory.try_lock(opened, directory.name) is None


def test_a_new_directory_in_the_place_of_the_old_one_is_not_mistaken_for_it(
    base: Path, opened: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    directory.close()
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        (base / directory.name).rename(base / "elsewhere")
        (base / directory.name).mkdir()
        (base / directory.name / "lock").touch()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert LockedDirectory.try_lock(opened, directory.name) is None


def test_what_was_begun_and_never_finished_is_removed_after_a_while(base: Path, opened: Folder) -> None:
    for name, seconds in ((".new-old", 0), (".new-young", None)):
        (base / name).mkdir()
        (base / name / "lock").touch()
        if seconds is not None:
            os.utime(base / name, (seconds, seconds))
    (base / ".new-empty").mkdir()
    os.utime(base / ".new-empty", (0, 0))
    assert list(list_journals(opened)) == []
    assert [path.name for path in base.iterdir()] == [".new-young"]


def test_what_does_not_look_like_a_journal_is_left_alone(base: Path, opened: Folder) -> None:
    for name in ("v3", "v3.a.b", "v4.a.1.b", "notes", "v2.a.b.c.d", "lost+found"):
        (base / name).mkdir()
        os.utime(base / name, (0, 0))
    assert list(list_journals(opened)) == []
    assert len(list(base.iterdir())) == 6


def test_without_locks_there_is_no_journal(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "_HAS_FOLDERS", False)
    with pytest.raises(UnusableError, match="no locks"):
        LockedDirectory.create(str(base), BINDING)
    assert not base.exists()


@AS_ROOT
def test_a_directory_of_another_user_is_refused_and_nothing_stays_open(base: Path) -> None:
    base.mkdir()
    os.chown(base, 12_345, 12_345)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(UnusableError, match="another user"):
            open_base(str(base), create=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_symbolic_link_in_the_place_of_the_lock_is_not_followed(base: Path, opened: Folder) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    directory.close()
    (base / directory.name / "lock").unlink()
    (base / directory.name / "lock").symlink_to("/etc/passwd")
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP here, EMLINK elsewhere
        LockedDirectory.try_lock(opened, directory.name)


def test_a_file_that_is_not_known_stays_with_its_lock_when_the_journal_is_removed(base: Path, opened: Folder) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    (base / directory.name / "00000001.of_another_version").touch()
    directory.remove()
    left = {path.name for path in (base / directory.name).iterdir()}
    assert left == {"00000001.of_another_version", "lock"}
    found = LockedDirectory.try_lock(opened, directory.name)
    assert found is not None, "without its lock, no version would find it again"
    (base / directory.name / "00000001.of_another_version").unlink()
    found.remove()
    assert list(base.iterdir()) == []


@pytest.mark.parametrize("name", ["lock", "00000001.records"])
@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_what_is_no_file_in_the_place_of_one_is_not_opened_and_is_said_once(
    base: Path, name: str, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    directory.close()
    path = base / directory.name / name
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    open_file = os.open

    def watched(file: str, *arguments: int, dir_fd: int | None = None) -> int:
        assert file != name, "to open it may block, or do something"
        return open_file(file, *arguments, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", watched)
        patched.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, watched})
        for _ in range(2):
            for orphan in lock_orphans(str(base), BINDING, lambda *_: None):
                orphan.take(orphan.read(512, 0))
                orphan.close()
    assert os.path.lexists(path)
    [line] = caplog.messages
    assert "no regular file" in line
    assert directory.name in line


def test_a_pipe_that_comes_into_the_place_of_the_lock_at_the_last_moment_does_not_block(
    base: Path, opened: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    directory.close()
    path = base / directory.name / "lock"
    look = os.stat

    def late(name: str, **arguments: Any) -> os.stat_result:
        found = look(name, **arguments)
        monkeypatch.setattr(os, "stat", look)
        path.unlink()
        os.mkfifo(path)
        return found

    monkeypatch.setattr(os, "stat", late)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(UnusableError, match="no regular file"):
        LockedDirectory.try_lock(opened, directory.name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_process_whose_clock_stands_ahead_does_not_keep_another_one_from_its_journal(
    base: Path, opened: Folder, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """It takes the directory that is being made for one that was begun long ago, before or after it has a lock."""
    original = getattr(os, call)
    looks: list[str] = []

    def looked_at(path: Any, *arguments: Any, **more: Any) -> Any:
        made = original(path, *arguments, **more)
        if not looks and str(path).startswith(".new-" if call == "mkdir" else "lock"):
            looks.append(path)
            with monkeypatch.context() as ahead:
                ahead.setattr(directory_module, "time", lambda: time.time() + 3_600)
                assert list(list_journals(opened)) == []
        return made

    monkeypatch.setattr(os, call, looked_at)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, looked_at})
    made = LockedDirectory.create(str(base), BINDING)
    assert looks
    assert made.exists()
    assert [name for name, _ in list_journals(opened)] == [made.name]
    made.remove()
    assert list(base.iterdir()) == []
