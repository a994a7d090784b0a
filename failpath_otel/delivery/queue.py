"""The queue: finished records in their order, in a journal or in memory, until they are taken in batches."""

from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.figures.arrivals import Arrivals
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.memory import Memory
from failpath_otel.delivery.receipt import Ticket
from failpath_otel.delivery.retries.batch import NO_BATCH, Batch
from failpath_otel.delivery.wakeup import Wakeup
from failpath_otel.journal.current import UNKNOWN_TICKET
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records import request
from failpath_otel.records.compact import json_of
from failpath_otel.runtime.threads import sleep


class RecordQueue:
    """Encoded records in the order in which they came; used by any number of threads.

    A journal holds what waits. Where there is none, or while it cannot be written, records wait in memory, behind those
    in the journal. The bounds are in :class:`failpath_otel.delivery.admission.Admission`.

    Its lock guards the order: methods that say so are called under it. It is the ledger's, because a garbage collection
    or a signal handler can add a record inside any method of both; with two locks, two threads could deadlock. The
    usual record goes into the journal past it, in :class:`failpath_otel.delivery.admission.Admission` (decision 0035).

    Args:
        ledger: counts the records that the journal has dropped.
        wakeup: wakes the delivery thread when records come.
        place: where the journal is; ``None``: there is none.
        memory: where records wait that are in no journal.
    """

    def __init__(
        self, ledger: Ledger, wakeup: Wakeup, place: JournalLocation | None = None, memory: Memory | None = None
    ) -> None:
        self._ledger: Final = ledger
        self._wakeup: Final = wakeup
        self.journal: Final = None if place is None else Journal(*place, self._evict)
        self.memory: Final = memory or Memory()
        self.closed = False
        """Whether no more records are accepted."""
        self._arrivals: Final = Arrivals()
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin with nothing, after the ledger: what was queued before a fork stays the parent's to send."""
        self.lock = self._ledger.lock
        if self.journal is not None:
            self.journal.reset_in_child()
        self.memory.clear()
        self._arrivals.clear()
        self.journaling = self.journal is not None
        """Whether what comes now goes into the journal."""
        self.is_refilling = False
        """Whether what waits in memory moves into the journal, which can be written again."""
        self._moving = False
        self.accepted = 0
        """The number of the record that came last, as far as :meth:`recount` has counted."""
        self.taken = 0
        """The number of the record that was taken last."""
        self.skipped: Skipped | None = None
        """Records that were taken and cannot be sent; they are settled once nothing is before them."""

    # Records come: under the lock.

    def add(self, record: bytes) -> Ticket:
        """Append a record and return its ticket; under the lock."""
        journal = self.journal
        if self.journaling and journal is not None:
            ticket = journal.append(record)
            if ticket:
                if journal.current.way is None and not self.closed:
                    journal.open_way(self.taken - journal.taken)
                accepted = self.recount()
                if self._wakeup.quiet or accepted >= self._wakeup.due_at:
                    self._wakeup.note_arrival(accepted, self.taken)
                return ticket
            self.stop_journaling()
        self.accepted += 1  # before it is stored, so that a signal handler that counts does not count it twice
        try:
            self.memory.add(record)
            if self.is_refilling:
                # Or threads that record without a pause would never let the memory become empty.
                self.move_one_to_journal()
        except BaseException:
            self.accepted -= 1  # or it is counted when it is found
            raise
        if self._wakeup.quiet or self.accepted >= self._wakeup.due_at:
            self._wakeup.note_arrival(self.accepted, self.taken)
        return self.accepted

    def is_kept(self, record: bytes) -> bool:
        """Return whether ``record`` was stored although an exception interrupted that; under the lock."""
        journal = self.journal
        kept = record in self.memory.waiting or (journal is not None and journal.has_just_appended(record))
        if kept:
            self.recount()
        return kept

    def recount(self) -> int:
        """Count also what came past the lock, or was interrupted; return :attr:`accepted`; under the lock."""
        journal = self.journal
        if not self._moving:  # then a record is in both for a moment
            stored = len(self.memory.waiting) + (0 if journal is None else journal.unread)
            self.accepted = max(self.accepted, self.taken + stored)
        return self.accepted

    def count(self) -> int:
        """Return the number of the record that came last."""
        with self.lock:
            return self.recount()

    def number_of(self, ticket: Ticket) -> int:
        """Return the number of a record; where its place is not known any more, that of one which came later."""
        with self.lock:
            latest = self.recount()
            if self.journal is None or ticket <= UNKNOWN_TICKET:
                return min(ticket, latest)
            found = self.journal.number_of(ticket)
            # All records of a segment that is gone were taken.
            return self.taken if found is None else min(found, latest)

    @property
    def untaken(self) -> int:
        """How many records were not taken yet."""
        with self.lock:
            accepted = self.recount()
            self._arrivals.look(accepted, self.taken)
            return accepted - self.taken

    def waiting_since(self) -> float | None:
        """Return since when the oldest record waits that was not taken, by the monotonic clock; under the lock."""
        self._arrivals.look(self.recount(), self.taken)
        return self._arrivals.oldest()

    def _evict(self, records: int) -> None:
        """Count the oldest records of a full journal, which it has dropped; under the lock."""
        self._ledger.evict(records)
        self._wakeup.ring()

    def close(self) -> None:
        """Accept no more records; under the lock."""
        self.closed = True
        if self.journal is not None:
            self.journal.close_way()

    # Between the journal and the memory: under the lock.

    def stop_journaling(self) -> None:
        """Keep all that follows in memory, so that the order holds, until it is in the journal again or sent."""
        assert self.journal is not None  # or there was no journaling
        self.journal.close_way()  # what comes past the lock would be among what moves there later
        self.recount()
        self.journaling = False
        while self.journal.deferred:
            self.memory.add(self.journal.deferred.popleft())
        self._wakeup.ring()

    def move_one_to_journal(self) -> None:
        """Move the oldest record in memory into the journal, if there is one; the last one ends the refilling."""
        journal = self.journal
        if self._moving or journal is None:
            return
        if self.memory.waiting:
            before = None
            try:
                self._moving = True  # before anything is read of what a signal handler may change
                record, before = self.memory.waiting[0], journal.unread
                self.is_refilling = bool(journal.append(record))
            finally:
                if before is not None and journal.unread > before:  # also where Ctrl-C came just then
                    self.memory.move_out()
                self._moving = False
        if self.is_refilling and not self.memory.waiting:
            self.is_refilling, self.journaling = False, True
            journal.outage.record_recovery()

    def take_back(self, batch: Batch) -> None:
        """Put a batch that was taken from memory before what waits there."""
        self.taken -= len(batch.records)
        self.memory.take_back(batch)

    # Records are taken: by one thread at a time.

    def take(self, max_bytes: int = limits.MAX_BATCH_BYTES) -> tuple[Batch, Skipped | None]:
        """Take the next batch, within the limits of the wire contract; it is in flight from now.

        Returns:
            The batch, and, where it is empty, the records that come next and cannot be sent.
        """
        if self.journal is not None:
            return self._take_from_journal(self.journal, max_bytes)
        with self.lock:
            return self._take_from_memory(max_bytes), None

    def _take_from_journal(self, journal: Journal, max_bytes: int) -> tuple[Batch, Skipped | None]:
        """Take from the journal; what is in memory comes after what is in the journal."""
        with self.lock:  # no record is half-way into it
            before = self.recount(), journal.appended
        # Not under the lock: reading takes a while, and only one at a time does it.
        read = journal.read(limits.MAX_BATCH_RECORDS, request.record_budget(max_bytes), before[1])
        # Before they are taken: of what is taken and in no batch, nothing knows any more, where memory is short.
        records = [] if read.lost else [json_of(each.record) for each in read.records]
        batch, skipped = NO_BATCH, None
        with self.lock:
            taken = journal.take(read)  # or another thread has dropped what was read meanwhile
            after = self.taken
            first = after + 1
            if taken:
                self._count_taken(read.lost or len(read.records))
                self.recount()
                if read.lost:
                    skipped = Skipped(read.lost, read.reason)
                elif read.segment is None and not read.retry_later and journal.appended == before[1]:
                    # Else records were moved into it meanwhile, which come first.
                    batch, skipped = self._take_after_journal(journal, before, max_bytes)
        journal.maintain()
        if read.retry_later:
            sleep(limits.SCHEDULE_DELAY)
        if taken and records and not skipped:
            since = monotonic() - journal.age(read.records[0])
            tickets = range(first, first + len(records))
            return Batch(records, 0, since, source=journal, tickets=tickets, after=after), None
        return batch, skipped

    def _take_after_journal(
        self, journal: Journal, before: tuple[int, int], max_bytes: int
    ) -> tuple[Batch, Skipped | None]:
        """Take what comes after a journal that was read to its end; ``before``: its counts before that reading."""
        accepted, appended = before  # without what a signal handler or a garbage collection has added since
        is_all = self.accepted == accepted and not self.memory.waiting and not journal.deferred
        missing = accepted - self.taken if is_all else appended - journal.taken
        if missing:  # never expected, but a report is better than a wait without end
            journal.taken = appended
            self.taken += missing
            return NO_BATCH, Skipped(missing, "damaged")
        if journal.deferred:  # which could not be written, and may not be for long
            self.stop_journaling()
        is_next = self.memory.waiting and journal.appended == appended
        return self._take_from_memory(max_bytes) if is_next else NO_BATCH, None

    def _take_from_memory(self, max_bytes: int) -> Batch:
        since = self.waiting_since()
        batch = self.memory.take(max_bytes, self.taken + 1, self.taken, since)
        self._count_taken(len(batch.records))
        return batch

    def taken_before(self, records: int) -> int:
        """Return the number of the record before the so many that were taken last."""
        return self.taken - records

    def _count_taken(self, records: int) -> None:
        self.taken += records
        self._wakeup.note_taken(self.taken)

    def settle(self, batch: Batch) -> None:
        """Free the memory of a batch that is delivered or lost, before the ledger settles it."""
        with self.lock:
            is_all = self._ledger.settled + len(batch.records) >= self.taken
            self.memory.settle(len(batch.records) if batch.size else 0, batch.size, is_all=is_all)

    def confirm(self, batch: Batch) -> None:
        """Note in the journal that a batch of its records is settled; within the attempt that has settled it.

        After the attempt the journal may be closed, and its descriptors become those of other files.
        """
        journal = self.journal
        if journal is not None and batch.source is journal:
            journal.confirm(len(batch.records))
