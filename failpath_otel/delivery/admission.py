"""Which records are accepted: the bounds of the queue, and the places that are reserved for outcomes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from zlib import crc32

from failpath_otel import limits
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.receipt import Receipt, Ticket
from failpath_otel.delivery.wakeup import Wakeup
from failpath_otel.errors import DeliveryError
from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.journal.current import CurrentSegment
from failpath_otel.journal.segments.frame import FRAME_BYTES, pack_frame
from failpath_otel.records.compact import cut_down
from failpath_otel.report import logging_is_configured, warn


@dataclass(eq=False)
class Admission:
    """The way into the queue, on any thread; never blocks on the network.

    A journal takes what comes until it is full: then its oldest records go. Without one, at most ``max_records`` and
    ``max_bytes`` wait in memory. Once these are full, what begins is refused, and there is room for what ends: an
    accepted start reserves the place of its outcome, because an outcome that is lost looks like a crash. These places
    take at most half of the records, or steps that stay open for long would take all of them; with more open steps,
    outcomes may exceed the bound, each cut to its identity and its status.

    Has no lock of its own. A record that the journal takes is appended without any, by :meth:`put_start` and
    :meth:`put_outcome` (decision 0035); all others are decided on and added under the lock of the queue.

    Args:
        queue: takes what is accepted.
        ledger: counts what is refused.
        wakeup: knows whether a thread must be started.
        start: starts it; called without the lock.
        is_failing: whether the endpoint takes nothing at the moment.
        max_records: how many records may wait in memory.
        max_bytes: how many bytes of them.
    """

    queue: RecordQueue
    ledger: Ledger
    wakeup: Wakeup
    start: Callable[[], object]
    is_failing: Callable[[], bool]
    max_records: int
    max_bytes: int

    def __post_init__(self) -> None:
        self._max_reserved = self.max_records // 2
        journal = self.queue.journal
        self._current = CurrentSegment() if journal is None else journal.current  # the former is never written to
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Expect no outcome: the steps that are open are the parent's."""
        self.reserved = 0

    def put_start(self, record: bytes, receipt: Receipt | None = None) -> Ticket:
        """Queue the ``running`` record of a step and reserve a place for its outcome.

        Returns:
            The record's ticket; 0 if it was not accepted. Where it was, :meth:`put_outcome`, :meth:`lose_outcome` or
            :meth:`forgo_outcome` must follow once.
        """
        current = self._current
        way = current.way
        if way is None:
            return self.put_start_locked(record, receipt)
        seconds = int(current.epoch + monotonic())
        framed = pack_frame(len(record), crc32(record, seconds), seconds) + record
        tell = way.tell
        start = written = 0
        self.reserved += 1
        try:
            start = tell()
            written = way.write(framed)
            end = tell()
            ticket = way.base + end if end - start == written else way.find(framed, start, written)
            if receipt is not None:
                receipt.running_ticket = ticket
        except BaseException as error:
            ticket = way.find(framed, start, written)
            if not ticket:
                self.reserved -= 1  # no outcome will follow
            elif receipt is not None:
                receipt.running_ticket = ticket
            is_ours = isinstance(error, ValueError) and not is_from_handler(error)
            if not is_ours or (ticket and not way.is_closed()):
                raise
        if not ticket:  # the segment is full, or was sealed meanwhile
            return self.put_start_locked(record, receipt)
        way.count += 1
        if self.wakeup.quiet or way.count >= self.wakeup.due_at:
            self._note_arrival(way.count)
        return ticket

    def put_start_locked(self, record: bytes, receipt: Receipt | None = None) -> Ticket:
        """Do the same under the lock, in any case."""
        ticket, queue = 0, self.queue
        with queue.lock:
            # With far less than the bounds, which is the usual case, that is clear without a call.
            has_room = (
                (queue.journaling or queue.accepted - self.ledger.settled + self.reserved < self.max_records - 2)
                and queue.memory.size < self.max_bytes - limits.MAX_RECORD_BYTES
                and not queue.closed
            )
            if has_room or self.has_room(2, len(record)):
                self.reserved += 1
                try:
                    ticket = queue.add(record)
                except BaseException:
                    if not queue.is_kept(record):
                        self.reserved -= 1  # no outcome will follow
                    elif receipt is not None:
                        receipt.running_ticket = queue.accepted
                    raise
                if receipt is not None:
                    receipt.running_ticket = ticket
        if self.wakeup.start_is_due:
            self.start()
        if not ticket:
            self.refuse()
        return ticket

    def put_outcome(self, data: bytes, receipt: Receipt | None = None) -> Ticket:
        """Queue the outcome of a step whose start was accepted; where bytes are short, its identity and its status.

        Returns:
            The record's ticket; 0 if it was not accepted.
        """
        current = self._current
        way = current.way
        if way is None:
            return self.put_outcome_locked(data, receipt)
        seconds = int(current.epoch + monotonic())
        framed = pack_frame(len(data), crc32(data, seconds), seconds) + data
        tell = way.tell
        start = written = 0
        try:
            start = tell()
            written = way.write(framed)
            if receipt is not None:
                receipt.outcome_reported = True
            self.reserved -= 1
            end = tell()
            ticket = way.base + end if end - start == written else way.find(framed, start, written)
        except BaseException as error:
            ticket = way.find(framed, start, written)
            if ticket and not (written if receipt is None else receipt.outcome_reported):
                self.reserved -= 1
                if receipt is not None:
                    receipt.outcome_reported = True
            is_ours = isinstance(error, ValueError) and not is_from_handler(error)
            if not is_ours or (ticket and not way.is_closed()):
                raise
        if not ticket:
            return self.put_outcome_locked(data, receipt)
        way.count += 1
        if self.wakeup.quiet or way.count >= self.wakeup.due_at:
            self._note_arrival(way.count)
        return ticket

    def put_outcome_locked(self, data: bytes, receipt: Receipt | None = None) -> Ticket:
        """Do the same under the lock, in any case."""
        queue, ticket = self.queue, 0
        with queue.lock:
            closed, kept = queue.closed, False
            try:
                if not closed:
                    if not queue.journaling and queue.memory.size + len(data) > self.max_bytes:
                        data = cut_down(data)
                    ticket = queue.add(data)
                kept = True
            finally:
                if kept or queue.is_kept(data):
                    self.reserved -= 1
                    if receipt is not None:
                        receipt.outcome_reported = True
        if self.wakeup.start_is_due:
            self.start()
        if closed:
            self.ledger.lose("shut_down")
        return ticket

    def _note_arrival(self, accepted: int) -> None:
        """Wake the thread; where there is none, have one started. Takes no lock unless one is started."""
        self.wakeup.note_arrival(accepted, self.queue.taken)
        if self.wakeup.start_is_due:
            self.start()

    def put(self, record: bytes) -> Ticket:
        """Queue a record that stands alone; return its ticket, 0 if it was not accepted."""
        return self.put_together([record])

    def put_together(self, records: Sequence[bytes]) -> Ticket:
        """Queue all of ``records`` or none of them: a ``running`` without its outcome would look like a crash.

        Returns:
            The ticket of the last of them; 0 if they were not accepted, and count as lost.
        """
        with self.queue.lock:
            accepted = self.has_room(len(records), sum(map(len, records)))
            number = self._add(records) if accepted else 0
        if self.wakeup.start_is_due:
            self.start()
        for _ in () if accepted else records:
            self.refuse()
        return number

    def put_safely(self, records: Sequence[bytes]) -> tuple[Ticket, bool]:
        """Queue all of ``records``, or none of them: then the caller keeps them, and none counts as lost.

        Unlike the other ways in, this one accepts no more than a journal has room for without dropping its oldest.

        Returns:
            The ticket of the last of them, 0 if they were not accepted; and whether all are in the journal now.
        """
        size = sum(map(len, records))
        with self.queue.lock:
            if not self.has_safe_room(len(records), size):
                return 0, False
            accepted = self._add(records), self.queue.journaling
        if self.wakeup.start_is_due:
            self.start()
        return accepted

    def _add(self, records: Sequence[bytes]) -> Ticket:
        ticket = 0
        for record in records:
            ticket = self.queue.add(record)
        return ticket

    def has_room(self, records: int, size: int) -> bool:
        """Return whether ``records`` records of ``size`` bytes together would be accepted now."""
        queue = self.queue
        if queue.closed:
            return False
        if queue.journaling:
            return True
        # Beside a journal, what waits in there takes no room here.
        waiting = queue.accepted - self.ledger.settled if queue.journal is None else len(queue.memory.waiting)
        records += waiting + min(self.reserved, self._max_reserved)
        return records <= self.max_records and queue.memory.size + size <= self.max_bytes

    def has_safe_room(self, records: int, size: int) -> bool:
        """Return whether :meth:`put_safely` would accept them now."""
        with self.queue.lock:
            journal = self.queue.journal if self.queue.journaling else None
            if journal is not None and journal.free_bytes() < size + records * FRAME_BYTES:
                return False
            return self.has_room(records, size)

    def refuse(self) -> None:
        """Count a record that was not accepted: its own refusal, or that of the start which it belongs to."""
        if self.queue.closed:
            self.ledger.lose("shut_down")
        elif self.ledger.lose("queue_full") and (
            # On stderr an outage is one line: its own, or that of the exit.
            logging_is_configured() or (self.ledger.delivered and not self.is_failing())
        ):
            # Not under the lock: a logging handler takes locks of its own.
            warn("Failpath: %s.", str(Skipped(1, "queue_full").error()))

    def refusal(self) -> DeliveryError:
        """Return why a record was not accepted."""
        return Skipped(1, "shut_down" if self.queue.closed else "queue_full").error()

    def forgo_outcome(self) -> None:
        """Give the place of an outcome back that will never come: nothing can end the step any more."""
        with self.queue.lock:
            self.reserved -= 1

    def lose_outcome(self, reason: str) -> None:
        """Count the outcome of a step whose start was accepted as lost, and give its place back."""
        with self.queue.lock:
            self.reserved -= 1
        self.ledger.lose(reason)

    def is_idle(self) -> bool:
        """Return whether nothing waits and nothing will come of steps that are open."""
        with self.queue.lock:
            return self.queue.recount() == self.ledger.settled and self.reserved <= 0
