"""How many frames stand in a segment that is being written."""

from bisect import bisect_right
from mmap import mmap
from struct import Struct
from typing import Final

from failpath_otel.journal.segments.frame import FRAME_BYTES
from failpath_otel.journal.segments.segment import HEADER_BYTES

_length_at: Final = Struct("<I").unpack_from
"""The first four bytes of a frame."""

_MARK_EVERY: Final = 64
"""Frames between two places whose number is remembered, for the number of an earlier place."""


class FrameCount:
    """Counts frames by their lengths; what was counted before is not read again.

    Used under the lock of the journal's owner. A signal handler may count in the midst of a count.
    """

    __slots__ = ("_marks", "_reached")

    def __init__(self) -> None:
        self._reached = HEADER_BYTES, 0
        self._marks: list[tuple[int, int]] = [self._reached]

    @property
    def known(self) -> int:
        """How many frames were counted so far."""
        return self._reached[1]

    def up_to(self, content: mmap, end: int) -> int | None:
        """Return how many frames of ``content`` stand before ``end``; ``None`` if lengths lead elsewhere."""
        begin, frames = self._reached
        if end < begin:
            begin, frames = self._marks[bisect_right(self._marks, end, key=_place) - 1]
        chunk, at = content[begin:end], 0
        last = len(chunk) - FRAME_BYTES
        while at < last:
            length = _length_at(chunk, at)[0]
            if not length:
                return None
            at += length + FRAME_BYTES
            frames += 1
        if at != len(chunk):
            return None
        if end > self._reached[0]:
            self._reached = end, frames
            if frames >= self._marks[-1][1] + _MARK_EVERY:
                self._marks.append(self._reached)
        return frames


def _place(mark: tuple[int, int]) -> int:
    return mark[0]
