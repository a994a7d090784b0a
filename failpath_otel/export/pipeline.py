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

from failpath_otel import limits
from failpath_otel.errors import DeliveryError
from failpath_otel.export.arguments import OnError
from failpath_otel.export.callback import ErrorCallback
from failpath_otel.export.ending import drain_at_exit
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.options import Options
from failpath_otel.export.queue import RecordQueue
from failpath_otel.export.sender import Delivering, Nowhere, Sender
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
            except Exception:  # noqa: BLE001 - the thread must outlive any fault of ours
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
                due = self._watchers.settled(self._settled)
                if error is not None:
                    self._latest_loss = (self._settled, error)
            else:
                due = self._watchers.attempted()
        for watcher in due:
            watcher.notify(error if watcher.last > before else None)
        if outcome.settled and error is not None:
            self._lost(error)
        elif error is not None and outcome.first:
            self._callback.call(error)

    def _lost(self, error: DeliveryError) -> None:
        if self._first_loss is None or self._first_loss.__traceback__ is not None:
            self._first_loss = error
        self._callback.call(error)

    # Waiting for the truth.

    def watch(self, notify: Notify, *, of_attempt: bool = False) -> Callable[[], None] | None:
        """Calls ``notify`` from the delivery thread once everything accepted so far is settled; hurries it up.

        Args:
            notify: called once, with ``None`` or with why the last of the records was lost.
            of_attempt: do not wait for records that are kept to be sent again: an attempt that failed is enough.

        Returns:
            A function that takes the wish back; ``None`` where there is nothing to wait for.
        """
        with self._lock:
            waiting = len(self._queue) + self._in_flight
            if not waiting or (of_attempt and self._backlog.refused()):
                return None
            watcher = Watcher(self._settled + waiting, notify, of_attempt=of_attempt)
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

    def await_attempt(self, timeout: float) -> DeliveryError | None:
        """Waits at most ``timeout`` seconds until everything accepted so far was sent, or an attempt has failed.

        Returns:
            Why the last record that was accepted is not delivered; ``None`` if it is, or if that is not known yet.
        """
        return self._wait(timeout, of_attempt=True)[1]

    def _wait(self, timeout: float, *, of_attempt: bool) -> tuple[bool, DeliveryError | None]:
        """Whether it was settled in time, and the error that :meth:`watch` tells."""
        deadline = monotonic() + timeout
        if threading.current_thread() is self._thread:
            return False, None  # a logging handler or a session waits: for what it holds up itself
        told: list[DeliveryError | None] = []
        settled = threading.Event()

        def notify(error: DeliveryError | None) -> None:
            told.append(error)
            settled.set()

        cancel = self.watch(notify, of_attempt=of_attempt)
        if cancel is None:
            return self.already()
        try:
            # At the end of the interpreter no thread can be started any more; this one can still send.
            while self._thread is None and self._has_work() and not self._backlog.pause() and monotonic() < deadline:
                self._attempt()
            in_time = settled.wait(max(deadline - monotonic(), 0))
        finally:
            cancel()
        return in_time, told[0] if told else None

    def already(self) -> tuple[bool, DeliveryError | None]:
        """What there is to say where :meth:`watch` has nothing to wait for: whether all is settled, and the error."""
        with self._lock:
            if self._queue or self._in_flight:
                return False, self._sender.failure  # the server has asked for a pause
            loss = self._latest_loss
            return True, loss[1] if loss is not None and loss[0] == self._settled else None

    def take_error(self) -> DeliveryError | None:
        """The first loss since this was last asked; where there is none, the failure that is being retried.

        What was raised already, by a step that has waited for it, does not count.
        """
        error, self._first_loss = self._first_loss, None
        found = error or (self._sender.failure if self.stats().waiting else None)
        return found if found is not None and found.__traceback__ is None else None

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


def pipeline_to_failpath(options: Options) -> Pipeline:
    """The pipeline that ``options`` describe."""
    if not options.enabled:
        return Pipeline(Nowhere())
    # Here, because `requests` takes as long to import as OpenTelemetry does, and only who delivers needs it.
    from failpath_otel.export.delivery import Delivery  # noqa: PLC0415

    return Pipeline(Delivery(options), max_records=options.max_queue_size, on_error=options.on_error)
