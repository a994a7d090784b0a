"""Write a segment by copying memory (decision 0012)."""

import contextlib
import os
import sys
from mmap import mmap
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.segments.segment import HEADER_BYTES, Segment, Write
from failpath_otel.runtime.descriptors import OwnedFd, file_identity
from failpath_otel.runtime.pinned import Pinned


class MappedWriter:
    """Appends to a preallocated, mapped segment by copying memory, without a system call.

    What was copied belongs to the kernel: it survives any end of the process, but not a loss of power.

    Before Python 3.13, `mmap` keeps a duplicate of the descriptor, whose number it does not show, and closes that
    number when it is freed, even if it is another file by then. So the map is pinned in memory until :meth:`close`
    finds that the number still is its own; in doubt, it stays until the process ends.
    """

    def __init__(self, segment: Segment) -> None:
        os.posix_fallocate(segment.descriptor, 0, limits.JOURNAL_SEGMENT_BYTES)
        segment.write_header()
        self.segment: Final = segment
        self._duplicate: OwnedFd | None = None
        self._pinned: Pinned | None = None
        if sys.version_info >= (3, 13):
            self._map = mmap(segment.descriptor, limits.JOURNAL_SEGMENT_BYTES, trackfd=False)
        else:
            likely = _lowest_free(segment.descriptor)
            self._map = mmap(segment.descriptor, limits.JOURNAL_SEGMENT_BYTES)
            self._pinned = Pinned(self._map)
            self._duplicate = _duplicate(segment.descriptor, likely)
        self._map.seek(HEADER_BYTES)
        # One call that copies and advances: no signal handler can come in between.
        self.write: Final[Write] = self._map.write
        self.end: Final = self._map.tell
        self.busy: Final = False

    def content(self) -> bytes:
        """Return all that was written, even if the file cannot be opened any more."""
        return self._map[: self.end()]

    def close(self) -> None:
        """End the writing; the file stays."""
        if self._pinned is not None:
            try:
                if self._duplicate is None:
                    return
                self._duplicate.detach()
            except OSError:
                return
            self._pinned.release()
        self._map.close()


def _lowest_free(descriptor: int) -> int:
    number = os.dup(descriptor)
    os.close(number)
    return number


def _duplicate(descriptor: int, likely: int) -> OwnedFd | None:
    """Return the other descriptor of a file that was opened just now; ``None`` if it cannot be found."""
    file = file_identity(descriptor)
    with contextlib.suppress(OSError):
        if file_identity(likely) == file:
            return OwnedFd(likely)
    with contextlib.suppress(OSError):
        for number in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - another thread has opened a file meanwhile
            with contextlib.suppress(OSError):
                if number != descriptor and file_identity(number) == file:
                    return OwnedFd(number)
    return None
