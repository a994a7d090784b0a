"""Writes files as a whole or not at all."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

_MODE: Final = 0o666
"""Of a new file, without what the process's umask takes away."""


def write_whole(path: Path, text: str) -> None:
    """Write a file in UTF-8: its old contents stay until all of the new ones are there.

    Where it is a link, the file that the link names is written; its mode stays.

    Raises:
        OSError: it cannot be written, and is as it was.
    """
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode  # noqa: PTH116 - a text, as `realpath` returns it
    except FileNotFoundError:
        os.umask(umask := os.umask(0o077))
        mode = _MODE & ~umask
    else:
        if not stat.S_ISREG(mode) or not os.access(target, os.W_OK):
            # A device or a pipe has no contents to keep; a file that may not be written says so.
            Path(target).write_text(text, encoding="utf-8", newline="\n")
            return
    folder, name = os.path.split(target)
    descriptor, beside = tempfile.mkstemp(prefix=f".{name[:100]}.", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.chmod(beside, stat.S_IMODE(mode))  # noqa: PTH101 - as above
        os.replace(beside, target)  # noqa: PTH105 - as above
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # noqa: PTH108 - as above
        raise
