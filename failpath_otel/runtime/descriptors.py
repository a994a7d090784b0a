"""File descriptors of this package, and whether they are still its own (decision 0019)."""

import contextlib
import errno
import os
import sys
from typing import Final

SOCKETS_ARE_FILES: Final = sys.platform != "win32"
"""Whether a socket has a number among those of files."""


class OwnedFd:
    """A descriptor that this process has opened.

    A library that daemonizes the process closes all descriptors. From then on the number may belong to another file, of
    the application or of this package, which must be neither written nor closed by this owner.
    """

    __slots__ = ("_file", "_number")

    def __init__(self, number: int) -> None:
        self._number: Final = number
        self._file: Final = file_identity(number)
        _owners[number] = self

    @property
    def number(self) -> int:
        """The descriptor.

        Raises:
            OSError: it is closed, or belongs to another file by now.
        """
        # Comparing files does not suffice: all journals have the same base directory open.
        if _owners.get(self._number) is not self or file_identity(self._number) != self._file:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._number

    def is_valid(self) -> bool:
        """Return whether it is still open and the same file."""
        try:
            return self.number >= 0
        except OSError:
            return False

    def close(self) -> None:
        """Close it, if it is still valid."""
        with contextlib.suppress(OSError):
            os.close(self.detach())

    def detach(self) -> int:
        """Return the descriptor, to be closed by the caller.

        Raises:
            OSError: it is closed, or belongs to another file by now.
        """
        number = self.number
        _owners.pop(number, None)  # before the closing, after which another thread may get the number
        return number


_owners: Final[dict[int, OwnedFd]] = {}
"""The newest owner of each number."""


def file_identity(descriptor: int) -> tuple[int, int]:
    """Return what distinguishes a descriptor's file from all others that exist."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
