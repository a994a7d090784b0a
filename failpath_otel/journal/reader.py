"""Read segments in order: records are taken from the front and confirmed in the order in which they were taken."""

import contextlib
import errno
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.frame import Gap
from failpath_otel.journal.segments.segment import Segment, StoredRecord
from failpath_otel.runtime.snapshots import snapshot

TRANSIENT_ERRORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBADF})
"""Errors that are not about the file: a resource is short, or the descriptor was closed."""


_EARLIEST_CLOCK: Final = 1_704_067_200
"""The beginning of 2024: a clock that shows less was not set since the machine started."""


@dataclass(slots=True)
class ReadResult:
    """What :meth:`SegmentReader.read` found, for :meth:`SegmentReader.take`."""

    segment: Segment | None = None
    records: list[StoredRecord] = field(default_factory=list)
    lost: int = 0
    """Number of records that are skipped instead."""

    reason: str = ""
    """Why they are lost: ``too_old``, ``journal_full`` or ``damaged``."""

    gap: Gap | None = None
    """Damaged bytes, if reading goes on behind them."""

    retry_later: bool = False
    """There may be records, but they cannot be read now."""


class SegmentReader(ABC):
    """The reading that :class:`Journal` and :class:`Orphan` have in common.

    Used by one thread at a time, unless a method of the journal says otherwise.
    """

    def __init__(self) -> None:
        self._unread: deque[Segment] = deque()
        self._unconfirmed: deque[Segment] = deque()
        self.taken = 0
        """Number of the record that was taken or skipped last."""

    def _change_directory(self, directory: LockedDirectory) -> None:
        """Reopen the files in a directory that was locked again after descriptors were closed."""
        for segment in {*self._unconfirmed, *self._unread}:
            segment.change_folder(directory.folder)
            if segment.confirmed:
                with contextlib.suppress(OSError):
                    segment.descriptor = directory.open_file(segment.name)
                    segment.write_confirmed()  # what could not be written while it was closed

    def _end(self, segment: Segment) -> int:
        """Return where the records of a segment end, at most."""
        return segment.size()

    def waiting_bytes(self) -> int:
        """Return how many bytes those records take that are not confirmed; under the owner's lock."""
        size = 0
        for segment in snapshot(self._unconfirmed):  # a copy: the delivery thread confirms without the lock
            with contextlib.suppress(OSError):  # of a file that is closed for a while, and was interrupted at its end
                size += max((segment.end or self._end(segment)) - segment.confirmed_to, 0)
        return size

    @abstractmethod
    def now(self) -> float:
        """Return seconds since the epoch."""

    @abstractmethod
    def _open(self, segment: Segment) -> int:
        """Return a descriptor of a segment that was closed for a while."""

    def _after_error(self, segment: Segment, error: OSError) -> ReadResult:
        """Return the result if a segment cannot be opened or read."""
        return (
            ReadResult(retry_later=True) if error.errno in TRANSIENT_ERRORS else ReadResult(segment, reason="damaged")
        )

    def _assess_gap(self, gap: Gap, last: int) -> Gap | None:
        """Return what a gap costs of the records up to number *last*; ``None``: nothing, because all were read.

        It costs one record here, and the rest once everything behind it is read: then the number is exact.
        """
        return Gap(gap.end, 1) if last > self.taken else None

    def _skip_gap(self, segment: Segment, gap: Gap) -> None:
        """Go on behind damaged bytes."""
        segment.skip(gap)

    @abstractmethod
    def _abandon(self, segment: Segment) -> int:
        """End the reading of a segment whose rest cannot be read; return how many records are lost."""

    def read(self, max_records: int, budget: int, appended: int = 0) -> ReadResult:
        """Return the next records without taking them; see :meth:`Segment.read` for the other arguments.

        *appended* is the number of the record that was written last, of a journal that this process writes, asked for
        while none was half-way into it.

        Records that are too old, were dropped or cannot be read are returned as a number of lost records.
        """
        while self._unread:
            segment = self._unread[0]
            if segment.dropped:
                assert segment.last is not None  # only whole segments are dropped
                return ReadResult(segment, lost=max(segment.last - self.taken, 0), reason="journal_full")
            # Read before its end: records may be appended in between.
            last = segment.last
            try:
                if not segment.is_open():
                    segment.descriptor = self._open(segment)
                end = self._end(segment)
                records = segment.read(end, max_records, budget)
                gap = None if records else segment.find_gap(end)
                if gap is not None:
                    gap = self._assess_gap(gap, last or appended)
            except OSError as error:
                return self._after_error(segment, error)
            if records:
                return self._split_expired(segment, records)
            if gap is not None:
                return ReadResult(segment, lost=gap.records, reason="damaged", gap=gap)
            if last is None or last > self.taken:
                return self._after_missing(segment, last, end, appended - self.taken)
            self._unread.popleft()
        return ReadResult()

    @staticmethod
    def _after_missing(segment: Segment, last: int | None, end: int, records: int) -> ReadResult:
        """Return the result if a segment is read to its end and *records* are missing."""
        if last is not None:  # the file was truncated
            return ReadResult(segment, reason="damaged")
        if records <= 0:
            return ReadResult()
        return ReadResult(segment, lost=records, reason="damaged", gap=Gap(max(end, segment.position), records))

    def age(self, stored: StoredRecord) -> float:
        """Return the seconds that a record has waited; 0 if the machine did not know the time when it was written."""
        return 0.0 if stored.written_at < _EARLIEST_CLOCK else max(self.now() - stored.written_at, 0.0)

    def _split_expired(self, segment: Segment, records: list[StoredRecord]) -> ReadResult:
        if self.age(records[0]) <= limits.MAX_AGE_SECONDS:
            return ReadResult(segment, records)
        ages = enumerate(map(self.age, records))
        old = next((index for index, age in ages if age <= limits.MAX_AGE_SECONDS), len(records))
        return ReadResult(segment, records[:old], lost=old, reason="too_old")

    def take(self, read: ReadResult) -> bool:
        """Take what :meth:`read` found.

        Returns:
            ``False`` if another thread dropped the segment meanwhile.
        """
        segment = read.segment
        if segment is None:
            return True
        if segment.dropped and read.reason != "journal_full":
            return False
        if read.records:
            segment.advance(read.records)
            self.taken += len(read.records)
            return True
        if read.gap is not None:
            self._skip_gap(segment, read.gap)
            self.taken += read.lost
            return True
        if read.reason == "damaged":
            read.lost = self._abandon(segment)
        self.taken += read.lost
        self._unread.popleft()
        return True

    def confirm(self, records: int = 0) -> None:
        """Confirm that the next *records* of those taken need not be sent again; delete segments that are confirmed."""
        while self._unconfirmed:
            segment = self._unconfirmed[0]
            step = min(records, segment.taken - segment.confirmed)
            records -= step
            segment.confirm(step)
            if segment.confirmed == segment.taken and segment.last is not None and segment not in self._unread:
                self._unconfirmed.popleft()
                self._discard(segment)
                continue
            if step:
                segment.write_confirmed()
            return

    def _discard(self, segment: Segment) -> None:
        segment.close()
        segment.remove()
