"""A journal whose process is gone, and finding them."""

import contextlib
import os
from collections.abc import Callable
from time import time
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.holding import Holding, journals, open_base
from failpath_otel.journal.log import PASSING, Log
from failpath_otel.journal.segment import SPARE, SUFFIX, Segment
from failpath_otel.report import say_once


class Orphan(Log):
    """The records that a process has left, for the one that has locked its directory."""

    def __init__(self, holding: Holding) -> None:
        super().__init__()
        self._holding: Final = holding
        self.size = 0
        """Bytes of all records."""
        self.newest = 0.0
        """When the last of them was written, at the earliest: seconds since the epoch."""
        for name in holding.files():
            if name.endswith(SUFFIX):
                self._add(name)
            elif name == SPARE:
                holding.delete(name)

    def _add(self, name: str) -> None:
        segment = None
        try:
            segment = Segment(self._holding.directory, name, self._holding.open_file(name))
            if segment.resume():
                segment.last = 0  # nobody writes it any more
                self.newest = max(self.newest, segment.modified())
                self.size += segment.cut()
                self._unread.append(segment)
                self._unconfirmed.append(segment)
                return
            reason: object = "it is no segment of a journal"
        except OSError as error:
            reason = error.strerror or error
            if error.errno in PASSING:  # all of it is left to another time, or to another process
                raise
        finally:
            if segment is not None:
                segment.close()  # until it is read: there may be many
        say_once("foreign file", "Failpath: %s in %s is left alone: %s.", name, self._holding.name, reason)

    def _open(self, segment: Segment) -> int:
        return self._holding.open_file(segment.name)

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self._holding.name

    def now(self) -> float:
        """Seconds since the epoch."""
        return time()

    def _give_up(self, segment: Segment) -> int:  # noqa: ARG002 - as in Log
        # Nobody knows how many; most often it is one, whose writer was killed before the step's function was entered.
        say_once(
            "torn record", "Failpath: a record in %s was cut off by the end of its process; it is left out.", self.name
        )
        return 0

    def is_finished(self) -> bool:
        """Whether all of it is taken and confirmed."""
        return not self._unconfirmed

    def count(self) -> int:
        """How many records are not taken yet."""
        records = 0
        for segment in tuple(self._unread):
            with contextlib.suppress(OSError):
                reader = Segment(self._holding.directory, segment.name, self._open(segment))
                reader.position = segment.position
                while read := reader.read(reader.size(), limits.MAX_BATCH_RECORDS, 0):
                    reader.advance(read)
                    records += len(read)
                reader.close()
        return records

    def waiting(self) -> int:
        """How many records are not confirmed yet."""
        return self.count() + sum(segment.taken - segment.confirmed for segment in self._unconfirmed)

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


Expired = Callable[[int], object]
"""Told how many records of another project or endpoint were deleted because of their age."""


def adopt(path: str, binding: str | None, expired: Expired, limit: int = limits.MAX_ADOPTED) -> list[Orphan]:
    """Locks the journals below ``path`` that have this binding and whose processes are gone; of at most ``limit``.

    Args:
        path: the journal directory.
        binding: project and endpoint; ``None``: any.
        expired: for what is older than the limit and has another binding: it is deleted.
        limit: how many journals at most.

    Raises:
        OSError: ``path`` cannot be read, or is no place for journals; not where it does not exist.
    """
    try:
        base = open_base(path, create=False)
    except FileNotFoundError:
        return []
    found: list[Orphan] = []
    try:
        for name, bound_to in journals(base):
            if len(found) == limit:
                break
            if binding in {None, bound_to}:
                orphan = _seize(base, name)
                if orphan is not None:
                    found.append(orphan)
            elif _is_old(base, name):
                _expire(base, name, expired)
    finally:
        os.close(base)
    return found


def count_orphans(path: str, other_than: str) -> int:
    """How many journals of gone processes there are below ``path`` that have another binding."""
    found = 0
    try:
        base = open_base(path, create=False)
    except OSError:
        return 0
    try:
        for name, bound_to in journals(base):
            holding = None
            with contextlib.suppress(OSError):
                holding = Holding.seize(base, name) if bound_to != other_than else None
            if holding is not None:
                holding.close()
                found += 1
    finally:
        os.close(base)
    return found


def _seize(base: int, name: str) -> Orphan | None:
    try:
        holding = Holding.seize(base, name)
    except FileNotFoundError:  # its process has just removed it
        return None
    except OSError as error:
        say_once("foreign journal", "Failpath: the journal %s is left alone: %s.", name, error.strerror or error)
        return None
    if holding is None:
        return None
    try:
        return Orphan(holding)
    except OSError as error:
        holding.close()
        say_once("foreign journal", "Failpath: the journal %s is left alone: %s.", name, error.strerror or error)
        return None


def _is_old(base: int, name: str) -> bool:
    with contextlib.suppress(OSError):
        return time() - os.stat(name, dir_fd=base, follow_symlinks=False).st_mtime > limits.MAX_AGE_SECONDS
    return False


def _expire(base: int, name: str, expired: Expired) -> None:
    orphan = _seize(base, name)
    if orphan is None:
        return
    try:
        if orphan.newest > time() - limits.MAX_AGE_SECONDS:
            orphan.close()
            return
        records = orphan.count()
        orphan.remove()
    except OSError:
        return
    if records:
        expired(records)
