"""This process's own journal."""

import contextlib
import errno
import itertools
import os
from collections import deque
from collections.abc import Callable
from time import monotonic, time
from typing import Any, Final
from zlib import crc32

from failpath_otel import limits
from failpath_otel.journal.frame import pack_frame
from failpath_otel.journal.holding import Holding
from failpath_otel.journal.log import Log
from failpath_otel.journal.segment import SPARE, SUFFIX, MappedWriter, PlainWriter, Segment
from failpath_otel.journal.trimming import trim_open
from failpath_otel.report import say_once

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors that plain writes would meet too."""

_MAX_UNSAID: Final = 8

_LATEST: Final = 4e9
"""The latest start of a machine that is believed, in 2096: a frame has 32 bits for a time."""

Overflow = Callable[[int], object]
"""Told how many records were dropped because the journal is full."""


class Journal(Log):
    """Appends on any thread, under the lock of whoever owns it; a directory is made when the first record comes.

    Args:
        path: the journal directory, in which each process has one of its own.
        binding: of whom the records are: a hash of the project key and the endpoint.
        overflow: called, under the lock, with the number of records that had to go to make room for new ones.
    """

    def __init__(self, path: str, binding: str, overflow: Overflow) -> None:
        super().__init__()
        self.path: Final = path
        self._binding: Final = binding
        self._overflow: Final = overflow
        self._start()

    def _start(self) -> None:
        self._unread.clear()
        self._unconfirmed.clear()
        self.appended = self.taken = 0
        self._holding: Holding | None = None
        self._current: Segment | None = None
        self._writer: MappedWriter | PlainWriter | None = None
        self._spares: deque[tuple[Segment, MappedWriter | PlainWriter]] = deque()
        self._finished: list[MappedWriter | PlainWriter] = []
        self._dropped: list[Segment] = []
        self._names = itertools.count(1)
        self._unsaid: deque[tuple[Any, ...]] = deque(maxlen=_MAX_UNSAID)
        self._write: Callable[[bytes], object] = _no_room
        self._rolling = False
        self._next_try = 0.0
        # The clock on the wall may jump by years when a machine has started without a battery.
        self._epoch = min(max(time() - monotonic(), 0.0), _LATEST)

    def now(self) -> float:
        """Seconds since the epoch, by a clock that does not jump."""
        return self._epoch + monotonic()

    # On the threads of the application, under the lock.

    def append(self, record: bytes) -> bool:
        """Appends a record; once this has returned ``True``, it outlives the process.

        Returns:
            Whether that was possible. If not, it may be again after a while: see :meth:`is_usable`.
        """
        seconds = int(self._epoch + monotonic())
        # The time is the start value of the checksum, so that it is covered as well.
        framed = pack_frame(len(record), crc32(record, seconds), seconds) + record
        try:
            try:
                self._write(framed)
            except ValueError:  # there is no room in the segment, or no segment yet
                if not self._append_to_next(framed):
                    return False
            self.appended += 1
        except OSError as error:
            self._fail(error)
            return False
        except BaseException:  # Ctrl-C, perhaps when it was written already
            self._rolling = False
            self._recount()
            raise
        return True

    def room(self) -> int:
        """Bytes of records that can be appended for sure before the oldest ones have to go, the frames included."""
        used = len(self._unconfirmed) - len(self._dropped)
        return max(limits.JOURNAL_SEGMENTS - used, 0) * (limits.JOURNAL_SEGMENT_BYTES - 2 * limits.MAX_RECORD_BYTES)

    def _recount(self) -> None:
        """Counts the records of the segment at hand once more."""
        segment, writer = self._current, self._writer
        if segment is None or writer is None or self._holding is None:
            return
        reader = Segment(self._holding.directory, segment.name, segment.descriptor)
        with contextlib.suppress(OSError):
            while read := reader.read(writer.end(), limits.MAX_BATCH_RECORDS, 0):
                reader.advance(read)
            self.appended = max(self.appended, segment.first - 1 + reader.taken)

    def _append_to_next(self, framed: bytes) -> bool:
        # A signal handler that ends a step in the midst of this finds neither the old segment nor the new one.
        busy = self._rolling or (self._writer is not None and self._writer.busy)
        if busy or len(framed) > limits.JOURNAL_SEGMENT_BYTES // 2:
            return False
        try:
            self._rolling = True
            self._roll()
            self._write(framed)
        except (OSError, ValueError) as error:
            self._fail(error)
            return False
        finally:
            self._rolling = False
        return True

    def _roll(self) -> None:
        """Begins the next segment; also where the last time was interrupted by Ctrl-C, wherever that was."""
        if self._writer is not None:
            self._finished.append(self._writer)
        self._current, self._writer, self._write = None, None, _no_room
        # A copy, here and in `waiting`, because the thread that delivers confirms without the lock.
        for before in tuple(self._unconfirmed):
            if before.last is None:
                before.last = self.appended
        if self._holding is None:
            self._holding = Holding.create(self.path, self._binding)
        name = f"{next(self._names):08d}{SUFFIX}"
        if self._spares:
            segment, writer = self._spares[0]
            segment.rename(name)
            self._spares.popleft()
        else:
            segment, writer = self._new_segment(self._holding, name)
        segment.first = self.appended + 1
        self._unconfirmed.append(segment)
        self._unread.append(segment)
        self._current, self._writer, self._write = segment, writer, writer.write
        if len(self._unconfirmed) - len(self._dropped) > limits.JOURNAL_SEGMENTS:
            self._drop_oldest()

    def _new_segment(self, holding: Holding, name: str) -> tuple[Segment, MappedWriter | PlainWriter]:
        segment = Segment(holding.directory, name, holding.new_file(name))
        try:
            return segment, self._new_writer(segment)
        except BaseException:  # a ValueError where the file is not as long as it was made, or Ctrl-C
            segment.close()
            segment.remove()
            raise

    def _new_writer(self, segment: Segment) -> MappedWriter | PlainWriter:
        try:
            return MappedWriter(segment)
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            self._say("plain journal", "Failpath: the journal in %s is written by system calls: %s.", self.path, error)
            return PlainWriter(segment)

    def _drop_oldest(self) -> None:
        for segment in tuple(self._unread):
            if segment.last is not None and segment.last > self.taken and not segment.dropped:
                segment.dropped = True
                self._dropped.append(segment)
                self._overflow(segment.last - max(self.taken, segment.first - 1))
                return

    def _fail(self, error: Exception) -> None:
        self._next_try = monotonic() + limits.JOURNAL_RETRY_SECONDS
        reason = getattr(error, "strerror", None) or error
        text = "Failpath: records wait in memory alone, because the journal in %s fails: %s."
        self._say("journal", text, self.path, reason)

    def _say(self, place: str, text: str, *arguments: object) -> None:
        # Not here, under the lock: a logging handler takes locks of its own.
        self._unsaid.append((place, text, *arguments))

    # On the thread that delivers.

    def _end(self, segment: Segment) -> int:
        writer = self._writer
        return writer.end() if segment is self._current and writer is not None else segment.size()

    def _give_up(self, segment: Segment) -> int:
        if segment is self._current and self._writer is not None:
            segment.last = self.appended
            self._finished.append(self._writer)
            self._current, self._writer, self._write = None, None, _no_room
        assert segment.last is not None  # it is the current one, or one before
        lost = max(segment.last - self.taken, 0)
        if lost:
            self._say("damaged journal", "Failpath: %d records in %s cannot be read any more.", lost, self.path)
        return lost

    def _discard(self, segment: Segment) -> None:
        if segment in self._dropped:
            self._dropped.remove(segment)
        super()._discard(segment)

    def _open(self, segment: Segment) -> int:
        if segment.deleted or self._holding is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), segment.name)
        return self._holding.open_file(segment.name)

    def is_lost(self) -> bool:
        """Whether somebody else has closed its lock, so that another process adopts what was written."""
        return self._holding is not None and not self._holding.is_locked()

    def is_deleted(self) -> bool:
        """Whether somebody has deleted its directory, so that no other process will find it."""
        return self._holding is not None and not self._holding.is_there()

    def has_deleted(self) -> bool:
        """Whether records wait in files that somebody has deleted."""
        return self.is_deleted() or any(segment.deleted for segment in tuple(self._unconfirmed))

    def is_usable(self) -> bool:
        """Whether it can be tried to append again."""
        return monotonic() >= self._next_try

    def tidy(self) -> None:
        """Does what would take time on the threads of the application: says, unmaps, deletes, sets room aside."""
        while self._unsaid:
            say_once(*self._unsaid.popleft())
        while self._finished:
            self._finished.pop().close()
        for segment in tuple(self._unread)[1:]:  # but for the one that is being read
            if segment.last is not None and not segment.deleted:
                segment.close()
        for segment in tuple(self._dropped):
            segment.close()  # its room is free only then
            segment.remove()
        holding, writer = self._holding, self._writer
        if holding is None or writer is None or self._spares or writer.end() < limits.JOURNAL_SEGMENT_BYTES // 2:
            return
        with contextlib.suppress(OSError):  # the next record will meet the same failure, and say it
            self._spares.append(self._new_segment(holding, SPARE))

    # On any thread, under the lock, while nothing is being read.

    def move(self) -> None:
        """Has the next record begin a new directory, because this one was deleted; what is open can still be read."""
        self._put_down()
        for segment in self._unconfirmed:
            segment.deleted = True
            if segment.last is None:
                segment.last = self.appended
        if self._holding is not None:
            self._holding.close()
            self._holding = None

    def close(self) -> Callable[[], None] | None:
        """Begins anew, if all that was written is read and confirmed; a later record has a new directory.

        Returns:
            What deletes the directory, to be called without the lock; ``None`` where something is left.
        """
        holding = self._holding
        if holding is None or (read := self.read(1, 1)).segment is not None or read.later:
            return None
        if any(segment.confirmed < segment.taken for segment in self._unconfirmed):
            return None
        segments = [*self._unconfirmed, *(segment for segment, _ in self._spares)]
        writers = self._writers()
        self._start()

        def remove() -> None:
            for writer in writers:
                writer.close()
            for segment in segments:
                segment.close()
                segment.remove()
            holding.remove()

        return remove

    def seal(self) -> None:
        """Gives back the room that was set aside for more records; one that comes all the same begins another file."""
        segment, holding = self._current, self._holding
        if segment is not None and holding is not None:
            segment.last = self.appended
            self._put_down()
            holding.delete(SPARE)
            trim_open(holding, segment)

    def _put_down(self) -> None:
        if self._writer is not None:
            self._finished.append(self._writer)
        self._current, self._writer, self._write = None, None, _no_room
        for segment, writer in self._spares:
            writer.close()
            segment.close()
        self._spares.clear()

    def _writers(self) -> "list[MappedWriter | PlainWriter]":
        return [
            *self._finished,
            *(writer for _, writer in self._spares),
            *([] if self._writer is None else [self._writer]),
        ]

    def forsake(self) -> None:
        """In a forked child: lets go of all that is the parent's, without a trace in its files."""
        if self._holding is not None:
            for writer in self._writers():
                with contextlib.suppress(ValueError, BufferError, OSError):
                    writer.close()
            for segment in {*self._unconfirmed, *self._unread, *(segment for segment, _ in self._spares)}:
                segment.close()
            self._holding.close()
        self._start()


def _no_room(_: bytes) -> None:
    """Appending where there is no segment yet."""
    msg = "there is no segment"
    raise ValueError(msg)
