"""The files that a journal has open."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segment_factory import Writer
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import SPARE, SUFFIX, Segment


class OpenFiles(NamedTuple):
    """All segments, and all writers that are still open."""

    segments: set[Segment]
    writers: list[Writer]

    def close(self) -> None:
        """Close them; leave the files as they are."""
        for writer in self.writers:
            with contextlib.suppress(ValueError, BufferError, OSError):
                writer.close()
        for segment in self.segments:
            segment.close()

    def delete(self, directory: LockedDirectory) -> None:
        """Close and delete them and their directory."""
        for writer in self.writers:
            writer.close()
        for segment in self.segments:
            segment.close()
            segment.remove()
        directory.delete_files(SUFFIX, SPARE)  # also files that Ctrl-C kept from being registered
        directory.remove()

    def take_mapped(self, unread: Iterable[Segment]) -> list[bytes]:
        """Take the records of *unread* that were not taken, as far as they are still mapped."""
        mapped = {writer.segment: writer for writer in self.writers if isinstance(writer, MappedWriter)}
        known = [segment for segment in unread if segment in mapped and not segment.dropped]
        return [record for segment in known for record in segment.take_all(mapped[segment].content())]
