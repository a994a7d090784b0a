"""Attempts: what is sent next, and what becomes of the records of each."""

from dataclasses import dataclass

from failpath_otel import limits
from failpath_otel.delivery.journal_upkeep import JournalUpkeep
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.retries.batch import NO_BATCH, Batch
from failpath_otel.delivery.sender import AttemptResult, Sender
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.errors import SendError
from failpath_otel.journal.orphan import Orphan
from failpath_otel.report import warn_once


@dataclass(eq=False)
class Attempts:
    """Makes one attempt at a time, on any thread, and has the ledger count what became of it.

    Has no lock: the sender makes one attempt at a time. :class:`failpath_otel.delivery.worker.Worker` knows when.
    """

    queue: RecordQueue
    ledger: Ledger
    sender: Sender
    upkeep: JournalUpkeep
    orphans: OrphanSource | None
    callback: ErrorCallback

    def __post_init__(self) -> None:
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin with no attempt."""
        self._is_turn_of_orphans = False
        self.is_behind = False
        """Whether more waited than the batch that was taken last could hold."""

    def make(self, within: float | None = None) -> None:
        """Send the next batch, for at most ``within`` seconds if given, and count and report the result."""
        result = self.sender.attempt(self._next_batch, within)
        if result is None:
            if self.sender.dividing and self.sender.failure is not None:
                self.ledger.attempt_divided(self.sender.failure)
        elif self.orphans is not None and isinstance(result.batch.source, Orphan):
            self._settle_orphans(self.orphans, result.batch.source, result)
        elif result.settled:
            self.queue.settle(result.batch)
            self.ledger.settle(result.batch, result.delivered, result.reason, result.error, result.rejected)
        else:
            self._fail(result)
        if result is not None and self.sender.in_flight is result.batch:
            self.sender.in_flight = None

    def has_work(self) -> bool:
        """Return whether there is anything to send or to settle."""
        return bool(self.queue.untaken or self.sender.retries or self.queue.skipped or self.orphans)

    def is_urgent(self) -> bool:
        """Return whether there are waiters, or the records that wait fill a batch of the size at present."""
        return bool(self.ledger.waiter_count or self.is_behind or self.queue.untaken >= limits.MAX_BATCH_RECORDS)

    def report_evicted(self) -> None:
        """Log and report what the journal had to drop."""
        records = self.ledger.take_evicted()
        if records:
            warn_once("journal full", "Failpath: the journal is full; its oldest records are dropped.")
            self.ledger.report(Skipped(records, "journal_full").error())

    def _next_batch(self, max_bytes: int) -> Batch:
        """Take the next batch: of own records and of orphans by turns."""
        self.upkeep.mend()
        queue = self.queue
        if self.sender.retries:
            return self._further_batch(max_bytes)
        if queue.skipped is not None:
            due, queue.skipped = queue.skipped, None
            self._pass_over(due)
        if self.orphans and (self._is_turn_of_orphans or not queue.untaken):
            self._is_turn_of_orphans = False
            batch = self.orphans.take(max_bytes)
            if batch is not None:
                return batch
        self._is_turn_of_orphans = True
        while True:
            batch, skipped = queue.take(max_bytes)
            if skipped is None:
                self.is_behind = bool(batch.records and queue.untaken)
                return batch
            self._pass_over(skipped)

    def _further_batch(self, max_bytes: int) -> Batch:
        """Take own records, while others that were taken before them are not settled."""
        if self.queue.skipped is not None or not self.queue.untaken:
            return NO_BATCH
        batch, self.queue.skipped = self.queue.take(max_bytes)
        return batch

    def _pass_over(self, skipped: Skipped) -> None:
        """Settle records that the journal has lost."""
        try:
            if skipped.reason == "too_old" and self.queue.journal is not None:
                self.queue.journal.confirm(skipped.records)
            if skipped.reason not in {"journal_full", "left"}:
                warn_once(f"journal {skipped.reason}", "Failpath: %s.", skipped.error())
        finally:  # also where a signal handler or a logging handler raises: nothing else settles them
            self.ledger.pass_over(skipped, self.queue.taken_before(skipped.records), self.queue.taken)

    def _settle_orphans(self, orphans: OrphanSource, source: Orphan, result: AttemptResult) -> None:
        """Count and report the result of an attempt with records of another process, for which there are no waiters."""
        if not result.settled:
            self._fail(result)
            return
        orphans.settle(source, len(result.batch.records), result.delivered, result.reason)
        for error in (result.error, *(error for _, error in result.rejected)):
            if error is not None:
                self.callback.call(error)

    def _fail(self, result: AttemptResult) -> None:
        """End the waits for a batch that failed and is kept for a retry, and report its first failure."""
        error = result.error
        assert isinstance(error, SendError)  # or the batch would not be kept
        # A failure of the key, the way or the set-up will be there in half a second too, so all waits end.
        if self.ledger.attempt_failed(error, lasting=result.persistent):
            self.sender.retries.retry_now(limits.RETRY_FIRST_DELAY)
        if result.first:
            self.callback.call(error)
