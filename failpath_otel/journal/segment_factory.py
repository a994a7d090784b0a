"""Create the segments of a journal, mapped where the file system allows it."""

import errno
from typing import Final

from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import SPARE, Segment, SyscallWriter

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors that writing by system calls would meet too."""

Writer = MappedWriter | SyscallWriter


class SegmentFactory:
    """Creates segments, and prepares a spare one so that the next is there when it is needed."""

    def __init__(self) -> None:
        self.spare: tuple[Segment, Writer] | None = None
        """The spare segment."""

        self.not_mapped_because: Exception | None = None
        """Why the newest segment is written by system calls; ``None`` if it is mapped."""

    def next_segment(self, directory: LockedDirectory, name: str) -> tuple[Segment, Writer]:
        """Return the spare segment, renamed to *name*, or a new one.

        Raises:
            OSError: it cannot be created.
            ValueError: the file is shorter than it was made.
        """
        if self.spare is None:
            return self._new(directory, name)
        found = self.spare
        try:
            found[0].rename(name)
            self.spare = None
        except FileNotFoundError:  # other code has deleted it
            self._discard(directory, name)
            return self._new(directory, name)
        except BaseException:  # or Ctrl-C, perhaps after the renaming
            self._discard(directory, name)
            raise
        return found

    def prepare_spare(self, directory: LockedDirectory) -> None:
        """Create the spare segment unless there is one; raise what :meth:`next_segment` raises."""
        if self.spare is None:
            directory.delete(SPARE)  # left by an interrupted attempt
            self.spare = self._new(directory, SPARE)

    def close_spare(self) -> None:
        """Close the spare segment."""
        spare, self.spare = self.spare, None
        if spare is not None:
            segment, writer = spare
            writer.close()
            segment.close()

    def _discard(self, directory: LockedDirectory, name: str) -> None:
        """Close the spare segment and delete its file, whether or not it was renamed already."""
        directory.delete(SPARE)
        directory.delete(name)
        self.close_spare()

    def _new(self, directory: LockedDirectory, name: str) -> tuple[Segment, Writer]:
        segment = Segment(directory.fd, name, directory.new_file(name))
        try:
            return segment, self._new_writer(segment)
        except BaseException:  # or Ctrl-C
            segment.close()
            segment.remove()
            raise

    def _new_writer(self, segment: Segment) -> Writer:
        try:
            return MappedWriter(segment)
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            self.not_mapped_because = error
            return SyscallWriter(segment)
