"""Finding the journals whose processes are gone."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Container, Iterator
from time import time

from failpath_otel import limits
from failpath_otel.journal.clock import machine_clock
from failpath_otel.journal.directory import LockedDirectory, list_journals, open_base
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.reader import TRANSIENT_ERRORS
from failpath_otel.report import warn_once
from failpath_otel.runtime.descriptors import OwnedFd

OnDeleted = Callable[[str, int], object]
"""Told why journals were deleted unread, ``too_old`` or ``journal_full``, and how many records were in them."""


def lock_orphans(
    path: str,
    binding: str | None,
    on_deleted: OnDeleted,
    limit: int = limits.MAX_LOCKED_ORPHANS,
    *,
    tidy: bool = True,
    excluded: Container[str] = (),
) -> list[Orphan]:
    """Locks the journals below ``path`` that have this binding and whose processes are gone; at most ``limit``.

    Args:
        path: the journal directory.
        binding: project and endpoint; ``None``: any.
        on_deleted: for what is deleted.
        limit: how many journals at most.
        tidy: delete those that have another binding and are too old.
        excluded: the names of those that are left alone.

    Raises:
        OSError: ``path`` cannot be read, or is no place for journals; not where it does not exist.
    """
    try:
        base = OwnedFd(open_base(path, create=False))
    except FileNotFoundError:
        return []
    found: list[Orphan] = []
    try:
        for name, bound_to in list(list_journals(base.number)):
            if binding in {None, bound_to}:
                orphan = try_lock_orphan(base.number, name) if len(found) < limit and name not in excluded else None
                if orphan is not None:
                    found.append(orphan)
            elif tidy and _age(base.number, name) > limits.MAX_AGE_SECONDS:
                _delete_if_expired(base.number, name, on_deleted)
    finally:
        base.close()
    return found


def count_orphans(path: str) -> Counter[str]:
    """How many journals of gone processes there are below ``path`` for each binding, but for those that are adopted."""
    found: Counter[str] = Counter()
    for _, bound_to in _each_orphan(path):
        found[bound_to] += 1
    return found


def count_records(path: str, binding: str | None) -> int:
    """How many records wait below ``path`` in journals of gone processes with this binding; ``None``: any."""
    return sum(orphan.waiting() for orphan, bound_to in _each_orphan(path) if binding in {None, bound_to})


def _each_orphan(path: str) -> Iterator[tuple[Orphan, str]]:
    """Journals of gone processes, each locked for a moment."""
    try:
        base = OwnedFd(open_base(path, create=False))
    except OSError:
        return
    try:
        for name, bound_to in list_journals(base.number):
            orphan = try_lock_orphan(base.number, name)
            if orphan is not None:
                try:
                    yield orphan, bound_to
                finally:
                    orphan.close()
    finally:
        base.close()


def try_lock_orphan(base: int, name: str) -> Orphan | None:
    """Locks a journal if its process is gone and nobody else has it. Never raises; says once what is in the way."""
    directory = None
    try:
        directory = LockedDirectory.try_lock(base, name)
        return None if directory is None else Orphan(directory)
    except OSError as error:
        if directory is not None:
            directory.close()
        # Its process may have just removed it; and who is short of descriptors now may have some later.
        if not isinstance(error, FileNotFoundError) and error.errno not in TRANSIENT_ERRORS:
            reason = error.strerror or str(error)
            warn_once(f"foreign journal: {reason}", "Failpath: the journal %s is left alone: %s.", name, reason)
        return None


def _age(base: int, name: str) -> float:
    """Seconds since something was made or deleted in a directory; 0 where that cannot be told."""
    with contextlib.suppress(OSError):
        return time() - os.stat(name, dir_fd=base, follow_symlinks=False).st_mtime
    return 0.0


def _delete_if_expired(base: int, name: str, on_deleted: OnDeleted) -> None:
    """Deletes a journal, if its last record is too old by a clock that can be believed."""
    orphan = try_lock_orphan(base, name) if machine_clock.is_trusted() else None
    if orphan is None:
        return
    if time() - orphan.last_written_at() > limits.MAX_AGE_SECONDS:
        delete_unread(orphan, "too_old", on_deleted)
    else:
        orphan.close()


def delete_unread(orphan: Orphan, reason: str, on_deleted: OnDeleted) -> None:
    """Deletes a journal unread, and tells how much that costs."""
    records = orphan.waiting()
    orphan.remove()
    if records:
        on_deleted(reason, records)
