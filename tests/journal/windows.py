"""What Windows makes of files, on Linux: as its C library and NTFS do it, as far as a journal can tell.

A file that is open can be neither deleted nor moved, nor can its directory be moved. Locked bytes cannot be read or
written by another descriptor. There are no descriptors of directories, no positioned reads, and none of the constants
and functions of POSIX.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from failpath_otel.journal import directory, trimming
from failpath_otel.journal.files import port, portable, windows_lock
from failpath_otel.journal.segments import mapped, segment
from failpath_otel.runtime import descriptors

O_BINARY: Final = 1 << 30

_SAME: Final = frozenset({
    *("O_RDONLY", "O_RDWR", "O_CREAT", "O_EXCL", "SEEK_SET", "SEEK_END", "path", "strerror"),
    *("getpid", "urandom", "fstat", "lseek", "ftruncate", "close"),
})  # fmt: skip
"""What is the same there. What stands nowhere here is missing."""


def _sharing_violation(path: str) -> PermissionError:
    error = PermissionError(errno.EACCES, "The process cannot access the file because it is being used", path)
    error.winerror = 32  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    return error


class _Status:
    """A status without what only POSIX has."""

    def __init__(self, status: os.stat_result) -> None:
        self._status = status

    def __getattr__(self, name: str) -> Any:
        if name in {"st_blocks", "st_blksize", "st_rdev"}:
            raise AttributeError(name)
        return 0 if name in {"st_uid", "st_gid"} else getattr(self._status, name)


class WindowsOs:
    """The module ``os`` of a process there. ``system`` makes the calls in fact."""

    O_BINARY: Final = O_BINARY
    supports_dir_fd: Final[frozenset[object]] = frozenset()

    def __init__(self, system: Any = os) -> None:
        self._system = system
        self._open: dict[int, tuple[int, int]] = {}  # the files that are open, by their descriptors
        self._locked: dict[int, tuple[int, int]] = {}  # the first byte of a lock and its end, by its descriptor

    def __getattr__(self, name: str) -> Any:
        if name in _SAME:
            return getattr(self._system, name)
        raise AttributeError(f"module 'os' has no attribute {name!r} on Windows")

    def _is_open(self, file: tuple[int, int]) -> bool:
        self._forget_closed()
        return file in self._open.values()

    def _forget_closed(self) -> None:
        for descriptor, file in tuple(self._open.items()):
            try:
                is_there = _file(os.fstat(descriptor)) == file
            except OSError:
                is_there = False
            if not is_there:
                del self._open[descriptor]
                self._locked.pop(descriptor, None)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        assert flags & O_BINARY, "line ends would be changed"
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", path)
        descriptor: int = self._system.open(path, flags & ~O_BINARY, mode)
        self._forget_closed()
        self._locked.pop(descriptor, None)
        self._open[descriptor] = _file(os.fstat(descriptor))
        return descriptor

    def unlink(self, path: str) -> None:
        if self._is_open(_file(os.lstat(path))):
            raise _sharing_violation(path)
        self._system.unlink(path)

    def replace(self, path: str, other: str) -> None:
        for each in (path, other):
            if os.path.lexists(each) and self._is_open(_file(os.lstat(each))):
                raise _sharing_violation(each)
        if Path(path).is_dir() and any(self._is_open(_file(each.stat())) for each in Path(path).iterdir()):
            raise PermissionError(errno.EACCES, "Access is denied", path)
        self._system.rename(path, other)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self._system.mkdir(path, mode)

    def rmdir(self, path: str) -> None:
        self._system.rmdir(path)

    def listdir(self, path: str) -> list[str]:
        assert isinstance(path, str)
        names: list[str] = self._system.listdir(path)
        return names

    def lstat(self, path: str) -> Any:
        return _Status(self._system.stat(path, follow_symlinks=False))

    def utime(self, path: str, *, ns: tuple[int, int]) -> None:
        assert isinstance(path, str)
        os.utime(path, ns=ns)

    def read(self, descriptor: int, size: int) -> bytes:
        self._refuse_locked(descriptor, size)
        content: bytes = self._system.read(descriptor, size)
        return content

    def write(self, descriptor: int, data: bytes) -> int:
        self._refuse_locked(descriptor, len(data))
        written: int = self._system.write(descriptor, data)
        return written

    def _refuse_locked(self, descriptor: int, size: int) -> None:
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        if self._holders(descriptor, at, at + size):
            raise PermissionError(errno.EACCES, "another process has locked a portion of the file")

    def _holders(self, descriptor: int, begin: int, end: int) -> list[int]:
        self._forget_closed()
        file = self._open[descriptor]
        locks = [(other, *lock) for other, lock in self._locked.items() if self._open[other] == file]
        return [other for other, first, last in locks if other != descriptor and first < end and begin < last]

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        """``msvcrt.locking``: from the position of the file on, which may be its end."""
        assert mode == 2, "LK_NBLCK"
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        if self._holders(descriptor, at, at + size):
            raise PermissionError(errno.EACCES, "Permission denied")
        self._locked[descriptor] = at, at + size


def _file(status: Any) -> tuple[int, int]:
    return status.st_dev, status.st_ino


@contextmanager
def windows(system: Any = os, wrap: Callable[[Any], Any] = lambda module: module) -> Iterator[WindowsOs]:
    """In this block a journal is on Windows."""
    there = WindowsOs(system)
    module = wrap(there)
    with ExitStack() as patches:
        for each in (descriptors, directory, mapped, portable, segment, trimming, windows_lock):
            patches.enter_context(patch.object(each, "os", module))
        patches.enter_context(patch.object(portable, "_BINARY", O_BINARY))
        patches.enter_context(patch.dict("sys.modules", {"msvcrt": SimpleNamespace(locking=there.locking, LK_NBLCK=2)}))
        patches.enter_context(patch.object(port, "file_system", portable.PortableFiles(windows_lock.try_lock)))
        yield there
