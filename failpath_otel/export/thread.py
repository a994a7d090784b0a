"""The queue with a thread that empties it.

OpenTelemetry's ``BatchSpanProcessor`` is not used here, for reasons that can be measured: its ``force_flush`` ignores
the timeout, a full queue evicts the oldest record, which may be the ``running`` of a step that hangs, its thread wakes
up at every schedule delay although nothing waits, and what it queues must look like a span.
"""

import contextlib
import contextvars
import threading
from collections import deque
from dataclasses import replace
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import DeliveryError, SendError
from failpath_otel.export.adoption import Adoption
from failpath_otel.export.arguments import OnError
from failpath_otel.export.batch import Batch
from failpath_otel.export.callback import ErrorCallback
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.queue import JournalPlace, RecordQueue, Skipped
from failpath_otel.export.sender import Delivering, Outcome, Sender
from failpath_otel.export.stats import Stats
from failpath_otel.export.watch import Loss, Watcher, Watchers
from failpath_otel.export.wire import KEY_REFUSED
from failpath_otel.journal.orphan import Orphan
from failpath_otel.report import report_fault, say_once

_LOSSES_KEPT: Final = 2 * limits.MAX_BATCH_RECORDS
"""Losses that are remembered for those who ask for a record afterwards."""


class DeliveryThread(RecordQueue):
    """Sends what is put, in its order; waiting for it is :class:`failpath_otel.export.pipeline.Pipeline`'s part."""

    def __init__(
        self,
        delivery: Delivering,
        max_records: int = limits.MAX_QUEUE_RECORDS,
        max_bytes: int = limits.MAX_QUEUE_BYTES,
        schedule_delay: float = limits.SCHEDULE_DELAY,
        on_error: OnError | None = None,
        journal: JournalPlace | None = None,
    ) -> None:
        self._delivery = delivery
        self._adoption = None if journal is None else Adoption(*journal)
        self._schedule_delay = schedule_delay
        self._callback = ErrorCallback(on_error)
        self._retired = False
        super().__init__(max_records, max_bytes, journal)
        after_fork_in_child(self._in_child)

    def _begin(self) -> None:
        super()._begin()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._asleep = False
        self._busy_until = monotonic()
        self._hurry = 0  # how many wait for everything, and for an attempt
        self._urgent = 0
        self._watchers = Watchers()
        self._sender = Sender(self._delivery, lambda: sum(self._dropped.values()))
        self._backlog = self._sender.backlog
        self._others_next = False  # it is the turn of what gone processes have left
        self._overflowed = 0
        if self._adoption is not None:
            self._adoption.let_go()
        self._first_loss: DeliveryError | None = None
        self._losses: deque[Loss] = deque(maxlen=_LOSSES_KEPT)

    def _in_child(self) -> None:
        self._begin()
        # It may well be there in the place of one that was killed.
        self.adopt()

    def adopt(self) -> None:
        """Looks for what processes have left that are gone, and starts delivering it; without that, does nothing."""
        if self._adoption is not None and not self._closed and self._adoption.look():
            with self._lock:
                if self._thread is None:
                    self._start()
                else:
                    self._wake.put(None)

    def _overflow(self, records: int) -> None:
        super()._overflow(records)
        self._overflowed += records
        self._wake.put(None)

    def _put(self, record: bytes) -> None:
        super()._put(record)
        if self._asleep or self._untaken == limits.MAX_BATCH_RECORDS:
            self._asleep = False
            self._wake.put(None)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="failpath-delivery", daemon=True)
        self._thread = thread
        try:
            # Not in the context of whichever step happened to come first: tracers hand theirs on to new threads.
            contextvars.Context().run(thread.start)
        except RuntimeError:  # the interpreter is ending, or there are no threads left; the next record tries again
            self._thread = None

    # On the delivery thread.

    def _work(self) -> None:
        while not self._is_done():
            try:
                self._await_records()
                self._report_overflow()
                if self._adoption is not None and self._adoption.is_due() and not self._retired:
                    self._adoption.look()
                while self._has_work() and not self._backlog.pause():
                    self._attempt()
                    if not (self._backlog or self._adoption or self._is_urgent()):
                        break
            except BaseException:  # noqa: BLE001 - the thread must outlive any fault, of a logging handler as well
                report_fault("delivering records")
        self._delivery.close()
        self._leave_journal()

    def _has_work(self) -> bool:
        return bool(self._untaken or self._backlog or self._adoption)

    def _is_urgent(self) -> bool:
        """Whether somebody waits, or a batch is full."""
        return self._hurry > 0 or self._urgent > 0 or self._untaken >= limits.MAX_BATCH_RECORDS

    def _is_done(self) -> bool:
        with self._lock:
            if self._thread is not threading.current_thread():
                return True
            if self._untaken or self._backlog or not (self._closed or self._retired):
                return False
            if self._adoption is not None:
                self._adoption.let_go()
            self._thread = None  # an outcome that comes later starts another one
            return True

    def _sleep(self) -> bool:
        """Sleeps until there is a record; after a long time with none this thread ends, and the next starts another.

        With a journal it does not end, but looks every now and then for those whose processes are gone.

        Returns:
            Whether this thread goes on.
        """
        idle_until = monotonic() + limits.IDLE_SECONDS
        while True:
            try:
                self._wake.get(timeout=limits.IDLE_SECONDS if self._adoption is None else limits.ADOPT_SECONDS)
                break
            except Empty:
                if self._adoption is not None:
                    if self._adoption.look():
                        break
                    if monotonic() >= idle_until:
                        self._delivery.close()
                        idle_until += limits.MAX_SECONDS
                    continue
            with self._lock:
                self._asleep = False
                if not self._has_work():
                    self._thread = None
                    return False
        self._asleep = False
        return True

    def _await_records(self) -> None:
        """Waits for the schedule delay, less if somebody flushes or a batch is full, and more if nothing happens.

        While there is something to do, records need not wake this thread, which would cost their thread a system
        call; only after a while with nothing it sleeps until it is woken. While the endpoint fails, this waits for the
        next attempt.
        """
        delay = self._schedule_delay
        if self._has_work():
            self._busy_until = monotonic() + limits.AWAKE_SECONDS
            pause = self._backlog.pause()
            due = self._backlog or self._adoption or self._is_urgent()
            if pause:
                delay = pause
            elif due or self._closed or self._retired:
                return
        elif self._closed or self._retired:
            return
        elif monotonic() >= self._busy_until:
            with self._lock:
                self._asleep = not self._untaken
            if self._asleep and not self._sleep():
                return
            self._busy_until = monotonic() + limits.AWAKE_SECONDS
            if self._hurry or self._urgent:
                return
        with contextlib.suppress(Empty):
            self._wake.get(timeout=delay)

    def _next_batch(self, max_bytes: int) -> Batch:
        """Own records, and in turn with them those that gone processes have left."""
        if self._adoption and (self._others_next or not self._untaken):
            self._others_next = False
            batch = self._adoption.take(max_bytes)
            if batch is not None:
                return batch
        self._others_next = True
        while True:
            batch, skipped = self._take(max_bytes)
            if skipped is None:
                return batch
            self._pass_over(skipped)

    def _pass_over(self, skipped: Skipped) -> None:
        """Settles records that the journal has lost."""
        error = skipped.error()
        with self._lock:
            before = self._settled
            if skipped.reason == "journal_full":  # counted and told when it happened
                self._doomed -= skipped.records
                self._settled += skipped.records
            else:
                self._settle(skipped.records, 0, 0, skipped.reason)
            losses = [Loss(before + 1, self._settled, error)]
            self._losses.extend(losses)
            due = self._watchers.settled(self._settled, losses)
        if skipped.reason == "too_old" and self._journal is not None:
            self._journal.confirm(skipped.records)
        if skipped.reason != "journal_full":
            self._lost(error)
        for watcher in due:
            watcher.tell()

    def _report_overflow(self) -> None:
        with self._lock:
            records, self._overflowed = self._overflowed, 0
        if records:
            say_once("journal full", "Failpath: the journal is full; its oldest records are dropped.")
            self._lost(Skipped(records, "journal_full").error())

    def _attempt(self) -> None:
        """Sends the batch that is next, and sees to what became of it."""
        outcome = self._sender.attempt(self._next_batch)
        if outcome is None:
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
                due = self._watchers_of_failure(error)
        if outcome.settled and source is not None:
            source.confirm(len(outcome.batch.records))
        # First those who may be asked by those who are told.
        for loss in losses:
            self._lost(loss.error)
        for watcher in due:
            watcher.tell()
        if not outcome.settled and outcome.first and error is not None:
            self._callback.call(error)

    def _watchers_of_failure(self, error: DeliveryError | None) -> list[Watcher]:
        """Those who do not wait any longer, now that a batch has to be sent again; under the lock."""
        assert isinstance(error, SendError)  # or the batch would not be kept
        # A key that was refused will be so in half a second too: nobody waits for that.
        refused = error.status in KEY_REFUSED
        due = self._watchers.attempted(self._settled, error, everybody=refused)
        if self._hurry and not refused:
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
            due = self._watchers_of_failure(outcome.error)
        for watcher in due:
            watcher.tell()
        if outcome.first and outcome.error is not None:
            self._callback.call(outcome.error)

    def _leave_journal(self) -> None:
        """Deletes this process's journal, if nothing is left in it."""
        if self._journal is None or not self._sender.begin_alone():
            return
        try:
            with self._lock:
                remove = self._journal.close() if self._settled == self._accepted else None
            if remove is not None:
                remove()
        finally:
            self._sender.end_alone()

    def stats(self) -> Stats:
        """The counts at this moment."""
        stats = super().stats()
        if self._adoption is None:
            return stats
        return replace(stats, adopted=self._adoption.delivered, adopted_dropped=dict(self._adoption.dropped))

    def _lost(self, error: DeliveryError) -> None:
        if self._first_loss is None or self._first_loss.raised:
            self._first_loss = error
        self._callback.call(error)
