"""The way from a finished record to Failpath: one bounded queue, one thread.

OpenTelemetry's ``BatchSpanProcessor`` is not used here, for reasons that can be measured: its ``force_flush`` ignores
the timeout, a full queue evicts the oldest record, which may be the ``running`` of a step that hangs, its thread wakes
up at every schedule delay although nothing waits, and what it queues must look like a span.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic

from opentelemetry.context import Context, attach

from failpath_otel import limits
from failpath_otel.export import wire
from failpath_otel.export.delivery import Delivery
from failpath_otel.export.ending import drain_at_exit
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.record import Record, cut_down
from failpath_otel.export.stats import Stats
from failpath_otel.report import logger, report_fault


class Pipeline:
    """Takes encoded records on any thread, never blocks on the network, and delivers them in their order.

    Bounded by ``max_records`` and ``max_bytes``. A full queue refuses what begins and keeps room for what ends: an
    accepted start reserves the place of its outcome, because an outcome that is lost looks like a crash. At most half
    of the queue is held that way; beyond that many open steps, outcomes may exceed the bound, each cut to its
    identity and its status.

    The lock is reentrant, because a garbage collection or a signal handler can end a step inside any of these
    methods, on the same thread.
    """

    def __init__(
        self,
        delivery: Delivery,
        max_records: int = limits.MAX_QUEUE_RECORDS,
        max_bytes: int = limits.MAX_QUEUE_BYTES,
        schedule_delay: float = limits.SCHEDULE_DELAY,
    ) -> None:
        self._delivery = delivery
        self._max_records = max_records
        self._max_held = max_records // 2
        self._max_bytes = max_bytes
        self._schedule_delay = schedule_delay
        self._closed = False
        self._retired = False
        self._begin()
        after_fork_in_child(self._begin)
        drain_at_exit(self)

    def _begin(self) -> None:
        """Sets up the state of this process; in a forked child, what was queued stays the parent's to send."""
        self._lock = threading.RLock()
        self._queue: deque[bytes] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._asleep = False
        self._busy_until = monotonic()
        self._hurry = 0
        self._waiting = 0
        self._bytes = 0
        self._reserved = 0
        self._settled = 0
        self._delivered = 0
        self._dropped: dict[str, int] = {}
        self._watchers: list[tuple[int, Callable[[], object]]] = []

    # On the caller's thread.

    def put_start(self, record: bytes) -> bool:
        """Queues the ``running`` record of a step and reserves a place for its outcome.

        Returns:
            Whether it was accepted; if so, :meth:`put_outcome` or :meth:`lose_outcome` has to follow once.
        """
        with self._lock:
            if self._has_room(2, len(record)):
                self._reserved += 1
                self._put(record)
                return True
        self.refuse()
        return False

    def put_outcome(self, data: bytes, record: Record) -> bool:
        """Queues the outcome of a step whose start was accepted; where bytes are short, what is left of ``record``.

        Returns:
            Whether it was accepted.
        """
        with self._lock:
            self._reserved -= 1
            if self._closed:
                self.lose("shut_down")
                return False
            if self._bytes + len(data) > self._max_bytes:
                data = cut_down(record).to_json()
            self._put(data)
            return True

    def put(self, record: bytes) -> bool:
        """Queues a record that stands alone.

        Returns:
            Whether it was accepted.
        """
        with self._lock:
            if self._has_room(1, len(record)):
                self._put(record)
                return True
        self.refuse()
        return False

    def _has_room(self, records: int, size: int) -> bool:
        if self._closed:
            return False
        held = min(self._reserved, self._max_held)
        return self._waiting + held + records <= self._max_records and self._bytes + size <= self._max_bytes

    def refuse(self) -> None:
        """Counts a record that was not accepted: its own refusal, or that of the start which it belongs to."""
        self.lose("shut_down" if self._closed else "queue_full")

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
        # Not under the lock: a logging handler takes locks of its own.
        if first and reason == "queue_full":
            logger.warning("Failpath: the queue is full; new records are dropped until it empties.")

    def _put(self, record: bytes) -> None:
        self._queue.append(record)
        self._waiting += 1
        self._bytes += len(record)
        if self._asleep or self._waiting == limits.MAX_BATCH_RECORDS:
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

    def _is_done(self) -> bool:
        with self._lock:
            if self._queue or not (self._closed or self._retired):
                return False
            self._thread = None  # an outcome that comes later starts another one
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
            if self._asleep:
                self._wake.get()
                self._asleep = False
            self._busy_until = monotonic() + limits.AWAKE_SECONDS
            if self._hurry:
                return
        with contextlib.suppress(Empty):
            self._wake.get(timeout=self._schedule_delay)

    def _send_batch(self) -> None:
        batch: list[bytes] = []
        size = 0
        with self._lock:
            while self._queue and len(batch) < limits.MAX_BATCH_RECORDS:
                record = self._queue[0]
                if batch and wire.body_size(size + len(record), len(batch) + 1) > limits.MAX_BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
                size += len(record)
        delivered, dropped, reason = 0, len(batch), "send_failed"
        try:
            sent = self._delivery.send(batch)
            delivered, dropped, reason = sent.delivered, sent.dropped, sent.reason
        finally:
            with self._lock:
                self._waiting -= len(batch)
                self._bytes -= size
                self._settled += len(batch)
                self._delivered += delivered
                if dropped:
                    self._dropped[reason] = self._dropped.get(reason, 0) + dropped
                due = [watcher for watcher in self._watchers if watcher[0] <= self._settled]
                self._watchers = [watcher for watcher in self._watchers if watcher[0] > self._settled]
            for _, notify in due:
                notify()

    # Waiting for the truth.

    def watch(self, notify: Callable[[], object]) -> Callable[[], None]:
        """Calls ``notify`` from the delivery thread once everything accepted so far is settled; hurries it up.

        Returns:
            A function that takes the wish back.
        """
        with self._lock:
            watcher = (self._settled + self._waiting, notify)
            if not self._waiting:
                notify()
                return lambda: None
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
        settled = threading.Event()
        cancel = self.watch(settled.set)
        try:
            # At the end of the interpreter no thread can be started any more; this one can still send.
            while self._thread is None and self._queue and monotonic() < deadline:
                self._send_batch()
            in_time = settled.wait(max(deadline - monotonic(), 0))
        finally:
            cancel()
        return in_time and self.lossless

    @property
    def closed(self) -> bool:
        """Whether no more records are taken."""
        return self._closed

    @property
    def lossless(self) -> bool:
        """Whether no record has been lost since the process began."""
        return not self._dropped

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

    def stats(self) -> Stats:
        """The counts at this moment."""
        with self._lock:
            return Stats(self._settled + self._waiting, self._delivered, self._waiting, dict(self._dropped))
