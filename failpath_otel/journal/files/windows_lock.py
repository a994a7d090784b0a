"""The lock of a file on Windows."""

import errno
import os
from importlib import import_module
from typing import Any, Final

_HELD_BY_ANOTHER: Final = frozenset({errno.EACCES, errno.EDEADLK, errno.EAGAIN})


def try_lock(descriptor: int) -> bool:
    """Lock a file until it is closed or its process ends; return ``False`` if it is locked by another descriptor.

    The lock is of its first byte, which nothing may read or write meanwhile: so the file is one without contents.

    Raises:
        OSError: it cannot be locked for another reason.
    """
    msvcrt: Any = import_module("msvcrt")  # not known to type checkers elsewhere
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        raise
    return True
