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
"""Frames between two places whose number is remembered, for :meth:`FrameCount.up_to` an earlier place."""


class FrameCount:
    """Counts frames by their lengths; what was counted before is not read again.

    Used under the lock of the journal's owner. A signal handler may count in the midst of a count.
    """

    __slots__ = ("_marks", "_reached")

    def __init__(self) -> None:
        self._reached = HEADER_BYTES, 0
        self._marks = [self._reached]

    @property
    def known(self) -> int:
        """How many frames were counted so far."""
        return self._reached[1]

    def up_to(self, content: mmap, end: int) -> int | None:
        """Return how many frames of ``content`` stand before ``end``; ``None`` if lengths lead elsewhere."""
        at, frames = self._reached
        if end < at:
            at, frames = self._marks[bisect_right(self._marks, end, key=_place) - 1]
        begin, chunk = at, content[at:end]
        while at + FRAME_BYTES < end:
            length = _length_at(chunk, at - begin)[0]
            if not length:
                return None
            at += FRAME_BYTES + length
            frames += 1
            if not frames % _MARK_EVERY and self._marks[-1][0] < at <= end:
                self._marks.append((at, frames))
        if at != end:
            return None
        if end > self._reached[0]:
            self._reached = at, frames
        return frames


def _place(mark: tuple[int, int]) -> int:
    return mark[0]
