"""Limits on the disk space that all journals of a directory take together."""

import contextlib
from dataclasses import dataclass
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.directory import list_journals, open_base
from failpath_otel.journal.discovery import OnDeleted, delete_unread, try_lock_orphan
from failpath_otel.journal.files import port
from failpath_otel.journal.files.file_system import Folder

_ORPHANS_PART: Final = 4
"""Orphans keep a quarter of the space, however much the journals of living processes take."""


@dataclass(slots=True)
class _OrphanUsage:
    """An orphan with records."""

    name: str
    newest: float
    bytes_used: int


def enforce_disk_limits(path: str, binding: str | None, on_deleted: OnDeleted) -> None:
    """Delete the oldest orphans below *path* until there are few enough, and they take little enough space.

    Args:
        path: the journal directory.
        binding: keep the orphans with this binding, which are delivered instead; ``None``: any may be deleted.
        on_deleted: called for what is deleted.

    Raises:
        OSError: *path* cannot be read or is no place for journals; not if it does not exist.
    """
    try:
        base = open_base(path, create=False)
    except FileNotFoundError:
        return
    try:
        max_bytes = max_total_bytes(base)
        journals = list(list_journals(base))
        if len(journals) <= limits.MAX_JOURNALS and len(journals) * _largest() <= max_bytes:
            return
        used = {name: _bytes_used(base, name) for name, _ in journals}
        if len(journals) <= limits.MAX_JOURNALS and sum(used.values()) <= max_bytes:
            return
        orphans = [found for name, _ in journals if (found := _trim_and_measure(base, name)) is not None]
        used_by_living = sum(used.values()) - sum(used[orphan.name] for orphan in orphans)
        kept = {name for name, bound_to in journals if binding is not None and bound_to == binding}
        _delete_oldest(base, orphans, max(max_bytes - used_by_living, max_bytes // _ORPHANS_PART), on_deleted, kept)
    finally:
        base.close()


def max_total_bytes(base: Folder) -> int:
    """Return how many bytes all journals below an open base may take."""
    total = base.total_bytes()
    # On a small volume of its own, a process that starts after a crash keeps the full journal of the one before.
    at_least = min(2 * _largest(), total // 2)
    return min(limits.MAX_JOURNALS_BYTES, max(int(total * limits.MAX_JOURNALS_SHARE), at_least))


def _largest() -> int:
    """Return how many bytes one journal may take, with its spare segment."""
    return (limits.JOURNAL_SEGMENTS + 2) * limits.JOURNAL_SEGMENT_BYTES


def _bytes_used(base: Folder, name: str) -> int:
    """Return the disk space of a journal's files, whatever their length; 0 if unknown."""
    with contextlib.suppress(OSError):
        folder = base.folder(name)
        try:
            return sum(port.file_system.bytes_on_disk(folder.status(each)) for each in folder.names())
        finally:
            folder.close()
    return 0


def _trim_and_measure(base: Folder, name: str) -> _OrphanUsage | None:
    """Trim an orphan and return what it takes; ``None`` if its process lives or it has no records."""
    orphan = try_lock_orphan(base, name)
    if orphan is None:
        return None
    try:
        orphan.trim()
        newest = orphan.last_written_at()
    finally:
        orphan.close()
    return _OrphanUsage(name, newest, _bytes_used(base, name)) if newest else None


def _delete_oldest(
    base: Folder, orphans: list[_OrphanUsage], max_bytes: int, on_deleted: OnDeleted, kept: set[str]
) -> None:
    used = sum(each.bytes_used for each in orphans)
    count = len(orphans)
    for each in sorted(orphans, key=lambda each: each.newest):
        if used <= max_bytes and count <= limits.MAX_JOURNALS:
            return
        if each.name in kept:
            continue
        orphan = try_lock_orphan(base, each.name)
        if orphan is not None:
            delete_unread(orphan, "journal_full", on_deleted)
        # If not, another process has locked it and reads it.
        used -= each.bytes_used
        count -= 1
