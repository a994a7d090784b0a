"""Create the segments of a journal, mapped where the file system allows it."""

import errno
import itertools
from collections import deque
from typing import Final

from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.segments.mapped import MappedWriter
from failpath_otel.journal.segments.segment import SUFFIX, Segment
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from failpath_otel.report import warn_once
from failpath_otel.runtime.snapshots import snapshot

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors that writing by system calls would meet too."""

Writer = MappedWriter | SyscallWriter


class SegmentFactory:
    """Creates segments of one directory, and prepares a spare one so that the next is there when it is needed.

    A spare segment has its final name already: to begin it takes no system call, during which the threads that wait
    for a segment would wait for a processor as well. A file without records is read as such.
    """

    def __init__(self) -> None:
        # One at most, or two where a thread needs one that another has just prepared: each call on it is one step.
        self.spares: Final[deque[tuple[Segment, Writer]]] = deque()
        """The spare segments."""

        self.not_mapped_because: Exception | None = None
        """Why the newest segment is written by system calls; ``None`` if it is mapped."""

        self._numbers = itertools.count(1)
        self._newest = ""

    def next_segment(self, directory: LockedDirectory) -> tuple[Segment, Writer]:
        """Return the spare segment, which is made if there is none, and is a spare one until :meth:`begin`.

        Raises:
            OSError: it cannot be created.
            ValueError: the file is shorter than it was made.
        """
        spare = self.spares[0] if self.spares else None
        if spare is not None and spare[0].name < self._newest:  # another one was begun while it was prepared
            try:
                spare[0].rename(self._next_name())
            except BaseException as error:
                self.discard_spares()
                if not isinstance(error, FileNotFoundError):  # else other code has deleted it
                    raise
        if not self.spares:
            self.spares.append(self._new(directory))
        return self.spares[0]

    def begin(self, segment: Segment) -> None:
        """Take a segment, which is begun, from the spare ones."""
        self._newest = segment.name
        for spare in snapshot(self.spares):
            if spare[0] is segment:
                self.spares.remove(spare)

    def prepare_spare(self, directory: LockedDirectory) -> None:
        """Create a spare segment unless there is one; raise what :meth:`next_segment` raises."""
        for spare in snapshot(self.spares):
            if not spare[0].exists():  # other code has deleted it
                self.spares.remove(spare)
                self._close(*spare)
        if not self.spares:
            self.spares.append(self._new(directory))

    def discard_spares(self) -> None:
        """Close and delete the spare segments."""
        while self.spares:
            spare = self.spares.popleft()
            self._close(*spare)
            spare[0].remove()

    def close_spares(self) -> None:
        """Close the spare segments; their files stay."""
        while self.spares:
            self._close(*self.spares.popleft())

    def log_pending(self, path: str) -> None:
        """Log why the journal in ``path`` is not mapped; not under a lock."""
        error = self.not_mapped_because
        if error is not None:
            text = "Failpath: the journal in %s is written by system calls: %s."
            warn_once("plain journal", text, path, getattr(error, "strerror", None) or error)

    @staticmethod
    def _close(segment: Segment, writer: Writer) -> None:
        writer.close()
        segment.close()

    def _next_name(self) -> str:
        return f"{next(self._numbers):08d}{SUFFIX}"

    def _new(self, directory: LockedDirectory) -> tuple[Segment, Writer]:
        name = self._next_name()
        segment = Segment(directory.folder, name, directory.new_file(name))
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
