"""The way from a finished record to Failpath: the queue, and one thread that empties it.

OpenTelemetry's ``BatchSpanProcessor`` is not used here, for reasons that can be measured: its ``force_flush`` ignores
the timeout, a full queue evicts the oldest record, which may be the ``running`` of a step that hangs, its thread wakes
up at every schedule delay although nothing waits, and what it queues must look like a span.
"""

import contextlib
import contextvars
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import DeliveryError, SendError
from failpath_otel.export.arguments import OnError
from failpath_otel.export.callback import ErrorCallback
from failpath_otel.export.ending import drain_at_exit
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.interruption import interrupted_in
from failpath_otel.export.queue import RecordQueue
from failpath_otel.export.sender import Delivering, Sender
from failpath_otel.export.watch import Notify, Watcher, Watchers
from failpath_otel.report import report_fault


class Pipeline(RecordQueue):
    """Takes encoded records on any thread, never blocks on the network, and delivers them in their order."""

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
        drain_at_exit(self)

    def _begin(self) -> None:
        super()._begin()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._asleep = False
        self._busy_until = monotonic()
        self._hurry = 0
        self._watchers = Watchers()
        self._sender = Sender(self._delivery, lambda: sum(self._dropped.values()))
        self._backlog = self._sender.backlog
        self._first_loss: DeliveryError | None = None
        self._latest_loss: tuple[int, DeliveryError] | None = None  # and up to which record

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
                while self._has_work() and not self._backlog.pause():
                    self._attempt()
                    if len(self._queue) < limits.MAX_BATCH_RECORDS and not (self._backlog or self._hurry):
                        break
            except BaseException:  # noqa: BLE001 - the thread must outlive any fault, of a logging handler as well
                report_fault("delivering records")
        self._delivery.close()

    def _has_work(self) -> bool:
        return bool(self._queue or self._backlog)

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
            due = self._backlog or self._hurry or len(self._queue) >= limits.MAX_BATCH_RECORDS
            if pause:
                delay = pause
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
            if self._hurry:
                return
        with contextlib.suppress(Empty):
            self._wake.get(timeout=delay)

    def _attempt(self) -> None:
        """Sends the batch that is next, and sees to what became of it."""
        outcome = self._sender.attempt(self._take)
        if outcome is None:
            return
        error = outcome.error
        with self._lock:
            before = self._settled
            if outcome.settled:
                count = len(outcome.batch.records)
                self._settle(count, outcome.batch.size, outcome.delivered, outcome.reason)
                due = self._watchers.settled(before, self._settled, error)
                if error is not None:
                    self._latest_loss = (self._settled, error)
            else:
                assert error is not None  # or the batch would not be kept
                due = self._watchers.attempted(before, error)
                if self._hurry:
                    self._backlog.hurry(limits.RETRY_FIRST_DELAY)
        # First those who may be asked by those who are told.
        if outcome.settled and error is not None:
            self._lost(error)
        for watcher in due:
            watcher.tell()
        if not outcome.settled and outcome.first and error is not None:
            self._callback.call(error)

    def _lost(self, error: DeliveryError) -> None:
        if self._first_loss is None or self._first_loss.raised:
            self._first_loss = error
        self._callback.call(error)

    # Waiting for the truth.

    @property
    def accepted(self) -> int:
        """The number of the record that was accepted last."""
        with self._lock:
            return self._settled + len(self._queue) + self._in_flight

    def watch(self, notify: Notify, *, of_attempt: bool = False, since: int | None = None) -> Callable[[], None] | None:
        """Calls ``notify`` from the delivery thread once everything accepted so far is settled; hurries it up.

        Args:
            notify: called once, with ``None`` or with why records after the number ``since`` were lost.
            of_attempt: do not wait for records that are kept to be sent again: an attempt that failed is enough.
            since: a number as :attr:`accepted` tells it. Default: only the last record counts.

        Returns:
            A function that takes the wish back; ``None`` where there is nothing to wait for.
        """
        with self._lock:
            waiting = len(self._queue) + self._in_flight
            if not waiting or (of_attempt and self._backlog.refused()):
                return None
            last = self._settled + waiting
            watcher = Watcher(last if since is None else since + 1, last, notify, of_attempt=of_attempt)
            self._watchers.add(watcher)
            self._hurry += 1
            self._backlog.hurry()
            self._wake.put(None)
            if self._thread is None:
                self._start()

        def cancel() -> None:
            with self._lock:
                self._hurry -= 1
                self._watchers.discard(watcher)

        return cancel

    def hurry(self) -> None:
        """Starts sending what waits, without waiting for it."""
        self.watch(lambda _: None)

    def flush(self, timeout: float) -> bool:
        """Waits at most ``timeout`` seconds until everything accepted so far was delivered.

        Returns:
            Whether nothing at all has been lost and nothing of that still waits.
        """
        return self._wait(timeout, of_attempt=False)[0] and self.lossless

    def await_attempt(self, timeout: float, since: int | None = None) -> tuple[bool, DeliveryError | None]:
        """Waits at most ``timeout`` seconds until everything accepted so far was sent, or an attempt has failed.

        Returns:
            Whether it came to that in time, and why records after the number ``since`` are not delivered, if so;
            without ``since``, that of the last record.
        """
        return self._wait(timeout, of_attempt=True, since=since)

    def is_hopeless(self, timeout: float) -> bool:
        """Whether the server wants to be left alone for so long that ``timeout`` seconds of waiting bring nothing."""
        return self._has_work() and self._backlog.refused() > timeout

    def _wait(self, timeout: float, *, of_attempt: bool, since: int | None = None) -> tuple[bool, DeliveryError | None]:
        """Whether it was settled in time, and the error that :meth:`watch` tells."""
        deadline = monotonic() + timeout
        # A logging handler, a session, a signal handler, a garbage collection: each would wait for what it holds up.
        is_held_up = threading.current_thread() is self._thread or interrupted_in(_HOLDING_THE_LOCK, self)
        if is_held_up or self.is_hopeless(timeout):
            return False, self._sender.failure
        told: list[DeliveryError | None] = []
        settled = threading.Event()

        def notify(error: DeliveryError | None) -> None:
            told.append(error)
            settled.set()

        cancel = self.watch(notify, of_attempt=of_attempt, since=since)
        if cancel is None:
            return self.already(since)
        try:
            # At the end of the interpreter no thread can be started any more; this one can still send.
            while self._thread is None and self._has_work() and not told and monotonic() < deadline:
                if not settled.wait(min(self._backlog.pause(), max(deadline - monotonic(), 0))):
                    self._attempt()
            in_time = settled.wait(max(deadline - monotonic(), 0))
        finally:
            cancel()
        return in_time, told[0] if told else None

    def already(self, since: int | None = None) -> tuple[bool, DeliveryError | None]:
        """What there is to say where :meth:`watch` has nothing to wait for: whether all is settled, and the error."""
        with self._lock:
            if self._queue or self._in_flight:
                return False, self._sender.failure  # the server has asked for a pause
            loss = self._latest_loss
            first = self._settled - 1 if since is None else since
            return True, loss[1] if loss is not None and loss[0] > first else None

    def take_error(self) -> DeliveryError | None:
        """The first loss since this was last asked; where there is none, the failure that is being retried.

        What was raised already, by a step that has waited for it, does not count.
        """
        error, self._first_loss = self._first_loss, None
        found = error or (self._sender.failure if self.stats().waiting else None)
        return found if found is not None and not found.raised else None

    def abandon(self) -> None:
        """Tells ``on_error`` of what waits: the process ends."""
        waiting = self.stats().waiting
        if waiting:
            status = None if self._sender.failure is None else self._sender.failure.status
            self._callback.call(SendError("the process ended before they could be delivered", waiting, status))

    def drain_callbacks(self, timeout: float) -> None:
        """Waits at most ``timeout`` seconds until ``on_error`` was called for all errors so far."""
        self._callback.drain(timeout)

    def shutdown(self, timeout: float) -> bool:
        """Flushes, then takes no more records, and ends the thread once it has nothing left to send."""
        complete = self.flush(timeout)
        with self._lock:
            self._closed = True
            self._wake.put(None)
        return complete

    def retire(self) -> None:
        """Ends the thread whenever there is nothing to send: only outcomes of steps that are open will follow."""
        with self._lock:
            self._retired = True
            self._wake.put(None)


_HOLDING_THE_LOCK: Final = {
    method.__code__
    for method in (
        *(RecordQueue.put_start, RecordQueue.put_outcome, RecordQueue.put, RecordQueue.lose, RecordQueue.lose_outcome),
        *(RecordQueue.stats, RecordQueue.is_idle, RecordQueue._take, RecordQueue._settle),  # noqa: SLF001
        *(Pipeline.watch, Pipeline.already),
    )
}
