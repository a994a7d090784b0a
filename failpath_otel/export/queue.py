"""The queue: finished records that wait, within bounds, and counts of what became of all others."""

import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import DeliveryError, InvalidRecord, QueueFull, ShutDown
from failpath_otel.export import wire
from failpath_otel.export.batch import Batch
from failpath_otel.export.record import Record, cut_down
from failpath_otel.export.stats import Stats
from failpath_otel.report import say

_LOSSES: Final[dict[str, tuple[type[DeliveryError], str]]] = {
    "queue_full": (QueueFull, "the queue is full; new records are dropped until it empties"),
    "shut_down": (ShutDown, "records came after the shutdown"),
    "invalid": (InvalidRecord, "records could not be made; the log says why"),
}


class RecordQueue:
    """Encoded records in their order, bounded by ``max_records`` and ``max_bytes``; used by any number of threads.

    A full queue refuses what begins and keeps room for what ends: an accepted start reserves the place of its outcome,
    because an outcome that is lost looks like a crash. At most half of the queue is held that way; beyond that many
    open steps, outcomes may exceed the bound, each cut to its identity and its status.

    The lock is reentrant, because a garbage collection or a signal handler can end a step inside any of these
    methods, on the same thread.
    """

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_held = max_records // 2
        self._max_bytes = max_bytes
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Sets up the state of this process; in a forked child, what was queued stays the parent's to send."""
        self._lock = threading.RLock()
        self._queue: deque[bytes] = deque()
        self._in_flight = 0
        self._bytes = 0
        self._reserved = 0
        self._settled = 0
        self._delivered = 0
        self._dropped: dict[str, int] = {}

    def put_start(self, record: bytes) -> int:
        """Queues the ``running`` record of a step and reserves a place for its outcome.

        Returns:
            The record's number, from 1; 0 if it was not accepted. Where it was, :meth:`put_outcome` or
            :meth:`lose_outcome` has to follow once.
        """
        with self._lock:
            if self.has_room(2, len(record)):
                self._reserved += 1
                self._put(record)
                return self._settled + self._in_flight + len(self._queue)
        self.refuse()
        return 0

    def put_outcome(self, data: bytes, record: Record) -> int:
        """Queues the outcome of a step whose start was accepted; where bytes are short, what is left of ``record``.

        Returns:
            The record's number; 0 if it was not accepted.
        """
        with self._lock:
            self._reserved -= 1
            if self._closed:
                self.lose("shut_down")
                return 0
            if self._bytes + len(data) > self._max_bytes:
                data = cut_down(record).to_json()
            self._put(data)
            return self._settled + self._in_flight + len(self._queue)

    def put(self, record: bytes) -> int:
        """Queues a record that stands alone.

        Returns:
            The record's number; 0 if it was not accepted.
        """
        return self.put_together([record])

    def put_together(self, records: Sequence[bytes]) -> int:
        """Queues all of ``records`` or none of them: a ``running`` without its outcome would look like a crash.

        Returns:
            The number of the last of them; 0 if they were not accepted.
        """
        with self._lock:
            if self.has_room(len(records), sum(map(len, records))):
                for record in records:
                    self._put(record)
                return self._settled + self._in_flight + len(self._queue)
        for _ in records:
            self.refuse()
        return 0

    def refusal(self) -> DeliveryError:
        """Why a record was not accepted."""
        kind, text = _LOSSES["shut_down" if self._closed else "queue_full"]
        return kind(text, 1)

    def has_room(self, records: int, size: int) -> bool:
        """Whether so many records of so many bytes together would be accepted now."""
        if self._closed:
            return False
        held = min(self._reserved, self._max_held)
        waiting = len(self._queue) + self._in_flight
        return waiting + held + records <= self._max_records and self._bytes + size <= self._max_bytes

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
        kind, text = _LOSSES[reason]
        # Not under the lock: a logging handler takes locks of its own.
        if first and reason == "queue_full":
            self._say_full(text)
        self._lost(kind(text, 1))

    def _lost(self, error: DeliveryError) -> None:
        """Records are lost; for those who tell somebody."""

    def _say_full(self, text: str) -> None:
        """The first record has found the queue full."""
        say("Failpath: %s.", text)

    def _put(self, record: bytes) -> None:
        # What is in the queue counts as accepted: should a signal handler raise here, nothing is counted twice or not.
        self._bytes += len(record)
        self._queue.append(record)

    def _take(self, max_bytes: int = limits.MAX_BATCH_BYTES) -> Batch:
        """The next batch, within the limits of the wire contract; it is in flight from now."""
        batch: list[bytes] = []
        size = 0
        with self._lock:
            while self._queue and len(batch) < limits.MAX_BATCH_RECORDS:
                record = self._queue[0]
                if batch and wire.body_size(size + len(record), len(batch) + 1) > max_bytes:
                    break
                batch.append(self._queue.popleft())
                size += len(record)
            self._in_flight += len(batch)
        return Batch(batch, size, monotonic())

    def _settle(self, records: int, size: int, delivered: int, reason: str) -> None:
        """Ends the flight of a batch; what of it was not delivered is lost for ``reason``."""
        with self._lock:
            self._in_flight -= records
            self._bytes = self._bytes - size if self._queue or self._in_flight else 0
            self._settled += records
            self._delivered += delivered
            if delivered < records:
                self._dropped[reason] = self._dropped.get(reason, 0) + records - delivered

    @property
    def closed(self) -> bool:
        """Whether no more records are taken."""
        return self._closed

    @property
    def lossless(self) -> bool:
        """Whether no record has been lost since the process began."""
        return not self._dropped

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing will come of steps that are open."""
        with self._lock:
            return not (self._queue or self._in_flight or self._reserved > 0)

    def stats(self) -> Stats:
        """The counts at this moment."""
        with self._lock:
            waiting = len(self._queue) + self._in_flight
            return Stats(self._settled + waiting, self._delivered, waiting, dict(self._dropped))
