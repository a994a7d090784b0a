"""Records that wait in memory: where there is no journal, or while it cannot be written."""

from collections import deque
from time import monotonic

from failpath_otel import limits
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.records import wire


class Memory:
    """Records in their order, with counts of them together with those of them that are in flight.

    Used under the lock of the queue whose they are.
    """

    __slots__ = ("records", "size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.size = 0
        """Of what waits and of what is in flight."""
        self.records = 0
        """How many these are."""

    def add(self, record: bytes) -> None:
        """Appends a record. It is counted first, so that a signal handler that counts does not miss it."""
        self.size += len(record)
        self.records += 1
        self.waiting.append(record)

    def move_out(self) -> None:
        """Takes out the oldest record, which now waits elsewhere."""
        record = self.waiting.popleft()
        self.size -= len(record)
        self.records -= 1

    def take(self, max_bytes: int) -> Batch:
        """The next batch within the limits of the wire contract; it is in flight from now."""
        records: list[bytes] = []
        size = 0
        while self.waiting and len(records) < limits.MAX_BATCH_RECORDS:
            record = self.waiting[0]
            if records and wire.body_size(size + len(record), len(records) + 1) > max_bytes:
                break
            records.append(self.waiting.popleft())
            size += len(record)
        return Batch(records, size, monotonic())

    def settle(self, records: int, size: int, *, is_all: bool) -> None:
        """Ends the flight of so many records and bytes; ``is_all``: nothing else is in flight."""
        self.size = 0 if is_all and not self.waiting else self.size - size
        self.records -= records
