"""Records that wait in memory: where there is no journal, or while it cannot be written."""

from collections import deque
from collections.abc import Sequence
from time import monotonic

from failpath_otel import limits
from failpath_otel.delivery.receipt import Ticket
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.records import request
from failpath_otel.records.compact import json_of


class Memory:
    """Records in their order, with counts of them together with those of them that are in flight.

    Has no lock; used under that of the queue.
    """

    __slots__ = ("records", "size", "waiting")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin with nothing."""
        self.waiting: deque[bytes] = deque()
        self.size = 0
        """The bytes of what waits and of what is in flight."""
        self.records = 0
        """How many records these are."""

    def add(self, record: bytes) -> None:
        """Append a record. It is counted first, so that a signal handler that counts does not miss it."""
        self.size += len(record)
        self.records += 1
        self.waiting.append(record)

    def move_out(self) -> None:
        """Remove the oldest record, which now waits elsewhere."""
        record = self.waiting.popleft()
        self.size -= len(record)
        self.records -= 1

    def put_first(self, records: Sequence[bytes]) -> None:
        """Put records from elsewhere before all others."""
        self.waiting.extendleft(reversed(records))
        self.size += sum(map(len, records))
        self.records += len(records)

    def take(self, max_bytes: int, first: Ticket, after: Ticket, since: float | None = None) -> Batch:
        """Take the next batch within the limits of the wire contract, from the ticket ``first``, behind ``after``.

        ``since`` is since when its records wait; by default, since now.
        """
        records: list[bytes] = []
        size = 0
        while self.waiting and len(records) < limits.MAX_BATCH_RECORDS:
            try:
                record = json_of(self.waiting[0])
            except BaseException:  # where memory is short; nothing else knows of these
                self.waiting.extendleft(reversed(records))
                raise
            if records and request.body_size(size + len(record), len(records) + 1) > max_bytes:
                break
            records.append(record)
            self.size += len(record) - len(self.waiting.popleft())
            size += len(record)
        began = monotonic() if since is None else since
        return Batch(records, size, began, tickets=range(first, first + len(records)), after=after)

    def take_back(self, batch: Batch) -> None:
        """Put a batch that was taken before all others; it may have been cut down."""
        self.size += batch.length - batch.size
        self.waiting.extendleft(reversed(batch.records))

    def adopt(self, batch: Batch) -> None:
        """Count a batch in flight, which was taken from a journal that another process has by now."""
        batch.source, batch.size = None, batch.length
        self.size += batch.size
        self.records += len(batch.records)

    def settle(self, records: int, size: int, *, is_all: bool) -> None:
        """Count ``records`` and ``size`` bytes as no longer in flight; ``is_all``: nothing else is in flight."""
        self.size = 0 if is_all and not self.waiting else self.size - size
        self.records -= records
