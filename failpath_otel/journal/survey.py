"""What lies in a journal directory: whose journals, and how many records wait in each. Changes nothing in them."""

import os
from dataclasses import dataclass

from failpath_otel.journal.directory import LockedDirectory, is_version_1, list_journals, open_base
from failpath_otel.journal.files.file_system import Folder
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.segments.segment import SUFFIX, Segment
from failpath_otel.journal.segments.unread import count_unread


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
    base = open_base(path, create=False)
    try:
        found = [_look_at(base, name, binding) for name, binding in list(list_journals(base))]
        return [journal for journal in found if journal is not None]
    finally:
        base.close()


def _look_at(base: Folder, name: str, binding: str) -> SurveyedJournal | None:
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


def _count_held(base: Folder, name: str) -> int:
    """Return how many records wait in a journal that another process writes or reads at this moment."""
    folder = base.folder(name)
    try:
        names = [each for each in folder.names() if each.endswith(SUFFIX)]
        return sum(_count_file(folder, each, version_1=is_version_1(name)) for each in names)
    finally:
        folder.close()


def _count_file(folder: Folder, name: str, *, version_1: bool) -> int:
    try:
        descriptor = folder.open(name, os.O_RDONLY)
    except FileNotFoundError:  # delivered meanwhile
        return 0
    segment = Segment(folder, name, descriptor, version_1=version_1)
    try:
        return count_unread(segment) if segment.read_header() else 0
    finally:
        segment.close()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
