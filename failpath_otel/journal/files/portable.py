"""Files where directories have no descriptors, and nothing that is open can be deleted or moved: as on Windows.

All of this but the lock runs on every platform, and is tested on Linux.
"""

import errno
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from typing_extensions import override

from failpath_otel.journal.files.file_system import FileSystem, Folder
from failpath_otel.runtime.threads import RLock

_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
"""On Windows, a file that is opened without it has its line ends changed."""

_LINKS: Final = frozenset(
    getattr(stat, name) for name in ("IO_REPARSE_TAG_SYMLINK", "IO_REPARSE_TAG_MOUNT_POINT") if hasattr(stat, name)
)
"""What Windows has for symbolic links to directories."""


class PathFolder(Folder):
    """A directory by its path."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or getattr(status, "st_reparse_tag", 0) in _LINKS:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        self._path: Final = path

    def _in(self, name: str) -> str:
        return os.path.join(self._path, name)  # noqa: PTH118 - as the rest of this, without pathlib

    @override
    def is_valid(self) -> bool:
        return True

    @override
    def close(self) -> None:
        pass

    @override
    def opened_again(self) -> Folder:
        return self

    @override
    def folder(self, name: str) -> Folder:
        return PathFolder(self._in(name))

    @override
    def is_of_others(self, *, or_of_root: bool) -> bool:
        return False

    @override
    def names(self) -> list[str]:
        return os.listdir(self._path)  # noqa: PTH208 - as above

    @override
    def status(self, name: str) -> os.stat_result:
        return os.lstat(self._in(name))

    @override
    def open(self, name: str, flags: int) -> int:
        path = self._in(name)
        if not flags & os.O_CREAT and stat.S_ISLNK(os.lstat(path).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        return os.open(path, flags | _BINARY, 0o600)

    @override
    def make_folder(self, name: str) -> None:
        os.mkdir(self._in(name), 0o700)  # noqa: PTH102 - as above

    @override
    def remove_folder(self, name: str) -> None:
        os.rmdir(self._in(name))  # noqa: PTH106 - as above

    @override
    def delete(self, name: str) -> None:
        os.unlink(self._in(name))  # noqa: PTH108 - as above

    @override
    def rename(self, name: str, other: str) -> None:
        os.replace(self._in(name), self._in(other))  # noqa: PTH105 - as above

    @override
    def times(self, name: str = "") -> tuple[int, int]:
        status = os.lstat(self._in(name) if name else self._path)
        return status.st_atime_ns, status.st_mtime_ns

    @override
    def set_times(self, times: tuple[int, int], name: str = "") -> None:
        os.utime(self._in(name) if name else self._path, ns=times)

    @override
    def total_bytes(self) -> int:
        return shutil.disk_usage(self._path).total


class PortableFiles(FileSystem):
    """Calls that every platform has, and a lock.

    Files are not mapped: Windows deletes none that is, does not promise that what is read of it is what was written to
    the map, and ends the process where a page of the map cannot be brought in.

    Args:
        try_lock: locks a file as :meth:`FileSystem.try_lock` does.
    """

    moves_open_files = False

    def __init__(self, try_lock: Callable[[int], bool]) -> None:
        self._try_lock: Final = try_lock
        self._positions: Final = RLock()
        """Held while the position of a file is set and used. Reentrant: a signal handler may append."""

    @override
    def is_usable(self) -> bool:
        return True

    @override
    def open_folder(self, path: str) -> Folder:
        return PathFolder(path)

    @override
    def try_lock(self, descriptor: int) -> bool:
        return self._try_lock(descriptor)

    @override
    def read_at(self, descriptor: int, size: int, at: int) -> bytes:
        with self._positions:
            return bytes(_at_once(partial(os.lseek, descriptor, at, os.SEEK_SET), partial(os.read, descriptor, size)))

    @override
    def write_at(self, descriptor: int, data: bytes, at: int) -> int:
        with self._positions:
            return int(_at_once(partial(os.lseek, descriptor, at, os.SEEK_SET), partial(os.write, descriptor, data)))

    @override
    def reserve(self, descriptor: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "files are not mapped on this platform")

    @override
    def bytes_on_disk(self, status: os.stat_result) -> int:
        return status.st_size


def _at_once(*calls: "partial[Any]") -> Any:  # noqa: ANN401 - what the last one returns
    """Make calls of built-in functions, one after another, by one call that no signal handler and no finalizer enters.

    Else one could move the position of the file between the calls.
    """
    return deque(map(partial.__call__, calls), maxlen=1).pop()
