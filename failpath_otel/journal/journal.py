"""The journal of this process: records in files, which outlive it (decision 0010)."""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final
from zlib import crc32

from failpath_otel import limits
from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.journal.current import UNKNOWN_TICKET, CurrentSegment
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.open_files import OpenFiles
from failpath_otel.journal.outage import Outage
from failpath_otel.journal.reader import SegmentReader
from failpath_otel.journal.segment_factory import SegmentFactory
from failpath_otel.journal.segments.frame import pack_frame
from failpath_otel.journal.segments.segment import Segment
from failpath_otel.journal.trimming import trim_open
from failpath_otel.report import warn_once
from failpath_otel.runtime.snapshots import snapshot


class Journal(SegmentReader):
    """Appends records on any thread, under its owner's lock or past it. The first record creates the directory.

    Args:
        path: the journal directory, in which each process has one of its own.
        binding: hash of the project key and the endpoint that the records are for.
        on_evicted: called, under the lock, with the number of records that were dropped to make room for new ones.
    """

    def __init__(self, path: str, binding: str, on_evicted: Callable[[int], object]) -> None:
        super().__init__()
        self.path: Final = path
        self._binding: Final = binding
        self._on_evicted: Final = on_evicted
        self._pending_warnings: deque[tuple[str, int]] = deque(maxlen=8)
        self.outage = Outage(path)
        self.current: Final = CurrentSegment()
        self._reset()

    def _reset(self) -> None:
        self._unread.clear()
        self._unconfirmed.clear()
        self.taken = 0
        self.current.reset()
        self._directory: LockedDirectory | None = None
        self._factory = SegmentFactory()
        self._dropped: list[Segment] = []
        self._rolling = self._writing_deferred = False
        self.deferred: deque[bytes] = deque()
        """Records that came while another append was under way."""

    def now(self) -> float:
        """Return seconds since the epoch by a clock that does not jump."""
        return self.current.epoch + monotonic()

    def append(self, record: bytes) -> int:
        """Append a record; once this has returned, the record outlives the process.

        The exception is a record of a signal handler or finalizer that interrupts another append: it is written when
        that is through. Return the record's ticket; 0 if it could not be written, as later ones may: see `Outage`.
        """
        seconds = int(self.current.epoch + monotonic())  # part of the checksum
        framed = pack_frame(len(record), crc32(record, seconds), seconds) + record
        try:
            if self.deferred and self._is_busy():  # it belongs behind them
                return self._defer(record)
            try:
                ticket = self.current.write(framed)
            except ValueError as error:  # no room in the segment, or no segment yet
                if is_from_handler(error):
                    raise
                if self._is_busy():
                    return self._defer(record)
                if len(framed) > limits.JOURNAL_SEGMENT_BYTES // 2:
                    return 0
                ticket = self._write_or_roll(framed, deferred_first=True)
        except BaseException as error:
            if isinstance(error, (OSError, ValueError)) and not is_from_handler(error):
                self.outage.record_failure(error)
                return 0
            self._rolling = False  # Ctrl-C or a time limit, perhaps after the write
            raise
        if self.deferred:
            self.write_deferred()
        return ticket

    def open_way(self, before: int) -> None:
        """Have threads pass the lock if they can; the owner has accepted ``before`` records that were never in here."""
        self.current.before = before
        if not (self.deferred or self._is_busy()):  # the thread of a deferred record may append more
            self.current.open_way()

    def close_way(self) -> None:
        """Have all appends take the lock; those that are about to pass it are refused."""
        if not self._is_busy():  # else there is no way, and an append goes on in the segment
            self.finish_segment()

    def _is_busy(self) -> bool:  # with another append further up on this thread's stack
        return self._rolling or self.current.is_busy

    def _defer(self, record: bytes) -> int:
        if len(self.deferred) >= limits.MAX_BATCH_RECORDS:  # signals are faster than the disk
            return 0
        self.current.way = None  # or what its thread appends next comes before it
        self.deferred.append(record)
        return UNKNOWN_TICKET

    def has_just_appended(self, record: bytes) -> bool:
        """Return whether *record* is among the last that were appended, after an exception interrupted that."""
        return record in self.deferred or self.current.has_just_appended(record)

    def write_deferred(self) -> None:
        """Write the deferred records; what cannot be written stays deferred."""
        with contextlib.suppress(OSError, ValueError):  # the next append will fail alike, and log it
            self._write_deferred()

    def _write_deferred(self) -> None:
        if self._is_busy() or self._writing_deferred:  # keep the order of what is further up the stack
            return
        self._writing_deferred = True
        try:
            for _ in range(len(self.deferred)):  # not those that handlers add meanwhile
                seconds = int(self.now())
                try:
                    record = self.deferred.popleft()
                except IndexError:  # a handler found that the journal fails, and moved them into memory
                    return
                try:
                    self._write_or_roll(pack_frame(len(record), crc32(record, seconds), seconds) + record)
                except BaseException:
                    self.deferred.appendleft(record)
                    raise
        finally:
            self._writing_deferred = False

    @property
    def appended(self) -> int:
        """Number of the record that was appended last; under the lock."""
        return self.current.appended

    def number_of(self, ticket: int) -> int | None:
        """See :meth:`CurrentSegment.number_of`."""
        return self.current.number_of(ticket, snapshot(self._unconfirmed))

    @property
    def unread(self) -> int:
        """Number of records that were not taken yet, with those that are deferred; under the lock."""
        return self.appended - self.taken + len(self.deferred)

    def free_bytes(self) -> int:
        """Return how many bytes of records and frames certainly fit before the oldest records are dropped."""
        used = len(self._unconfirmed) - len(self._dropped)
        return max(limits.JOURNAL_SEGMENTS - used, 0) * (limits.JOURNAL_SEGMENT_BYTES - 2 * limits.MAX_RECORD_BYTES)

    def _write_or_roll(self, framed: bytes, *, deferred_first: bool = False) -> int:
        while True:
            try:
                return self.current.write(framed)
            except ValueError:
                if self.current.is_empty:
                    raise
            self._roll()
            if deferred_first:
                self._write_deferred()

    def _roll(self) -> None:
        self._rolling = True  # a signal handler that ends a step meanwhile may find neither segment
        try:
            self._begin_segment()
        finally:
            self._rolling = False

    def _begin_segment(self) -> None:
        """Begin the next segment; also where Ctrl-C interrupted this before, wherever that was."""
        # Until it is there, other threads append to the one before, as far as it has room.
        if self._directory is None:
            self._directory = LockedDirectory.create(self.path, self._binding)
        segment, writer = self._factory.next_segment(self._directory)
        has_way = self.current.way is not None
        self.finish_segment()
        self._factory.begin(segment)
        self.current.prepare(segment, writer)
        self._unconfirmed.append(segment)
        self._unread.append(segment)
        self.current.begin(segment, writer)
        if has_way and not self.deferred:
            self.current.open_way()
        if len(self._unconfirmed) - len(self._dropped) > limits.JOURNAL_SEGMENTS:
            self._drop_oldest()

    def finish_segment(self) -> None:
        """Let nothing more come into the current segment, by no thread; the next record begins another one."""
        self.current.finish()
        # Of those that Ctrl-C has kept from being written to. A copy: the delivery thread confirms without the lock.
        for segment in snapshot(self._unconfirmed):
            if segment.last is None and segment is not self.current.segment:
                segment.last = segment.first - 1

    def _drop_oldest(self) -> None:
        for segment in snapshot(self._unread):
            if segment.last is not None and segment.last > self.taken and not segment.dropped:
                segment.dropped = True
                self._dropped.append(segment)
                self._on_evicted(segment.last - max(self.taken, segment.first - 1))
                return

    # On the delivery thread.

    def _end(self, segment: Segment) -> int:
        writer = self.current.writer
        return writer.end() if segment is self.current.segment and writer is not None else segment.size()

    def _abandon(self, segment: Segment) -> int:
        if segment is self.current.segment:
            self.finish_segment()
        assert segment.last is not None  # it is the current one, or one before
        if lost := max(segment.last - self.taken, 0):  # logged later: handlers take locks
            self._pending_warnings.append(("Failpath: %d records in %s cannot be read any more.", lost))
        return lost

    def _discard(self, segment: Segment) -> None:
        if segment in self._dropped:
            self._dropped.remove(segment)
        super()._discard(segment)

    def _open(self, segment: Segment) -> int:
        if segment.deleted or self._directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), segment.name)
        return self._directory.open_file(segment.name)

    def has_lost_lock(self) -> bool:
        """Return whether other code closed its descriptors: without the lock, it can be taken for an orphan."""
        directory, current = self._directory, self.current.segment
        return directory is not None and not (directory.is_intact() and (current is None or current.is_open()))

    def is_deleted(self) -> bool:
        """Return whether its directory was deleted, so that no other process can find it."""
        return self._directory is not None and not self._directory.exists()

    def has_deleted_files(self) -> bool:
        """Return whether records wait in files that were deleted."""
        return self.is_deleted() or any(segment.deleted for segment in snapshot(self._unconfirmed))

    def prepare(self) -> bool:
        """Create what the next record needs; return whether that works again. Nothing may be appended meanwhile."""
        try:
            if self._directory is None:
                self._directory = LockedDirectory.create(self.path, self._binding)
            self._factory.prepare_spare(self._directory)
        except (OSError, ValueError) as error:
            self.outage.record_failure(error)
            return False
        return True

    def maintain(self) -> None:
        """Do what would take time on the application's threads: log, unmap, delete and preallocate files."""
        self.outage.log_pending()
        while self._pending_warnings:
            text, count = self._pending_warnings.popleft()
            warn_once("damaged journal", text, count, self.path)
        self._factory.log_pending(self.path)
        self.current.close_finished()
        for segment in snapshot(self._unread)[1:]:  # without the one that is being read
            if segment.last is not None and not segment.deleted:
                segment.close()
        for segment in tuple(self._dropped):
            segment.close()  # frees its disk space
            segment.remove()
        directory, writer = self._directory, self.current.writer
        if directory is None or writer is None or writer.end() < limits.JOURNAL_SEGMENT_BYTES // 2:
            return
        with contextlib.suppress(OSError, ValueError):  # the next append will fail alike, and log it
            self._factory.prepare_spare(directory)

    # On any thread, under the lock, while nothing is being read.

    def start_new_directory(self) -> None:
        """Let the next record begin a new directory, because this one was deleted; open files can still be read."""
        self.finish_segment()
        for segment in self._unconfirmed:
            segment.deleted = True
        self._factory.close_spares()
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    def reopen(self) -> tuple[list[bytes], int] | None:
        """Let the next record begin another file, in a new directory if another process has locked this one meanwhile.

        Return the untaken records that the other process may miss, and how many it has; ``None`` if all are kept here.
        """
        self.finish_segment()
        self._factory.close_spares()
        if self._directory is not None and (found := self._directory.relock(self.path)) is not None:
            self._directory = found
            self._change_directory(found)
            return None
        unread, records = self.unread, [*self._open_files().take_mapped(self._unread), *self.deferred]
        self.reset_in_child()
        return records, max(unread - len(records), 0)

    def close_if_empty(self) -> Callable[[], None] | None:
        """Reset the journal if everything that was written is read and confirmed; a later record gets a new directory.

        Return a function that deletes the directory, to be called without the lock; ``None`` if something is left.
        """
        directory = self._directory
        if directory is None or not self._is_empty():
            return None
        self.finish_segment()
        files = self._open_files()
        if not self._is_empty() or self.current.writer is not None:  # another thread or a handler has appended just now
            return None
        self._reset()
        return lambda: files.delete(directory)

    def _is_empty(self) -> bool:
        read = self.read(1, 1, self.appended)
        is_read = read.segment is None and not read.retry_later
        return is_read and all(segment.confirmed == segment.taken for segment in self._unconfirmed)

    def trim(self) -> None:
        """Free preallocated disk space; a later record begins another file."""
        segment, directory = self.current.segment, self._directory
        if segment is not None and directory is not None:
            self.finish_segment()
            self.current.close_finished()  # or the room would be free only once the process has ended
            self._factory.discard_spares()
            trim_open(directory, segment)

    def _open_files(self) -> OpenFiles:
        spare = snapshot(self._factory.spares)
        writers = [*self.current.finished, *([self.current.writer] if self.current.writer else ())]
        writers += [writer for _, writer in spare]
        return OpenFiles({*self._unconfirmed, *self._unread, *(segment for segment, _ in spare)}, writers)

    def reset_in_child(self) -> None:
        """Close the files without changing them, which are the parent's after a fork, and begin anew."""
        self._open_files().close()
        if self._directory is not None:
            self._directory.close()
        self._pending_warnings.clear()
        self.outage = Outage(self.path)
        self._reset()
