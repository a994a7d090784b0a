"""The queue with a thread that empties it.

OpenTelemetry's ``BatchSpanProcessor`` is not used here, for reasons that can be measured: its ``force_flush`` ignores
the timeout, a full queue evicts the oldest record, which may be the ``running`` of a step that hangs, its thread wakes
up at every schedule delay although nothing waits, and what it queues must look like a span.
"""

import contextlib
import contextvars
import threading
from collections import deque
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import DeliveryError, SendError
from failpath_otel.export.arguments import OnError
from failpath_otel.export.callback import ErrorCallback
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.queue import RecordQueue
from failpath_otel.export.sender import Delivering, Sender
from failpath_otel.export.watch import Loss, Watchers
from failpath_otel.export.wire import KEY_REFUSED
from failpath_otel.report import is_heard, report_fault

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
    ) -> None:
        self._delivery = delivery
        self._schedule_delay = schedule_delay
        self._callback = ErrorCallback(on_error)
        self._retired = False
        super().__init__(max_records, max_bytes)
        after_fork_in_child(self._begin)

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
        self._first_loss: DeliveryError | None = None
        self._losses: deque[Loss] = deque(maxlen=_LOSSES_KEPT)

    def _put(self, record: bytes) -> None:
        super()._put(record)
        if self._asleep or len(self._queue) == limits.MAX_BATCH_RECORDS:
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
                self._backlog.speak()
                while self._has_work() and not self._backlog.pause():
                    self._attempt()
                    if len(self._queue) < limits.MAX_BATCH_RECORDS and not (
                        self._backlog or self._hurry or self._urgent
                    ):
                        break
            except BaseException:  # noqa: BLE001 - the thread must outlive any fault, of a logging handler as well
                report_fault("delivering records")
        self._delivery.close()

    def _has_work(self) -> bool:
        return bool(self._queue or self._backlog)

    def _is_urgent(self) -> bool:
        """Whether somebody waits, or a batch is full."""
        return self._hurry > 0 or self._urgent > 0 or len(self._queue) >= limits.MAX_BATCH_RECORDS

    def _is_done(self) -> bool:
        with self._lock:
            if self._thread is not threading.current_thread():
                return True
            if self._has_work() or not (self._closed or self._retired):
                return False
            self._thread = None  # an outcome that comes later starts another one
            return True

    def _sleep(self) -> bool:
        """Sleeps until there is a record; after a long time with none this thread ends, and the next starts another.

        Returns:
            Whether this thread goes on.
        """
        try:
            self._wake.get(timeout=limits.IDLE_SECONDS)
        except Empty:
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
            due = self._backlog or self._is_urgent()
            if pause:
                delay = min(pause, self._backlog.silence())
            elif due or self._closed or self._retired:
                return
        elif self._closed or self._retired:
            return
        elif monotonic() >= self._busy_until:
            with self._lock:
                self._asleep = not self._queue
            if self._asleep and not self._sleep():
                return
            self._busy_until = monotonic() + limits.AWAKE_SECONDS
            if self._hurry or self._urgent:
                return
        with contextlib.suppress(Empty):
            self._wake.get(timeout=delay)

    def _attempt(self, within: float | None = None) -> None:
        """Sends the batch that is next, and sees to what became of it; for at most ``within`` seconds, if given."""
        outcome = self._sender.attempt(self._take, within)
        if outcome is None:
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
                assert isinstance(error, SendError)  # or the batch would not be kept
                # A key that was refused will be so in half a second too: nobody waits for that.
                refused = error.status in KEY_REFUSED
                due = self._watchers.attempted(before, error, everybody=refused)
                if self._hurry and not refused:
                    self._backlog.hurry(limits.RETRY_FIRST_DELAY)
        # First those who may be asked by those who are told.
        for loss in losses:
            self._lost(loss.error)
        for watcher in due:
            watcher.tell()
        if not outcome.settled and outcome.first and error is not None:
            self._callback.call(error)

    def _say_full(self, text: str) -> None:
        # On stderr an outage is one line: its own, or that of the exit.
        if is_heard() or (self._delivered and not self._backlog.failing):
            super()._say_full(text)

    def _lost(self, error: DeliveryError) -> None:
        if self._first_loss is None or self._first_loss.raised:
            self._first_loss = error
        self._callback.call(error)
