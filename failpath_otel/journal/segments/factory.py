"""The files that a journal writes next, each in the best way that the file system allows."""

import errno
from typing import Final

from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import SPARE, Segment, SyscallWriter

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors that plain writes would meet too."""

Writer = MappedWriter | SyscallWriter


class SegmentFactory:
    """Makes segments, and sets one aside, so that the next one is there when it is needed."""

    def __init__(self) -> None:
        self.spare: tuple[Segment, Writer] | None = None
        """A segment that was set aside."""

        self.not_mapped_because: Exception | None = None
        """Why the newest segment is written by system calls; ``None`` where it is mapped."""

    def next_segment(self, directory: LockedDirectory, name: str) -> tuple[Segment, Writer]:
        """The segment that was set aside, under this name, or a new one.

        Raises:
            OSError: it cannot be made.
            ValueError: it is not as long as it was made.
        """
        if self.spare is None:
            return self._new(directory, name)
        found = self.spare
        try:
            found[0].rename(name)
            self.spare = None
        except FileNotFoundError:  # somebody has deleted it
            self._discard(directory, name)
            return self._new(directory, name)
        except BaseException:  # or Ctrl-C, perhaps when it had its name already
            self._discard(directory, name)
            raise
        return found

    def prepare_spare(self, directory: LockedDirectory) -> None:
        """Set a segment aside, unless there is one; raises what :meth:`next_segment` raises."""
        if self.spare is None:
            directory.delete(SPARE)  # of which Ctrl-C has let nobody know
            self.spare = self._new(directory, SPARE)

    def close_spare(self) -> None:
        """Let go of what was set aside."""
        spare, self.spare = self.spare, None
        if spare is not None:
            segment, writer = spare
            writer.close()
            segment.close()

    def _discard(self, directory: LockedDirectory, name: str) -> None:
        """Let go of what was set aside, and delete its file, whether or not it has got this name."""
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
