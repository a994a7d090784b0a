"""What lies in a journal directory: whose journals, and how many records wait in each. Changes nothing in them."""

import os
from dataclasses import dataclass
from typing import Final

from failpath_otel.journal.directory import LockedDirectory, is_version_1, list_journals, open_base
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.segments.segment import SUFFIX, Segment
from failpath_otel.journal.segments.unread import count_unread
from failpath_otel.runtime.descriptors import OwnedFd

_DIRECTORY: Final[int] = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE: Final[int] = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True)
class SurveyedJournal:
    """The journal of one process."""

    name: str
    """Of its directory."""

    binding: str
    """The hash of project key, endpoint and route that it was written for."""

    pid: int
    """The process that has written it, in that process's own namespace."""

    lives: bool
    """A process holds it: the one that writes it, or one that delivers what that has left."""

    records: int = 0
    """How many wait; of a journal that is held, those that were delivered last may be among them."""

    written_at: float = 0.0
    """When the last one was written at the earliest, in seconds since the epoch; 0 if unknown."""

    obstacle: str = ""
    """Why it cannot be read."""


def survey_journals(path: str) -> list[SurveyedJournal]:
    """Return the journals below *path*, in the order of their names.

    Raises:
        OSError: *path* does not exist, cannot be read, or is no place for journals.
    """
    base = OwnedFd(open_base(path, create=False))
    try:
        found = [_look_at(base.number, name, binding) for name, binding in list(list_journals(base.number))]
        return [journal for journal in found if journal is not None]
    finally:
        base.close()


def _look_at(base: int, name: str, binding: str) -> SurveyedJournal | None:
    """Return a journal; ``None`` if it was deleted meanwhile."""
    pid = _number(name.split(".")[2])
    lives = False
    try:
        directory = LockedDirectory.try_lock(base, name)
        if directory is None:
            lives = True
            return SurveyedJournal(name, binding, pid, lives, records=_count_held(base, name))
        try:
            orphan = Orphan(directory)
            return SurveyedJournal(
                name, binding, pid, lives=False, records=orphan.waiting(), written_at=orphan.last_written_at()
            )
        finally:
            directory.close()
    except FileNotFoundError:
        return None
    except OSError as error:
        return SurveyedJournal(name, binding, pid, lives, obstacle=error.strerror or str(error))


def _count_held(base: int, name: str) -> int:
    """Return how many records wait in a journal that another process writes or reads at this moment."""
    directory = OwnedFd(os.open(name, _DIRECTORY, dir_fd=base))
    try:
        names = [each for each in os.listdir(directory.number) if each.endswith(SUFFIX)]  # noqa: PTH208 - a descriptor
        return sum(_count_file(directory, each, version_1=is_version_1(name)) for each in names)
    finally:
        directory.close()


def _count_file(directory: OwnedFd, name: str, *, version_1: bool) -> int:
    try:
        descriptor = os.open(name, _FILE, dir_fd=directory.number)
    except FileNotFoundError:  # delivered meanwhile
        return 0
    segment = Segment(directory, name, descriptor, version_1=version_1)
    try:
        return count_unread(segment) if segment.read_header() else 0
    finally:
        segment.close()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
