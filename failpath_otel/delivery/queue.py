"""The queue: finished records that wait, within bounds, and counts of what became of all others."""

from collections.abc import Sequence
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.memory import Memory
from failpath_otel.delivery.receipt import Receipt
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.stats import Stats
from failpath_otel.errors import DeliveryError
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.place import JournalPlace
from failpath_otel.records import wire
from failpath_otel.records.record import Record, cut_down
from failpath_otel.report import warn
from failpath_otel.runtime.threads import RLock, sleep

NOTHING: Final = Batch((), 0, 0.0)
"""The batch where there is none."""


class RecordQueue:
    """Encoded records in their order, in a journal or in memory; used by any number of threads.

    A journal holds what waits, until it is full: then its oldest records go. Where there is none, or while it cannot be
    written, records are kept in memory, at most ``max_records`` and ``max_bytes``. Once these are full, what begins is
    refused, and there is room for what ends: an accepted start reserves the place of its outcome, because an outcome
    that is lost looks like a crash. At most half of the queue is held that way; beyond that many open steps, outcomes
    may exceed the bound, each cut to its identity and its status.

    The lock is reentrant, because a garbage collection or a signal handler can end a step inside any of these
    methods, on the same thread.
    """

    def __init__(self, max_records: int, max_bytes: int, journal: JournalPlace | None = None) -> None:
        self._max_records = max_records
        self._max_held = max_records // 2
        self._max_bytes = max_bytes
        self._journal: Final = None if journal is None else Journal(*journal, self._overflow)
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Sets up the state of this process; in a forked child, what was queued stays the parent's to send."""
        self._lock = RLock()
        if self._journal is not None:
            self._journal.forsake()
        self._journaling = self._journal is not None
        self._returning = False  # the journal can be written again, and what waits in memory goes into it
        self._moving = False
        self._memory = Memory()
        self._reserved = 0
        self._accepted = 0  # the numbers of the records that were accepted, taken and settled last
        self._taken = 0
        self._settled = 0
        self._heed_at = 0  # the number of the record that is worth a call
        self._unattended = False  # records have come, and nobody is there to take them
        self._doomed = 0  # accepted, and dropped from the journal since
        self._delivered = 0
        self._dropped: dict[str, int] = {}

    def put_start(self, record: bytes, receipt: Receipt | None = None) -> int:
        """Queues the ``running`` record of a step and reserves a place for its outcome.

        Returns:
            The record's number, from 1; 0 if it was not accepted. Where it was, :meth:`put_outcome`,
            :meth:`lose_outcome` or :meth:`forgo_outcome` has to follow once.
        """
        number = 0
        with self._lock:
            if (self._journaling and not self._closed) or self.has_room(2, len(record)):
                self._reserved += 1
                try:
                    self._put(record)
                except BaseException:
                    if not self._is_kept(record):
                        self._reserved -= 1  # no outcome will follow
                    elif receipt is not None:
                        receipt.running_number = self._accepted
                    raise
                number = self._accepted
                if receipt is not None:
                    receipt.running_number = number
        if self._unattended:
            self._start()
        if not number:
            self.refuse()
        return number

    def put_outcome(self, data: bytes, record: Record, receipt: Receipt | None = None) -> int:
        """Queues the outcome of a step whose start was accepted; where bytes are short, what is left of ``record``.

        Returns the record's number; 0 if it was not accepted.
        """
        with self._lock:
            closed, kept = self._closed, False
            try:
                if not closed:
                    if not self._journaling and self._memory.size + len(data) > self._max_bytes:
                        data = cut_down(record).to_json()
                    self._put(data)
                kept = True
            finally:
                if kept or self._is_kept(data):
                    self._reserved -= 1
                    if receipt is not None:
                        receipt.outcome_reported = True
            number = self._accepted
        if self._unattended:
            self._start()
        if closed:
            self.lose("shut_down")
        return 0 if closed else number

    def put(self, record: bytes) -> int:
        """Queues a record that stands alone; returns its number, 0 if it was not accepted."""
        return self.put_together([record])

    def put_together(self, records: Sequence[bytes]) -> int:
        """Queues all of ``records`` or none of them: a ``running`` without its outcome would look like a crash.

        Returns the number of the last of them; 0 if they were not accepted.
        """
        with self._lock:
            taken = self.has_room(len(records), sum(map(len, records)))
            if taken:
                for record in records:
                    self._put(record)
            number = self._accepted
        if self._unattended:
            self._start()
        for _ in () if taken else records:
            self.refuse()
        return number if taken else 0

    def refusal(self) -> DeliveryError:
        """Why a record was not accepted."""
        return Skipped(1, "shut_down" if self._closed else "queue_full").error()

    def has_room(self, records: int, size: int) -> bool:
        """Whether so many records of so many bytes together would be accepted now."""
        if self._closed:
            return False
        if self._journaling:
            return True
        # Beside a journal, what waits in there takes no room here.
        waiting = self._accepted - self._settled if self._journal is None else len(self._memory.waiting)
        records += waiting + min(self._reserved, self._max_held)
        return records <= self._max_records and self._memory.size + size <= self._max_bytes

    def refuse(self) -> None:
        """Counts a record that was not accepted: its own refusal, or that of the start which it belongs to."""
        self.lose("shut_down" if self._closed else "queue_full")

    def forgo_outcome(self) -> None:
        """Gives the place of an outcome back that will never come: nobody can end the step any more."""
        with self._lock:
            self._reserved -= 1

    def lose_outcome(self, reason: str) -> None:
        """Counts the outcome of a step whose start was accepted, and gives its place back."""
        with self._lock:
            self._reserved -= 1
        self.lose(reason)

    def lose(self, reason: str) -> None:
        """Counts a record that was lost before it could be queued."""
        with self._lock:
            first = reason not in self._dropped
            self._dropped[reason] = self._dropped.get(reason, 0) + 1
        error = Skipped(1, reason).error()
        # Not under the lock: a logging handler takes locks of its own.
        if first and reason == "queue_full":
            self._say_full(str(error))
        self._lost(error)

    def _lost(self, error: DeliveryError) -> None:
        """Records are lost; for those who tell somebody."""

    def _overflow(self, records: int) -> None:
        """The journal was full, and its oldest records are gone; under the lock."""
        self._doomed += records
        self._dropped["journal_full"] = self._dropped.get("journal_full", 0) + records

    def _say_full(self, text: str) -> None:
        warn("Failpath: %s.", text)

    def _put(self, record: bytes) -> None:
        self._accepted += 1  # before it is stored, so that a signal handler that counts does not count it twice
        try:
            if not (self._journaling and self._journal is not None and self._journal.append(record)):
                if self._journaling:
                    self._leave_journaling()
                self._memory.add(record)
                if self._returning:
                    self._move_one()  # or threads that record without a pause would never let the memory become empty
        except BaseException:
            self._accepted -= 1  # or it is counted when it is found
            raise
        if self._accepted >= self._heed_at:
            self._arrived()

    def _is_kept(self, record: bytes) -> bool:
        """Whether ``record`` was stored, where an exception has come in the midst of that; under the lock."""
        journal = self._journal
        kept = record in self._memory.waiting or (journal is not None and journal.holds(record))
        if kept:
            self._recount()
        return kept

    def _leave_journaling(self) -> None:
        """Have all that follows wait in memory, so that the order holds, until it is in the journal again or sent."""
        self._journaling = False
        assert self._journal is not None  # or there was no journaling
        while self._journal.held:
            self._memory.add(self._journal.held.popleft())

    def _move_one(self) -> None:
        """Move the oldest record in memory into the journal, if there is one; under the lock."""
        journal = self._journal
        if self._moving or journal is None:
            return
        if self._memory.waiting:
            before = None
            try:
                self._moving = True  # before anything is read of what a signal handler may change
                record, before = self._memory.waiting[0], journal.unread
                self._returning = journal.append(record)
            finally:
                if before is not None and journal.unread > before:  # also where Ctrl-C came just then
                    self._memory.move_out()
                self._moving = False
        if self._returning and not self._memory.waiting:
            self._returning, self._journaling = False, True
            journal.outage.end()

    def _arrived(self) -> None:
        """As many records have come as ``_heed_at`` says; for those who take them."""

    def _start(self) -> None:
        """Records have come, and nobody is there to take them; not under the lock, which a new thread may want."""

    def _recount(self) -> None:
        """Counts a record that was stored when a signal came, before it was counted; under the lock."""
        journal = self._journal
        if not self._moving:  # then a record is in both for a moment
            stored = len(self._memory.waiting) + (0 if journal is None else journal.unread)
            self._accepted = max(self._accepted, self._taken + stored)

    @property
    def _untaken(self) -> int:
        """How many records nobody has taken yet."""
        return self._accepted - self._taken

    def _take(self, max_bytes: int = limits.MAX_BATCH_BYTES) -> tuple[Batch, Skipped | None]:
        """The next batch, within the limits of the wire contract; it is in flight from now.

        Returns the batch, and, where it is empty, which records are lost that come next, and why.
        """
        if self._journal is not None:
            return self._take_from_journal(self._journal, max_bytes)
        with self._lock:
            return self._take_from_memory(max_bytes), None

    def _take_from_journal(self, journal: Journal, max_bytes: int) -> tuple[Batch, Skipped | None]:
        """As :meth:`_take`; what is in memory comes after what is in the journal."""
        with self._lock:  # no record is half-way into it
            before = self._accepted, journal.appended
        # Not under the lock: reading takes a while, and only one at a time does it.
        read = journal.read(limits.MAX_BATCH_RECORDS, wire.budget(max_bytes), before[1])
        batch, skipped = NOTHING, None
        with self._lock:
            taken = journal.take(read)  # or another thread has dropped what was read meanwhile
            if taken:
                self._count_taken(read.lost or len(read.written))
                self._recount()
                if read.lost:
                    skipped = Skipped(read.lost, read.reason)
                elif read.segment is None and not read.later and journal.appended == before[1]:
                    # Else records were moved into it meanwhile, which come first.
                    batch, skipped = self._take_behind(journal, before, max_bytes)
        journal.tidy()
        if read.later:
            sleep(limits.SCHEDULE_DELAY)
        if taken and read.written and not skipped:
            since = monotonic() - journal.age(read.written[0])
            return Batch([each.record for each in read.written], 0, since, source=journal), None
        return batch, skipped

    def _take_behind(self, journal: Journal, before: tuple[int, int], max_bytes: int) -> tuple[Batch, Skipped | None]:
        """What comes after a journal that has been read to its end, when so many were accepted and appended."""
        accepted, appended = before  # and not what a signal handler or a garbage collection has added since
        is_all = self._accepted == accepted and not self._memory.waiting and not journal.held
        missing = accepted - self._taken if is_all else appended - journal.taken
        if missing:  # it cannot be; better said than waited for without end
            journal.taken = appended
            self._taken += missing
            return NOTHING, Skipped(missing, "damaged")
        if journal.held:  # which could not be written, and may not be for long
            self._leave_journaling()
        return self._take_from_memory(
            max_bytes
        ) if self._memory.waiting and journal.appended == appended else NOTHING, None

    def _take_from_memory(self, max_bytes: int) -> Batch:
        batch = self._memory.take(max_bytes)
        self._count_taken(len(batch.records))
        return batch

    def _count_taken(self, records: int) -> None:
        self._taken += records
        self._heed_at = min(self._heed_at, self._taken + limits.MAX_BATCH_RECORDS)

    def _settle(self, records: int, size: int, delivered: int, reason: str) -> None:
        """Ends the flight of a batch; what of it was not delivered is lost for ``reason``."""
        with self._lock:
            self._settled += records
            self._memory.settle(records if size else 0, size, is_all=self._settled >= self._taken)
            self._delivered += delivered
            if delivered < records:
                self._dropped[reason] = self._dropped.get(reason, 0) + records - delivered

    @property
    def closed(self) -> bool:
        """Whether no more records are taken."""
        return self._closed

    @property
    def lossless(self) -> bool:
        """Whether no record has been lost since the process began."""
        return not self._dropped

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing will come of steps that are open."""
        with self._lock:
            self._recount()
            return self._settled == self._accepted and self._reserved <= 0

    def stats(self) -> Stats:
        """The counts at this moment."""
        with self._lock:
            self._recount()
            # All at once: a signal handler may end a step in between, and they would not add up.
            counts = self._accepted, self._settled, self._doomed, self._delivered, self._dropped.copy()
            accepted, settled, doomed, delivered, dropped = counts
            return Stats(accepted, delivered, max(accepted - settled - doomed, 0), dropped)
