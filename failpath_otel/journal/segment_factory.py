"""Create the segments of a journal, mapped where the file system allows it."""

import errno
import itertools
from typing import Final

from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import SUFFIX, Segment
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from failpath_otel.report import warn_once

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors that writing by system calls would meet too."""

Writer = MappedWriter | SyscallWriter


class SegmentFactory:
    """Creates segments of one directory, and prepares a spare one so that the next is there when it is needed.

    A spare segment has its final name already: to begin it takes no system call, during which the threads that wait
    for a segment would wait for a processor as well. A file without records is read as such.
    """

    def __init__(self) -> None:
        self.spare: tuple[Segment, Writer] | None = None
        """The spare segment."""

        self.not_mapped_because: Exception | None = None
        """Why the newest segment is written by system calls; ``None`` if it is mapped."""

        self._numbers = itertools.count(1)
        self._newest = ""

    def next_segment(self, directory: LockedDirectory) -> tuple[Segment, Writer]:
        """Return the spare segment, which is made if there is none, and is the spare one until :meth:`begin`.

        Raises:
            OSError: it cannot be created.
            ValueError: the file is shorter than it was made.
        """
        spare = self.spare
        if spare is not None and spare[0].name < self._newest:  # another one was begun while it was prepared
            try:
                spare[0].rename(self._next_name())
            except BaseException as error:
                self.discard_spare()
                if not isinstance(error, FileNotFoundError):  # else other code has deleted it
                    raise
        if self.spare is None:
            self.spare = self._new(directory)
        return self.spare

    def begin(self, segment: Segment) -> None:
        """Have no spare segment any more: this one is begun."""
        self._newest, self.spare = segment.name, None

    def prepare_spare(self, directory: LockedDirectory) -> None:
        """Create the spare segment unless it is there; raise what :meth:`next_segment` raises."""
        spare = self.spare
        if spare is not None and not spare[0].exists():  # other code has deleted it
            self.spare = None
            self._close(*spare)
        if self.spare is None:
            self.spare = self._new(directory)

    def discard_spare(self) -> None:
        """Close and delete the spare segment."""
        spare, self.spare = self.spare, None
        if spare is not None:
            self._close(*spare)
            spare[0].remove()

    def close_spare(self) -> None:
        """Close the spare segment; its file stays."""
        spare, self.spare = self.spare, None
        if spare is not None:
            self._close(*spare)

    def log_pending(self, path: str) -> None:
        """Log why the journal in ``path`` is not mapped; not under a lock."""
        if self.not_mapped_because is not None:
            text = "Failpath: the journal in %s is written by system calls: %s."
            warn_once("plain journal", text, path, self.not_mapped_because)

    @staticmethod
    def _close(segment: Segment, writer: Writer) -> None:
        writer.close()
        segment.close()

    def _next_name(self) -> str:
        return f"{next(self._numbers):08d}{SUFFIX}"

    def _new(self, directory: LockedDirectory) -> tuple[Segment, Writer]:
        name = self._next_name()
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
