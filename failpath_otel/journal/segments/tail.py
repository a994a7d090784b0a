"""The end of a segment."""

from failpath_otel.journal.files import port
from failpath_otel.journal.segments.segment import Segment

_MORE = 65_536
"""Bytes that signal handlers may have appended behind the record."""


def is_near_end(record: bytes, segment: Segment, end: int) -> bool:
    """Return whether *record* is among the last records before *end*."""
    begin = max(end - len(record) - _MORE, 0)
    try:
        return record in port.file_system.read_at(segment.descriptor, end - begin, begin)
    except (OSError, MemoryError):
        return False
