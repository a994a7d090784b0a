"""Counts the records of a segment that are still to be delivered."""

from failpath_otel import limits
from failpath_otel.journal.segments.segment import Segment


def count_unread(reader: Segment) -> int:
    """Return how many records follow the position of an open segment, which moves to its end; damaged ones left out.

    Raises:
        OSError: it cannot be read.
    """
    records = 0
    while True:
        if read := reader.read(reader.size(), limits.MAX_BATCH_RECORDS, 0):
            reader.advance(read)
            records += len(read)
        elif gap := reader.find_gap(reader.size()):
            reader.position = gap.end
        else:
            return records
