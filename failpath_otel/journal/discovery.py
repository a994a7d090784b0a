"""Find the journals of processes that have ended (orphans)."""

import contextlib
from collections import Counter
from collections.abc import Callable, Container, Iterator
from time import time

from failpath_otel import limits
from failpath_otel.journal.clock import machine_clock
from failpath_otel.journal.directory import LockedDirectory, list_journals, open_base
from failpath_otel.journal.files.file_system import Folder
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.reader import TRANSIENT_ERRORS
from failpath_otel.report import warn_once

OnDeleted = Callable[[str, int], object]
"""Called with a reason, ``too_old`` or ``journal_full``, and the number of records that were deleted unread."""


def lock_orphans(
    path: str,
    binding: str | None,
    on_deleted: OnDeleted,
    limit: int = limits.MAX_LOCKED_ORPHANS,
    *,
    tidy: bool = True,
    excluded: Container[str] = (),
) -> list[Orphan]:
    """Lock the orphans below *path* that have this binding, at most *limit*.

    Args:
        path: the journal directory.
        binding: hash of project key and endpoint; ``None``: any.
        on_deleted: called for what is deleted.
        limit: how many journals at most.
        tidy: delete journals of other bindings that are too old.
        excluded: names of journals to leave alone.

    Raises:
        OSError: *path* cannot be read or is no place for journals; not if it does not exist.
    """
    try:
        base = open_base(path, create=False)
    except FileNotFoundError:
        return []
    found: list[Orphan] = []
    try:
        for name, bound_to in list(list_journals(base)):
            if binding in {None, bound_to}:
                orphan = try_lock_orphan(base, name) if len(found) < limit and name not in excluded else None
                if orphan is not None:
                    found.append(orphan)
            elif tidy and _age(base, name) > limits.MAX_AGE_SECONDS:
                _delete_if_expired(base, name, on_deleted)
    finally:
        base.close()
    return found


def count_orphans(path: str) -> Counter[str]:
    """Count the orphans below *path* by binding, without those that a process has locked."""
    found: Counter[str] = Counter()
    for _, bound_to in _each_orphan(path):
        found[bound_to] += 1
    return found


def count_records(path: str, binding: str | None) -> int:
    """Count the records in orphans below *path* with this binding; ``None``: any."""
    return sum(orphan.waiting() for orphan, bound_to in _each_orphan(path) if binding in {None, bound_to})


def _each_orphan(path: str) -> Iterator[tuple[Orphan, str]]:
    """Yield each orphan, locked until the next one is asked for."""
    try:
        base = open_base(path, create=False)
    except OSError:
        return
    try:
        for name, bound_to in list_journals(base):
            orphan = try_lock_orphan(base, name)
            if orphan is not None:
                try:
                    yield orphan, bound_to
                finally:
                    orphan.close()
    finally:
        base.close()


def try_lock_orphan(base: Folder, name: str) -> Orphan | None:
    """Lock a journal if its process has ended and no other process has locked it; log an obstacle once, never raise."""
    directory = None
    try:
        directory = LockedDirectory.try_lock(base, name)
        return None if directory is None else Orphan(directory)
    except OSError as error:
        if directory is not None:
            directory.close()
        # Its process may just have removed it; a shortage of descriptors may end.
        if not isinstance(error, FileNotFoundError) and error.errno not in TRANSIENT_ERRORS:
            reason = error.strerror or str(error)
            warn_once(f"foreign journal: {reason}", "Failpath: the journal %s is left alone: %s.", name, reason)
        return None


def _age(base: Folder, name: str) -> float:
    """Return the seconds since a file was created or deleted in the directory; 0 if unknown."""
    with contextlib.suppress(OSError):
        return time() - base.status(name).st_mtime
    return 0.0


def _delete_if_expired(base: Folder, name: str, on_deleted: OnDeleted) -> None:
    """Delete a journal whose last record is too old by a clock that can be trusted."""
    orphan = try_lock_orphan(base, name) if machine_clock.is_trusted() else None
    if orphan is None:
        return
    if time() - orphan.last_written_at() > limits.MAX_AGE_SECONDS:
        delete_unread(orphan, "too_old", on_deleted)
    else:
        orphan.close()


def delete_unread(orphan: Orphan, reason: str, on_deleted: OnDeleted) -> None:
    """Delete a journal and report how many records were in it."""
    records = orphan.waiting()
    orphan.remove()
    if records:
        on_deleted(reason, records)
