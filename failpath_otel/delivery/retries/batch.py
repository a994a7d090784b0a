"""What travels in one request: records that were taken from the queue together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from failpath_otel.delivery.receipt import Ticket
from failpath_otel.delivery.retries.halving import Halving
from failpath_otel.errors import RecordsRejectedError, RejectedRecord
from failpath_otel.journal.reader import SegmentReader
from failpath_otel.records.record import decode, minimal_record


@dataclass(slots=True)
class Batch:
    """Records that travel together, and how it went so far."""

    records: Sequence[bytes]
    size: int
    """The bytes that the queue counts for them, whatever becomes of them on the way; 0 where they are in a journal."""

    since: float
    """Since when they wait for their delivery, by the monotonic clock."""

    failed: bool = False
    """An attempt to send them has failed."""

    source: SegmentReader | None = None
    """The journal that they were taken from, in which they are confirmed when they are settled."""

    halving: Halving | None = None
    """What this is a half of, where that was refused."""

    tickets: Sequence[Ticket] = ()
    """The tickets of the records, in their order; none where another process has recorded them."""

    after: Ticket = 0
    """The ticket of the record before them."""

    @property
    def length(self) -> int:
        """The bytes of the records."""
        return sum(map(len, self.records))

    def halves(self, halving: Halving | None = None) -> "tuple[Batch, Batch]":
        """Return two batches in the place of one that was too large, or was refused and is searched by ``halving``."""
        middle = len(self.records) // 2
        if halving is None and self.halving is not None:
            halving = Halving(self.length, self.halving)
        first, second = self._part(slice(None, middle), halving), self._part(slice(middle, None), halving)
        return first, replace(second, after=first.tickets[-1] if first.tickets else 0)

    def cut_down(self) -> "Batch | None":
        """Return its one record as its identity and its status; ``None`` where that is not less than there was."""
        [data] = self.records
        record = decode(data)
        if record is None or len(smaller := minimal_record(record).to_json()) >= len(data):
            return None
        return replace(self, records=(smaller,))

    def rejection(self, index: int, reason: str) -> RecordsRejectedError:
        """Return the error for one record that Failpath has rejected, with the server's ``reason``."""
        record = decode(self.records[index])
        if record is None:
            return RecordsRejectedError(f"a record was rejected: {reason or 'no reason given'}", 1, reason)
        which = RejectedRecord(record.flow_key, record.run_id, record.step_key, record.status, record.id)
        text = f"the {which.status} of {which.step_key} in {which.flow_key} was rejected: {reason or 'no reason given'}"
        return RecordsRejectedError(text, 1, reason, which)

    def _part(self, part: slice, halving: Halving | None) -> "Batch":
        records = self.records[part]
        size = sum(map(len, records)) if self.size else 0
        return replace(self, records=records, size=size, halving=halving, tickets=self.tickets[part])


NO_BATCH: Final = Batch((), 0, 0.0)
"""The batch where nothing waits."""
