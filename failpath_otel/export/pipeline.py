"""The way from a finished record to Failpath: the queue, and one thread that empties it.

OpenTelemetry's ``BatchSpanProcessor`` is not used here, for reasons that can be measured: its ``force_flush`` ignores
the timeout, a full queue evicts the oldest record, which may be the ``running`` of a step that hangs, its thread wakes
up at every schedule delay although nothing waits, and what it queues must look like a span.
"""

import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach

from failpath_otel import limits
from failpath_otel.export.ending import drain_at_exit
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.queue import RecordQueue
from failpath_otel.report import report_fault

if TYPE_CHECKING:
    from failpath_otel.export.delivery import Delivery


class Pipeline(RecordQueue):
    """Takes encoded records on any thread, never blocks on the network, and delivers them in their order."""

    def __init__(
        self,
        delivery: "Delivery",
        max_records: int = limits.MAX_QUEUE_RECORDS,
        max_bytes: int = limits.MAX_QUEUE_BYTES,
        schedule_delay: float = limits.SCHEDULE_DELAY,
    ) -> None:
        self._delivery = delivery
        self._schedule_delay = schedule_delay
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
            thread.start()
        except RuntimeError:  # the interpreter is ending, or there are no threads left; the next record tries again
            self._thread = None

    # On the delivery thread.

    def _work(self) -> None:
        # Not in the context of whichever step happened to come first.
        attach(Context())
        while not self._is_done():
            try:
                self._await_records()
                while self._queue:
                    self._send_batch()
                    if len(self._queue) < limits.MAX_BATCH_RECORDS and not self._hurry:
                        break
            except Exception:  # noqa: BLE001 - the thread must outlive any fault of ours
                report_fault("delivering records")
        self._delivery.close()

    def _is_done(self) -> bool:
        with self._lock:
            if self._thread is not threading.current_thread():
                return True
            if self._queue or not (self._closed or self._retired):
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
                if not self._queue:
                    self._thread = None
                    return False
        self._asleep = False
        return True

    def _await_records(self) -> None:
        """Waits for the schedule delay, less if somebody flushes or a batch is full, and more if nothing happens.

        While there is something to do, records need not wake this thread, which would cost their thread a system
        call; only after a while with nothing it sleeps until it is woken.
        """
        if self._queue:
            self._busy_until = monotonic() + limits.AWAKE_SECONDS
            if self._hurry or self._closed or self._retired or len(self._queue) >= limits.MAX_BATCH_RECORDS:
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
            self._wake.get(timeout=self._schedule_delay)

    def _send_batch(self) -> None:
        batch, size = self._take()
        delivered, dropped, reason = 0, len(batch), "send_failed"
        try:
            sent = self._delivery.send(batch)
            delivered, dropped, reason = sent.delivered, sent.dropped, sent.reason
        finally:
            self._settle(len(batch), size, delivered, dropped, reason)

    # Waiting for the truth.

    def watch(self, notify: Callable[[], object]) -> Callable[[], None] | None:
        """Calls ``notify`` from the delivery thread once everything accepted so far is settled; hurries it up.

        Returns:
            A function that takes the wish back; ``None`` where everything is settled already.
        """
        with self._lock:
            waiting = len(self._queue) + self._in_flight
            if not waiting:
                return None
            watcher = (self._settled + waiting, notify)
            self._watchers.append(watcher)
            self._hurry += 1
            self._wake.put(None)
            if self._thread is None:
                self._start()

        def cancel() -> None:
            with self._lock:
                self._hurry -= 1
                if watcher in self._watchers:
                    self._watchers.remove(watcher)

        return cancel

    def hurry(self) -> None:
        """Starts sending what waits, without waiting for it."""
        self.watch(lambda: None)

    def flush(self, timeout: float) -> bool:
        """Waits at most ``timeout`` seconds until everything accepted so far was delivered.

        Returns:
            Whether nothing at all has been lost and nothing of that still waits.
        """
        deadline = monotonic() + timeout
        if threading.current_thread() is self._thread:
            return False  # a logging handler flushes: what it waits for is what it holds up
        settled = threading.Event()
        cancel = self.watch(settled.set)
        if cancel is None:
            return self.lossless
        try:
            # At the end of the interpreter no thread can be started any more; this one can still send.
            while self._thread is None and self._queue and monotonic() < deadline:
                self._send_batch()
            in_time = settled.wait(max(deadline - monotonic(), 0))
        finally:
            cancel()
        return in_time and self.lossless

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
