"""Giving back the room that was set aside for records which will not come."""

import contextlib
import errno
import os
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.segment import SPARE, Segment
from failpath_otel.runtime.descriptors import OwnedFd

_FILE_SYSTEM_BLOCK: Final = 4_096
"""What a file takes at least, so that nothing is gained by less."""

_ST_BLOCK_BYTES: Final = 512
"""Of ``st_blocks``, whatever the file system."""


def trim(directory: LockedDirectory, name: str) -> None:
    """Puts a file in the place of ``name`` that ends with what was written.

    It is not made shorter itself: should its process live all the same and have it mapped, that would end it by SIGBUS.
    A copy that was interrupted is deleted by whoever comes next, as a segment that was not in use yet.

    Raises:
        OSError: that cannot be; the file is as it was.
    """
    owned = OwnedFd(directory.open_file(name))
    try:
        source = owned.number
        status = os.fstat(source)
        size = status.st_size
        room = min(status.st_blocks * _ST_BLOCK_BYTES, size)
        if size > limits.JOURNAL_SEGMENT_BYTES:
            return
        if os.pread(source, _FILE_SYSTEM_BLOCK, max(size - _FILE_SYSTEM_BLOCK, 0)).strip(b"\0"):
            return
        written = os.pread(source, size, 0)
        # Whole blocks: they take no more room, and are as they were.
        end = -(-len(written.rstrip(b"\0")) // _FILE_SYSTEM_BLOCK) * _FILE_SYSTEM_BLOCK
        if end < room:
            _replace(directory, name, written[:end], status)
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), name) from error
    finally:
        owned.close()


def trim_open(directory: LockedDirectory, segment: Segment) -> None:
    """:func:`trim` for a segment that is open and goes on being read, if that can be."""
    with contextlib.suppress(OSError):
        trim(directory, segment.name)
        segment.close()
        segment.descriptor = directory.open_file(segment.name)


def _replace(directory: LockedDirectory, name: str, content: bytes, status: os.stat_result) -> None:
    descriptor = directory.descriptor
    times = os.fstat(descriptor)
    copy = OwnedFd(directory.new_file(SPARE))
    try:
        if os.pwrite(copy.number, content, 0) < len(content):
            return
        # When it was written last is told by these, and how old the journal is by those of the directory.
        os.utime(copy.number, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.rename(SPARE, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    finally:
        copy.close()
        directory.delete(SPARE)
        os.utime(descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))
