"""What travels in one request: records that were taken from the queue together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from failpath_otel.delivery.retries.halving import Halving
from failpath_otel.journal.reader import SegmentReader
from failpath_otel.records.record import decode, minimal_record


@dataclass(slots=True)
class Batch:
    """Records that travel together, and how it went so far."""

    records: Sequence[bytes]
    size: int
    """What the queue counts for them in bytes, whatever becomes of them on the way; 0 where they are in a journal."""

    since: float
    """Since when they are waiting to be delivered, by the monotonic clock."""

    failed: bool = False
    """An attempt to send them has failed."""

    source: SegmentReader | None = None
    """The journal that they were taken from, to which it is to be told when they are settled."""

    halving: Halving | None = None
    """What this is a half of, where that was refused."""

    @property
    def length(self) -> int:
        """The bytes of the records."""
        return sum(map(len, self.records))

    def halves(self, halving: Halving | None = None) -> "tuple[Batch, Batch]":
        """Two batches in the place of one that was too large, or was refused and is searched by ``halving``."""
        middle = len(self.records) // 2
        if halving is None and self.halving is not None:
            halving = Halving(self.length, self.halving)
        return self._part(self.records[:middle], halving), self._part(self.records[middle:], halving)

    def cut_down(self) -> "Batch | None":
        """The one record as its identity and its status; ``None`` where that is not less than there was."""
        [data] = self.records
        record = decode(data)
        if record is None or len(smaller := minimal_record(record).to_json()) >= len(data):
            return None
        return replace(self, records=(smaller,))

    def _part(self, records: Sequence[bytes], halving: Halving | None) -> "Batch":
        size = sum(map(len, records)) if self.size else 0
        return replace(self, records=records, size=size, halving=halving)
