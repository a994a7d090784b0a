"""Free preallocated disk space that no more records will use."""

import contextlib
import errno
import os
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.files import port
from failpath_otel.journal.segments.segment import SPARE, Segment
from failpath_otel.runtime.descriptors import OwnedFd

_FILE_SYSTEM_BLOCK: Final = 4_096
"""Usual block size; trimming less than a block frees nothing."""


def trim(directory: LockedDirectory, name: str) -> None:
    """Replace the file *name* by a copy that ends with its last record.

    The file itself is not truncated: if its process lives after all and has it mapped, that would end it by SIGBUS. The
    next process deletes an interrupted copy by its name, :data:`SPARE`.

    Raises:
        OSError: it cannot be replaced; it is unchanged.
    """
    owned = OwnedFd(directory.open_file(name))
    try:
        source = owned.number
        status = os.fstat(source)
        size = status.st_size
        room = min(port.file_system.bytes_on_disk(status), size)
        if size > limits.JOURNAL_SEGMENT_BYTES:
            return
        if port.file_system.read_at(source, _FILE_SYSTEM_BLOCK, max(size - _FILE_SYSTEM_BLOCK, 0)).strip(b"\0"):
            return
        written = port.file_system.read_at(source, size, 0)
        # Whole blocks take no more space, and are unchanged.
        end = -(-len(written.rstrip(b"\0")) // _FILE_SYSTEM_BLOCK) * _FILE_SYSTEM_BLOCK
        content = written[:end]
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), name) from error
    finally:
        owned.close()
    if end < room:
        _replace(directory, name, content, status)


def trim_open(directory: LockedDirectory, segment: Segment) -> None:
    """Trim a segment that is open and will be read on, if possible."""
    with contextlib.suppress(OSError):
        trim(directory, segment.name)
        segment.close()
        segment.descriptor = directory.open_file(segment.name)


def _replace(directory: LockedDirectory, name: str, content: bytes, status: os.stat_result) -> None:
    folder = directory.folder
    times = folder.times()
    copy = OwnedFd(directory.new_file(SPARE))
    try:
        if port.file_system.write_at(copy.number, content, 0) < len(content):
            return
        copy.close()
        # Keep the times: the file's show the last write, the directory's the age of the journal.
        folder.set_times((status.st_atime_ns, status.st_mtime_ns), SPARE)
        folder.rename(SPARE, name)
    finally:
        copy.close()
        directory.delete(SPARE)
        folder.set_times(times)
