"""Files on POSIX: directories are descriptors, and a file that is open can be deleted and moved."""

import sys

assert sys.platform != "win32"

import errno  # noqa: E402 - what follows is nothing to type checkers on Windows
import fcntl  # noqa: E402
import os  # noqa: E402
from typing import Final  # noqa: E402

from typing_extensions import override  # noqa: E402

from failpath_otel.journal.files.file_system import FileSystem, Folder  # noqa: E402
from failpath_otel.runtime.descriptors import OwnedFd  # noqa: E402

_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0) | _NO_LINK  # for reading
_AT_ONCE: Final[int] = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Do not block on whatever file has the name by the time it is opened."""

# Compared by name, because eventlet replaces `os.open`.
_HAS_FOLDERS: Final = "open" in {each.__name__ for each in os.supports_dir_fd}

_ST_BLOCK_BYTES: Final = 512
"""Unit of ``st_blocks`` on every file system."""


class PosixFolder(Folder):
    """A directory by its descriptor, and what is in it relative to that."""

    __slots__ = ("_fd",)

    def __init__(self, descriptor: int) -> None:
        self._fd: Final = OwnedFd(descriptor)

    @override
    def is_valid(self) -> bool:
        return self._fd.is_valid()

    @override
    def close(self) -> None:
        self._fd.close()

    @override
    def opened_again(self) -> Folder:
        return PosixFolder(os.dup(self._fd.number))

    @override
    def folder(self, name: str) -> Folder:
        return PosixFolder(os.open(name, _DIRECTORY, dir_fd=self._fd.number))

    @override
    def is_of_others(self, *, or_of_root: bool) -> bool:
        owner = os.fstat(self._fd.number).st_uid
        return owner != os.geteuid() and not (or_of_root and owner == 0)

    @override
    def names(self) -> list[str]:
        return os.listdir(self._fd.number)  # noqa: PTH208 - a descriptor

    @override
    def status(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._fd.number, follow_symlinks=False)

    @override
    def open(self, name: str, flags: int) -> int:
        return os.open(name, flags | _NO_LINK | _AT_ONCE, 0o600, dir_fd=self._fd.number)

    @override
    def make_folder(self, name: str) -> None:
        os.mkdir(name, 0o700, dir_fd=self._fd.number)

    @override
    def remove_folder(self, name: str) -> None:
        os.rmdir(name, dir_fd=self._fd.number)

    @override
    def delete(self, name: str) -> None:
        os.unlink(name, dir_fd=self._fd.number)

    @override
    def rename(self, name: str, other: str) -> None:
        number = self._fd.number
        os.rename(name, other, src_dir_fd=number, dst_dir_fd=number)

    @override
    def times(self, name: str = "") -> tuple[int, int]:
        status = self.status(name) if name else os.fstat(self._fd.number)
        return status.st_atime_ns, status.st_mtime_ns

    @override
    def set_times(self, times: tuple[int, int], name: str = "") -> None:
        if name:
            os.utime(name, ns=times, dir_fd=self._fd.number, follow_symlinks=False)
        else:
            os.utime(self._fd.number, ns=times)

    @override
    def total_bytes(self) -> int:
        system = os.fstatvfs(self._fd.number)
        return system.f_blocks * system.f_frsize


class PosixFiles(FileSystem):
    """The calls of POSIX."""

    moves_open_files = True

    @override
    def is_usable(self) -> bool:
        return _HAS_FOLDERS

    @override
    def open_folder(self, path: str) -> Folder:
        return PosixFolder(os.open(path, _DIRECTORY))

    @override
    def try_lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @override
    def read_at(self, descriptor: int, size: int, at: int) -> bytes:
        return os.pread(descriptor, size, at)

    @override
    def write_at(self, descriptor: int, data: bytes, at: int) -> int:
        return os.pwrite(descriptor, data, at)

    @override
    def reserve(self, descriptor: int, size: int) -> None:
        call = getattr(os, "posix_fallocate", None)  # macOS has none
        if call is None:
            raise OSError(errno.EOPNOTSUPP, "this platform cannot set room on the disk aside")
        call(descriptor, 0, size)

    @override
    def bytes_on_disk(self, status: os.stat_result) -> int:
        return status.st_blocks * _ST_BLOCK_BYTES
