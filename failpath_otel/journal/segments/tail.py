"""What was appended to a segment last."""

import os

from failpath_otel.journal.segments.segment import Segment

_MORE = 65_536
"""Bytes that signal handlers may have appended behind."""


def is_near_end(record: bytes, segment: Segment, end: int) -> bool:
    """Whether ``record`` is among the last that stand before ``end``."""
    begin = max(end - len(record) - _MORE, 0)
    try:
        return record in os.pread(segment.descriptor, end - begin, begin)
    except (OSError, MemoryError):
        return False
