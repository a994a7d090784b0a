"""The queue with attempts to send what is in it, and with what becomes of the records of each."""

import itertools
from collections import deque
from dataclasses import replace
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.orphans import Adoption
from failpath_otel.delivery.queue import NOTHING, RecordQueue
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.sender import Delivering, Outcome, Sender
from failpath_otel.delivery.stats import Stats
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.delivery.waiters.waiters import Loss, Watcher, Watchers
from failpath_otel.errors import DeliveryError, SendError
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.journal.orphan import Orphan
from failpath_otel.options.arguments import OnError
from failpath_otel.report import logging_is_configured, warn_once
from failpath_otel.runtime.threads import sleep

_LOSSES_KEPT: Final = 2 * limits.MAX_BATCH_RECORDS
"""Losses that are remembered for those who ask for a record afterwards."""


class Attempts(RecordQueue):
    """Makes one attempt at a time; when, is :class:`failpath_otel.delivery.worker.DeliveryThread`'s part."""

    def __init__(
        self,
        delivery: Delivering,
        max_records: int,
        max_bytes: int,
        on_error: OnError | None,
        journal: JournalLocation | None,
    ) -> None:
        self._delivery = delivery
        self._place: Final = journal
        self._callback = ErrorCallback(on_error)
        self._adoption = None if journal is None else Adoption(*journal, tell=self._callback.call)
        super().__init__(max_records, max_bytes, journal)

    def _begin(self) -> None:
        super()._begin()
        self._hurry = 0  # how many wait for everything, and for an attempt
        self._urgent = 0
        self._watchers = Watchers()
        binding = "" if self._place is None else self._place.binding
        self._sender = Sender(self._delivery, lambda: sum(self._dropped.values()), self._confirm, binding)
        self._backlog = self._sender.backlog
        self._at_end = False
        self._others_next = False  # it is the turn of what gone processes have left
        self._full = False  # more waited than the batch that was taken last could hold
        self._skipped: Skipped | None = None  # come next, and are to be passed over once nothing is before them
        self._overflowed = 0
        if self._adoption is not None:
            self._adoption.forsake()
        self._first_loss: DeliveryError | None = None
        self._losses: deque[Loss] = deque(maxlen=_LOSSES_KEPT)
        self._left = 0  # records in journals that were left to another process

    def _next_batch(self, max_bytes: int) -> Batch:
        """Own records, and in turn with them those that gone processes have left."""
        self._look_after_journal()
        if self._backlog:
            return self._further_batch(max_bytes)
        if self._skipped is not None:
            due, self._skipped = self._skipped, None
            self._pass_over(due)
        if self._adoption and (self._others_next or not self._untaken):
            self._others_next = False
            batch = self._adoption.take(max_bytes)
            if batch is not None:
                return batch
        self._others_next = True
        while True:
            batch, skipped = self._take(max_bytes)
            if skipped is None:
                self._full = bool(batch.records and self._untaken)
                return batch
            self._pass_over(skipped)

    def _further_batch(self, max_bytes: int) -> Batch:
        """Own records, while others that were taken before them are not settled."""
        if self._skipped is not None or not self._untaken:
            return NOTHING
        batch, self._skipped = self._take(max_bytes)
        return batch

    def _pass_over(self, skipped: Skipped) -> None:
        """Settles records that the journal has lost."""
        error = skipped.error()
        with self._lock:
            before = self._settled
            if skipped.reason == "journal_full":  # counted and told when it happened
                self._doomed -= skipped.records
                self._settled += skipped.records
            elif skipped.reason == "left":  # to another process, which delivers them
                self._settled += skipped.records
                self._left += max(skipped.records - self._doomed, 0)
                self._doomed = 0
            else:
                self._settle(skipped.records, 0, 0, skipped.reason)
            losses = [Loss(before + 1, self._settled, error)]
            self._losses.extend(losses)
            due = self._watchers.settled(self._settled, losses)
        if skipped.reason == "too_old" and self._journal is not None:
            self._journal.confirm(skipped.records)
        if skipped.reason not in {"journal_full", "left"}:
            warn_once(f"journal {skipped.reason}", "Failpath: %s.", error)
            self._lost(error)
        for watcher in due:
            watcher.tell()

    def _overflow(self, records: int) -> None:
        super()._overflow(records)
        self._overflowed += records

    def _report_overflow(self) -> None:
        with self._lock:
            records, self._overflowed = self._overflowed, 0
        if records:
            warn_once("journal full", "Failpath: the journal is full; its oldest records are dropped.")
            self._lost(Skipped(records, "journal_full").error())

    def _attempt(self, within: float | None = None) -> None:
        """Sends the batch that is next, and sees to what became of it; for at most ``within`` seconds, if given."""
        outcome = self._sender.attempt(self._next_batch, within)
        if outcome is None:
            if self._sender.dividing:
                self._tell_of_division()
            return
        source = outcome.batch.source
        if self._adoption is not None and isinstance(source, Orphan):
            self._settle_adopted(self._adoption, source, outcome)
            return
        error = outcome.error
        losses: list[Loss] = []
        with self._lock:
            before = self._settled
            if outcome.settled:
                count = len(outcome.batch.records)
                self._settle(count, outcome.batch.size, outcome.delivered, outcome.reason)
                losses = [Loss(before + index + 1, before + index + 1, each) for index, each in outcome.rejected]
                if error is not None:
                    losses.append(Loss(before + 1, self._settled, error))
                self._losses.extend(losses)
                due = self._watchers.settled(self._settled, losses)
            else:
                due = self._watchers_of_failure(outcome)
        # First those who may be asked by those who are told.
        for loss in losses:
            self._lost(loss.error)
        for watcher in due:
            watcher.tell()
        if not outcome.settled and outcome.first and error is not None:
            self._callback.call(error)

    def _confirm(self, outcome: Outcome) -> None:
        # Not after the attempt: somebody may close the journal then, and its descriptors become those of other files.
        journal = self._journal
        if journal is not None and outcome.batch.source is journal:
            journal.confirm(len(outcome.batch.records))

    def _tell_of_division(self) -> None:
        """What was sent goes out in parts: those who wait for one attempt do not wait for all of these."""
        error = self._sender.failure
        if error is not None:
            with self._lock:
                due = self._watchers.divided(self._settled, error)
            for watcher in due:
                watcher.tell()

    def _watchers_of_failure(self, outcome: Outcome) -> list[Watcher]:
        """Those who do not wait any longer, now that a batch has to be sent again; under the lock."""
        error = outcome.error
        assert isinstance(error, SendError)  # or the batch would not be kept
        # A failure of the key, the way or the set-up will be there in half a second too, so all waits end.
        due = self._watchers.attempted(self._settled, error, everybody=outcome.persistent)
        if self._hurry and not outcome.persistent:
            self._backlog.hurry(limits.RETRY_FIRST_DELAY)
        return due

    def _settle_adopted(self, adoption: Adoption, source: Orphan, outcome: Outcome) -> None:
        """What became of records that this process did not record: nobody here waits for them."""
        if outcome.settled:
            adoption.settle(source, len(outcome.batch.records), outcome.delivered, outcome.reason)
            for error in (outcome.error, *(error for _, error in outcome.rejected)):
                if error is not None:
                    self._callback.call(error)
            return
        with self._lock:
            due = self._watchers_of_failure(outcome)
        for watcher in due:
            watcher.tell()
        if outcome.first and outcome.error is not None:
            self._callback.call(outcome.error)

    def _tidy_journal(self) -> None:
        """Does for the journal what is not to be done on the threads of the application."""
        if self._journal is not None and self._sender.begin_alone():
            try:
                self._look_after_journal()
                self._resume_journal(self._journal)
                self._journal.maintain()
            finally:
                self._sender.end_alone()

    def _look_after_journal(self) -> None:
        """Have the journal begin anew where that is needed; within an attempt, or while none is made."""

    @property
    def _is_journal_due(self) -> bool:
        """Whether a journal that has failed is to be tried again."""
        if self._journaling or self._journal is None:
            return False
        return self._returning or self._at_end or self._journal.outage.may_retry()

    def _resume_journal(self, journal: Journal) -> None:
        """Have the journal take what waits in memory, and all that follows, if that can be tried again.

        To be called between ``begin_alone`` and ``end_alone`` of the sender, so that no attempt runs meanwhile.
        """
        with self._lock:
            journal.write_deferred()
            # It cannot be written, and no other record need come that shows it.
            if journal.deferred and self._journaling:
                self._leave_journaling()
        if not self._is_journal_due or not (self._returning or journal.prepare()):
            return
        with self._lock:
            self._take_back()
            self._returning = True
        self._return_to_journal()
        journal.maintain()

    def _return_to_journal(self) -> None:
        """Move what waits in memory into the journal, which can be written again."""
        for moved in itertools.count(1):
            # For each record anew: a thread that records waits for no more than one of them.
            with self._lock:
                if not self._returning:
                    return
                self._move_one()
            if not moved % limits.JOURNAL_SLICE_RECORDS:
                sleep(0)

    def _take_back(self) -> None:
        """Take back what was taken from memory and has to be sent again: it comes before what waits there."""
        for batch in self._backlog.take_back():
            self._taken -= len(batch.records)
            self._memory.size += batch.length - batch.size
            self._memory.waiting.extendleft(reversed(batch.records))

    def secure(self, timeout: float) -> None:
        """Write what waits in memory into the journal, whether or not it is time to try that: the process may end.

        Waits at most ``timeout`` seconds for an attempt that is being made; after that, the delivery thread does it.
        """
        if self._journal is None:
            return
        self._at_end = True
        if (
            self._journal.deferred or not self._journaling or self._journal.has_lost_lock()
        ) and self._sender.begin_alone(timeout):
            try:
                self._look_after_journal()
                self._resume_journal(self._journal)
            finally:
                self._sender.end_alone()

    def _leave_journal(self) -> None:
        """Deletes this process's journal, if nothing is left in it."""
        if self._journal is None or self._settled < self._accepted:
            return
        # The delivery thread may be tidying up, which is soon over.
        if not self._sender.begin_alone(limits.SCHEDULE_DELAY):
            return
        try:
            self._look_after_journal()
            with self._lock:
                remove = self._journal.close_if_empty() if self._settled == self._accepted else None
            if remove is not None:
                remove()
        finally:
            self._sender.end_alone()

    def _leave_records(self) -> None:
        """Leaves what waits in the journal to another process, unless some of it is in memory alone."""
        journal = self._journal
        if journal is None or not self._sender.begin_alone():
            return
        try:
            with self._lock:
                self._recount()
                if self._memory.records > 0 or self._memory.waiting or journal.deferred or journal.has_deleted_files():
                    return
                before, records = self._settled, self._accepted - self._settled - self._doomed
                self._backlog.leave()
                self._skipped = None  # among those that are left, or counted when it happened
                journal.reset_in_child()
                self._left += records
                self._doomed = 0
                self._taken = self._settled = self._accepted
                failure = self._sender.failure
                losses = [] if failure is None else [Loss(before + 1, self._settled, failure)]
                self._losses.extend(losses)
                due = self._watchers.settled(self._settled, losses)
        finally:
            self._sender.end_alone()
        if self._adoption is not None:
            self._adoption.let_go()
        for watcher in due:
            watcher.tell()
        if records:
            text = "Failpath: %d records wait in %s for another process or `failpath-otel drain`: %s."
            warn_once("left records", text, records, journal.path, self._backlog.cause)

    @property
    def lossless(self) -> bool:
        """Whether no record was lost, or left to another process, since the process began."""
        return not (self._dropped or self._left)

    def stats(self) -> Stats:
        """The counts at this moment."""
        with self._lock:
            stats = super().stats()
            if self._adoption is None:
                return stats
            waiting = stats.waiting + self._left
        adoption = self._adoption
        return replace(stats, waiting=waiting, adopted=adoption.delivered, adopted_dropped=dict(adoption.dropped))

    def _say_full(self, text: str) -> None:
        # On stderr an outage is one line: its own, or that of the exit.
        if logging_is_configured() or (self._delivered and not self._backlog.failing):
            super()._say_full(text)

    def _lost(self, error: DeliveryError) -> None:
        if self._first_loss is None or self._first_loss.raised:
            self._first_loss = error
        self._callback.call(error)
