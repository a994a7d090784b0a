"""Reading a journal to its end, as a pipeline does."""

from failpath_otel.journal.journal import Journal
from failpath_otel.journal.reader import SegmentReader


def appended(log: SegmentReader) -> int:
    """What the owner of a log says of its end."""
    return log.appended if isinstance(log, Journal) else 0


def take(log: SegmentReader, records: int = 512, budget: int = 0) -> list[bytes]:
    """The next batch, which is in flight from now."""
    read = log.read(records, budget, appended(log))
    assert log.take(read)
    return [each.record for each in read.records]


def take_all(log: SegmentReader) -> list[bytes]:
    """Everything that is left; nothing may be lost on the way."""
    found: list[bytes] = []
    while True:
        read = log.read(512, 0, appended(log))
        assert log.take(read)
        assert not read.lost, read
        if read.segment is None:
            return found
        found += [each.record for each in read.records]
