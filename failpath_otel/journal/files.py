"""The files that a journal has open."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import SPARE, SUFFIX, Segment
from failpath_otel.journal.segments.supply import Writer


class Files(NamedTuple):
    """All segments, and all that writes or has written one and is still open."""

    segments: set[Segment]
    writers: list[Writer]

    def let_go(self) -> None:
        """Closes them, without a trace in the files."""
        for writer in self.writers:
            with contextlib.suppress(ValueError, BufferError, OSError):
                writer.close()
        for segment in self.segments:
            segment.close()

    def delete(self, holding: LockedDirectory) -> None:
        """Closes and deletes them, and their directory."""
        for writer in self.writers:
            writer.close()
        for segment in self.segments:
            segment.close()
            segment.remove()
        holding.empty(SUFFIX, SPARE)  # those that Ctrl-C has left unknown
        holding.remove()

    def rest(self, unread: Iterable[Segment]) -> list[bytes]:
        """The records of ``unread`` that were not taken, as far as they are still mapped; takes them."""
        mapped = {writer.segment: writer for writer in self.writers if isinstance(writer, MappedWriter)}
        known = [segment for segment in unread if segment in mapped and not segment.dropped]
        return [record for segment in known for record in segment.rest(mapped[segment].content())]
