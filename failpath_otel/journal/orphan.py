"""A journal whose process is gone."""

import contextlib
from time import time
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.holding import Holding
from failpath_otel.journal.log import PASSING, Log
from failpath_otel.journal.segment import CLOSED, SPARE, SUFFIX, Segment
from failpath_otel.report import say_once


class Orphan(Log):
    """The records that a process has left, for the one that has locked its directory."""

    def __init__(self, holding: Holding) -> None:
        super().__init__()
        self._holding: Final = holding
        self._foreign: set[Segment] = set()
        for name in holding.files():
            if name.endswith(SUFFIX):
                # Opened when it is read: there may be many, and the application needs descriptors too.
                segment = Segment(holding.directory, name, CLOSED)
                segment.last = 0  # nobody writes it any more
                self._unread.append(segment)
                self._unconfirmed.append(segment)
            elif name == SPARE:
                holding.delete(name)

    def _open(self, segment: Segment) -> int:
        try:
            segment.descriptor = self._holding.open_file(segment.name)
            if segment.taken or segment.resume():
                return segment.descriptor
        except OSError as error:
            # The next time it is resumed again: what is confirmed must not come twice.
            segment.close()
            segment.begin_again()
            if error.errno not in PASSING:
                self._foreign.add(segment)
            raise
        self._foreign.add(segment)
        msg = "it is no segment of a journal"
        raise OSError(msg)

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self._holding.name

    def now(self) -> float:
        """Seconds since the epoch."""
        return time()

    def newest(self) -> float:
        """When the last record was written, at the earliest: seconds since the epoch."""
        return max((self._holding.modified(segment.name) for segment in self._unconfirmed), default=0.0)

    def _give_up(self, segment: Segment) -> int:
        if segment in self._foreign:
            text = "Failpath: %s in %s is left alone: it is no segment of a journal."
            say_once("foreign file", text, segment.name, self.name)
            return 0
        # Nobody knows how many; most often it is one, whose writer was killed before the step's function was entered.
        say_once(
            "torn record", "Failpath: a record in %s was cut off by the end of its process; it is left out.", self.name
        )
        return 0

    def _discard(self, segment: Segment) -> None:
        if segment in self._foreign:
            segment.close()
        else:
            super()._discard(segment)

    def waiting(self) -> int:
        """How many records are not confirmed yet."""
        records = sum(segment.taken - segment.confirmed for segment in self._unconfirmed)
        for segment in tuple(self._unread):
            with contextlib.suppress(OSError):
                records += self._count(segment)
        return records

    def _count(self, segment: Segment) -> int:
        """How many records of a segment are not taken yet."""
        records = 0
        reader = Segment(self._holding.directory, segment.name, self._holding.open_file(segment.name))
        try:
            if segment.taken:
                reader.position = segment.position
            elif not reader.resume():
                return 0
            while read := reader.read(reader.size(), limits.MAX_BATCH_RECORDS, 0):
                reader.advance(read)
                records += len(read)
        finally:
            reader.close()
        return records

    def remove(self) -> None:
        """Deletes all that is left of it."""
        for segment in self._unconfirmed:
            self._discard(segment)
        self._unconfirmed.clear()
        self._unread.clear()
        self._holding.remove()

    def close(self) -> None:
        """Lets go of it; what is left is another process's to deliver, once this one has ended."""
        for segment in self._unconfirmed:
            segment.close()
        self._unconfirmed.clear()
        self._unread.clear()
        self._holding.close()
