"""Descriptors of our own files, and whether they still are."""

import contextlib
import errno
import os
from typing import Final


class Owned:
    """A descriptor that this process has opened.

    A library that makes a daemon of the process closes all descriptors that there are. From then on a number may be
    another file, one of the application's, which must be neither written nor closed here.
    """

    __slots__ = ("_file", "_number")

    def __init__(self, number: int) -> None:
        self._number: Final = number
        self._file: Final = _file(number)

    @property
    def number(self) -> int:
        """The descriptor.

        Raises:
            OSError: it is closed, or another file's by now.
        """
        if _file(self._number) != self._file:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._number

    def close(self) -> None:
        """Closes it, if it is still ours."""
        with contextlib.suppress(OSError):
            os.close(self.number)


def _file(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
