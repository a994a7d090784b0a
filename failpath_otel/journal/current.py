"""The segment that is being written: how records come into it, how many, and how that ends (decision 0035)."""

import contextlib
import itertools
from collections.abc import Callable
from time import monotonic, time
from typing import Final

from failpath_otel.journal.clock import LATEST_BOOT_TIME
from failpath_otel.journal.segment_factory import Writer
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import HEADER_BYTES, Segment
from failpath_otel.journal.segments.syscall_writer import raise_no_room
from failpath_otel.journal.segments.tail import is_near_end
from failpath_otel.runtime.threads import has_gil

_PLACE_BITS: Final = 32
"""The lower half of a ticket: where in its segment the frame ends. The upper half is the segment."""

UNKNOWN_TICKET: Final = (1 << _PLACE_BITS) - 1
"""Of a record whose place is not known yet: the ticket of whatever is the last record when it is asked for."""

_places: Final = itertools.count(1)
"""One for the process, so that a ticket of a segment that is gone is that of no other."""


class CurrentSegment:
    """What is written to at the moment, under the lock of the journal's owner.

    Threads that find a writer in :attr:`way` append by that, without the lock. How many records there are follows from
    the frames alone, which are counted under the lock.
    """

    __slots__ = ("before", "epoch", "finished", "finished_through", "segment", "way", "write", "writer")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with no segment, and with no record."""
        self.way: MappedWriter | None = None
        """What any thread may append by, without the lock; ``None`` while the lock is needed."""
        self.write: Callable[[bytes], int] = raise_no_room
        """Appends a frame under the lock, and returns its ticket."""
        self.segment: Segment | None = None
        self.writer: Writer | None = None
        self.finished: list[Writer] = []
        """Writers to be closed, of segments that are finished."""
        self.before = 0
        """How many records the owner has accepted that were never in this journal."""
        self.finished_through = 0
        """Number of the last record in the segments that are finished."""
        # Bounded: the wall clock of a machine without a battery may jump by years.
        self.epoch = min(max(time() - monotonic(), 0.0), LATEST_BOOT_TIME)
        """What the monotonic clock is added to, so that a jump of the wall clock does not show."""

    @property
    def is_busy(self) -> bool:
        """Whether an append by system calls is under way, further up on this thread's stack."""
        return self.writer is not None and self.writer.busy

    @property
    def is_empty(self) -> bool:
        """Whether there is a segment, without a record."""
        return self.writer is not None and self.writer.end() == HEADER_BYTES

    def has_just_appended(self, record: bytes) -> bool:
        """Return whether ``record`` is among the last in the segment."""
        segment, writer = self.segment, self.writer
        return segment is not None and writer is not None and is_near_end(record, segment, writer.end())

    @property
    def appended(self) -> int:
        """Number of the record that was appended last; under the lock."""
        segment, writer = self.segment, self.writer
        return self.finished_through if segment is None or writer is None else segment.first - 1 + writer.frames()

    def prepare(self, segment: Segment, writer: Writer) -> None:
        """Number a segment that comes next."""
        segment.place, segment.first = next(_places), self.finished_through + 1
        writer.base = segment.place << _PLACE_BITS

    def begin(self, segment: Segment, writer: Writer) -> None:
        """Write to another segment."""
        self.segment, self.writer, self.write = segment, writer, writer.append

    def open_way(self) -> None:
        """Have all threads append without the lock from now on, where that is possible."""
        segment, writer = self.segment, self.writer
        if segment is None:
            return
        if not isinstance(writer, MappedWriter):
            segment.before = self.before + segment.first - 1
            return
        frames = writer.frames()
        segment.before = self.before + segment.first - 1
        writer.count = segment.before + frames
        if has_gil():
            self.way = writer

    def finish(self) -> None:
        """Let nothing more come into the segment, by no thread. May be called again where that was interrupted."""
        if self.writer is not None:
            self.writer.frames()  # counted while other threads still append, so that little is left to count
        while True:
            self.way, self.write = None, raise_no_room
            segment, writer = self.segment, self.writer
            if segment is None or writer is None:
                return
            writer.seal()
            segment.last, segment.end = segment.first - 1 + writer.frames(), writer.end()
            self.finished.append(writer)
            if self.writer is writer:  # else a signal handler has begun another one, which goes the same way
                self.finished_through, self.segment, self.writer = segment.last, None, None

    def close_finished(self) -> None:
        """Close the writers of the segments that are finished, each of which keeps its file open."""
        while self.finished:
            self.finished.pop().close()

    def number_of(self, ticket: int, segments: tuple[Segment, ...]) -> int | None:
        """Return the number that the owner counts a record by; ``None`` where its segment is not among ``segments``.

        Where it cannot be found out, return one that is not below it.
        """
        end = ticket & UNKNOWN_TICKET
        segment = next((each for each in segments if each.place == ticket >> _PLACE_BITS), None)
        if segment is None:
            return None
        if segment.before is None:
            return ticket  # above all numbers: deferred records have kept it from being counted
        writer = self.writer if segment is self.segment else None
        found = None if writer is None else writer.number_at(end)
        if found is None:
            with contextlib.suppress(OSError):  # it is closed for a while
                found = segment.count_records(end)
        if found is None and writer is not None:
            return ticket  # as above
        if found is None and segment.last is not None:
            found = segment.last - segment.first + 1
        return ticket if found is None else segment.before + found
