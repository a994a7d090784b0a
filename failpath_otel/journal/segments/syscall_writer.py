"""Write a segment by system calls."""

import os
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.files import port
from failpath_otel.journal.segments.segment import HEADER_BYTES, Segment


def raise_no_room(_: bytes) -> int:
    """Refuse a frame: there is no segment yet, or it is full or busy."""
    raise ValueError("there is no room for it")


class SyscallWriter:
    """Appends to a segment by system calls, where the file system or platform does not support more.

    Used under the lock of the journal's owner.
    """

    def __init__(self, segment: Segment) -> None:
        segment.write_header()
        self._segment: Final = segment
        self._written = HEADER_BYTES, 0  # the end and the number of frames, which change at once
        self.busy = False
        """A frame is being written; records of signal handlers are deferred meanwhile."""
        self.base = 0
        """What its tickets count from."""

    def append(self, data: bytes) -> int:
        """Append a frame and return its ticket, or append nothing of it; raise ``ValueError`` if it does not fit."""
        if self.busy:
            raise_no_room(data)
        done = end = frames = 0
        try:
            self.busy = True  # before reading anything that a signal handler may change
            end, frames = self._written
            if end + len(data) > limits.JOURNAL_SEGMENT_BYTES:
                raise_no_room(data)
            while done < len(data):
                done += port.file_system.write_at(self._segment.descriptor, data[done:], end + done)
            # Last: another thread reads up to here.
            self._written = end + done, frames + 1
        finally:
            self.busy = False
            if 0 < done < len(data):
                os.ftruncate(self._segment.descriptor, end)
        return self.base + end + done

    def end(self) -> int:
        """Return where the next frame will stand."""
        return self._written[0]

    def frames(self) -> int:
        """Return how many frames stand in it."""
        return self._written[1]

    def number_at(self, end: int) -> int | None:
        """Return how many frames stand before ``end``, if that is known."""
        return self._written[1] if end == self._written[0] else None

    def seal(self) -> None:
        """Do nothing: who has the lock appends to the next segment."""

    def close(self) -> None:
        """End the writing; the file stays."""
