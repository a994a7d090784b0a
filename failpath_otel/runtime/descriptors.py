"""Descriptors of our own files, and whether they still are."""

import contextlib
import errno
import os
from typing import Final


class OwnedFd:
    """A descriptor that this process has opened.

    A library that makes a daemon of the process closes all descriptors that there are. From then on a number may be
    another file, one of the application's or another one of ours, which must be neither written nor closed by this.
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
            OSError: it is closed, or another file's by now.
        """
        # The same file does not show it alone: all journals have the directory above them open.
        if _owners.get(self._number) is not self or file_identity(self._number) != self._file:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._number

    def is_valid(self) -> bool:
        """Whether it is still open, and still that file's."""
        try:
            return self.number >= 0
        except OSError:
            return False

    def close(self) -> None:
        """Closes it, if it is still ours."""
        with contextlib.suppress(OSError):
            os.close(self.detach())

    def detach(self) -> int:
        """The descriptor, to be closed by the caller.

        Raises:
            OSError: it is closed, or another file's by now.
        """
        number = self.number
        _owners.pop(number, None)  # before it is closed: another thread may be given the number then
        return number


_owners: Final[dict[int, OwnedFd]] = {}
"""To which each number was given last."""


def file_identity(descriptor: int) -> tuple[int, int]:
    """What tells the file of a descriptor from all others that exist."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
