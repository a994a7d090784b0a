"""Reads files whose contents are of use only as a whole, and of which none may block the reader or fill its memory."""

import errno
import os
import stat
from pathlib import Path


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """Return the contents of a file.

    Raises:
        OSError: it cannot be read, is a pipe or a device, of which reading may have no end, or is too large.
    """
    # The opening of a pipe alone waits for a writer; and what is at the path may change after a look at it.
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes} bytes")
    return data


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
