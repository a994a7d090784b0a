"""Write a segment by copying memory (decision 0012)."""

import contextlib
import os
import sys
from mmap import mmap
from typing import Final
from zlib import crc32

from failpath_otel import limits
from failpath_otel.journal.files import port
from failpath_otel.journal.segments.frame import FRAME_BYTES, unpack_frame
from failpath_otel.journal.segments.frame_count import FrameCount
from failpath_otel.journal.segments.segment import HEADER_BYTES, Segment
from failpath_otel.runtime.descriptors import OwnedFd, file_identity
from failpath_otel.runtime.pinned import Pinned


class MappedWriter:
    """Appends to a preallocated, mapped segment by copying memory, without a system call.

    What was copied belongs to the kernel: it survives any end of the process, but not a loss of power.

    Before Python 3.13, `mmap` keeps a duplicate of the descriptor, whose number it does not show, and closes that
    number when it is freed, even if it is another file by then. So the map is pinned in memory until :meth:`close`
    finds that the number still is its own; in doubt, it stays until the process ends.

    Where there is a GIL, :attr:`write` is one call that no other thread and no signal handler comes into, so that any
    thread may use it without a lock (decision 0035). What a thread has read of this object may outlive the segment:
    :meth:`seal` has every later write refused.
    """

    __slots__ = ("_duplicate", "_end", "_final", "_frames", "_map", "_pinned", "_sealed_at", "base", "count",
                 "segment", "tell", "write")  # fmt: skip

    busy: Final = False

    def __init__(self, segment: Segment) -> None:
        port.file_system.reserve(segment.descriptor, limits.JOURNAL_SEGMENT_BYTES)
        segment.write_header()
        self.segment: Final = segment
        self._duplicate: OwnedFd | None = None
        self._pinned: Pinned | None = None
        if sys.platform != "win32" and sys.version_info >= (3, 13):
            self._map = mmap(segment.descriptor, limits.JOURNAL_SEGMENT_BYTES, trackfd=False)
        else:
            likely = _lowest_free(segment.descriptor)
            self._map = mmap(segment.descriptor, limits.JOURNAL_SEGMENT_BYTES)
            self._pinned = Pinned(self._map)
            self._duplicate = _duplicate(segment.descriptor, likely)
        self._map.seek(HEADER_BYTES)
        self.write: Final = self._map.write
        """Appends a frame, and returns its length; raises ``ValueError`` where it does not fit."""
        self.tell: Final = self._map.tell
        """Returns where the next frame will stand; the end of the file once it is sealed."""
        self._frames: Final = FrameCount()
        self._sealed_at: int | None = None
        self._end: int | None = None
        self._final: int | None = None
        self.base = 0
        """What its tickets count from."""
        self.count = 0
        """The number of its last record for their owner, about: one that is interrupted behind the write is missed."""

    def append(self, framed: bytes) -> int:
        """Append a frame and return its ticket; the same without a call is in `delivery/admission.py`."""
        start = self.tell()
        written = self.write(framed)
        end = self.tell()
        self.count += 1
        if end - start != written:  # another thread, or a signal handler, has appended as well
            return self.find(framed, start, written)
        return self.base + end

    def find(self, framed: bytes, start: int, written: int) -> int:
        """Return the ticket of a frame that was perhaps appended behind ``start``, surely if ``written``; else 0."""
        at = -1
        try:
            at = self._map.find(framed, start, self.end()) if start else -1
        except ValueError:  # another thread has closed it
            with contextlib.suppress(OSError):  # or even deleted it
                at = self.segment.content().find(framed, start)
        if at < 0:
            return self.base + limits.JOURNAL_SEGMENT_BYTES if written else 0
        return self.base + at + len(framed)

    def is_closed(self) -> bool:
        """Return whether it was closed."""
        return self._map.closed

    def end(self) -> int:
        """Return where the next frame will stand, or would."""
        return self.tell() if self._end is None else self._end

    def frames(self) -> int:
        """Return how many frames stand in it; under the lock."""
        return self._frames_before(self.end()) if self._final is None else self._final

    def number_at(self, end: int) -> int | None:
        """Return how many frames stand before ``end``; ``None`` if that is not known any more; under the lock."""
        with contextlib.suppress(ValueError):  # it is closed
            return self._frames.up_to(self._map, end)
        return None

    def _frames_before(self, end: int) -> int:
        counted = self._frames.up_to(self._map, end)
        # Where a length is damaged, the number that was counted along the way is the best there is.
        return max(self.count - (self.segment.before or 0), self._frames.known + 1) if counted is None else counted

    def seal(self) -> None:
        """Refuse all that comes from now on, also from threads that have read :attr:`write`; then count what is there.

        May be called again where a signal handler has interrupted it.
        """
        if self._final is None:
            if self._sealed_at is None:
                self._sealed_at = self.tell()
            self._map.seek(0, os.SEEK_END)
            self._end = self._end_behind(self._sealed_at)
            self._final = self._frames_before(self._end)

    def _end_behind(self, at: int) -> int:
        """Return the end of the frames that were appended behind ``at``, until all were refused."""
        while at + FRAME_BYTES < limits.JOURNAL_SEGMENT_BYTES:
            length, checksum, seconds = unpack_frame(self._map, at)
            record = self._map[at + FRAME_BYTES : at + FRAME_BYTES + length]
            if not length or len(record) != length or crc32(record, seconds) != checksum:
                break
            at += FRAME_BYTES + length
        return at

    def content(self) -> bytes:
        """Return all that was written, even if the file cannot be opened any more."""
        return self._map[: self.end()]

    def close(self) -> None:
        """End the writing; the file stays."""
        with contextlib.suppress(ValueError):  # it is closed already
            # In a forked child, where this may be all: the rest of an interrupted append would write to the parent's.
            self._map.seek(0, os.SEEK_END)
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
