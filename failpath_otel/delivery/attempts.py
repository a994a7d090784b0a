"""Attempts: what is sent next, and what becomes of the records of each."""

from dataclasses import dataclass

from failpath_otel import limits
from failpath_otel.delivery.journal_upkeep import JournalUpkeep
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.retries.batch import NO_BATCH, Batch
from failpath_otel.delivery.sender import Outcome, Sender
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.errors import SendError
from failpath_otel.journal.orphan import Orphan
from failpath_otel.report import warn_once


@dataclass(eq=False)
class Attempts:
    """Makes one attempt at a time, on any thread, and has the ledger count what became of it.

    Has no lock: the sender makes one attempt at a time. When one is made is the matter of
    :class:`failpath_otel.delivery.worker.Worker`.
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
        """Send the batch that is next, and see to what became of it; for at most ``within`` seconds, if given."""
        outcome = self.sender.attempt(self._next_batch, within)
        if outcome is None:
            if self.sender.dividing and self.sender.failure is not None:
                self.ledger.attempt_divided(self.sender.failure)
        elif self.orphans is not None and isinstance(outcome.batch.source, Orphan):
            self._settle_orphans(self.orphans, outcome.batch.source, outcome)
        elif outcome.settled:
            self.queue.settle(outcome.batch)
            self.ledger.settle(outcome.batch, outcome.delivered, outcome.reason, outcome.error, outcome.rejected)
        else:
            self._fail(outcome)

    def has_work(self) -> bool:
        """Return whether there is anything to send or to settle."""
        return bool(self.queue.untaken or self.sender.retries or self.queue.skipped or self.orphans)

    def has_waiters(self) -> bool:
        """Return whether anything waits for records to be sent."""
        return self.ledger.waiters > 0

    def is_urgent(self) -> bool:
        """Return whether there are waiters, or a batch is full, whatever the endpoint finds full at the moment."""
        return bool(self.ledger.waiters or self.is_behind or self.queue.untaken >= limits.MAX_BATCH_RECORDS)

    def report_evicted(self) -> None:
        """Log and report what the journal had to drop."""
        records = self.ledger.take_evicted()
        if records:
            warn_once("journal full", "Failpath: the journal is full; its oldest records are dropped.")
            self.ledger.report(Skipped(records, "journal_full").error())

    def _next_batch(self, max_bytes: int) -> Batch:
        """Take own records, and in turn with them those that gone processes have left."""
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
        if skipped.reason == "too_old" and self.queue.journal is not None:
            self.queue.journal.confirm(skipped.records)
        if skipped.reason not in {"journal_full", "left"}:
            warn_once(f"journal {skipped.reason}", "Failpath: %s.", skipped.error())
        self.ledger.pass_over(skipped, self.queue.taken_before(skipped.records), self.queue.taken)

    def _settle_orphans(self, orphans: OrphanSource, source: Orphan, outcome: Outcome) -> None:
        """See to records that this process did not record: no waiter here is for them."""
        if not outcome.settled:
            self._fail(outcome)
            return
        orphans.settle(source, len(outcome.batch.records), outcome.delivered, outcome.reason)
        for error in (outcome.error, *(error for _, error in outcome.rejected)):
            if error is not None:
                self.callback.call(error)

    def _fail(self, outcome: Outcome) -> None:
        """See to a batch that has to be sent again."""
        error = outcome.error
        assert isinstance(error, SendError)  # or the batch would not be kept
        # A failure of the key, the way or the set-up will be there in half a second too, so all waits end.
        if self.ledger.attempt_failed(error, lasting=outcome.persistent):
            self.sender.retries.retry_now(limits.RETRY_FIRST_DELAY)
        if outcome.first:
            self.callback.call(error)
