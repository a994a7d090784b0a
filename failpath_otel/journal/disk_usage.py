"""Limits on the disk space that all journals of a directory take together."""

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.directory import list_journals, open_base
from failpath_otel.journal.discovery import OnDeleted, delete_unread, try_lock_orphan
from failpath_otel.runtime.descriptors import OwnedFd

_ST_BLOCK_BYTES: Final = 512
"""Unit of ``st_blocks`` on every file system."""

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
        owned = OwnedFd(open_base(path, create=False))
    except FileNotFoundError:
        return
    try:
        base = owned.number
        room = max_total_bytes(base)
        names = list(list_journals(base))
        most = (limits.JOURNAL_SEGMENTS + 2) * limits.JOURNAL_SEGMENT_BYTES  # of one journal, with its spare segment
        if len(names) <= limits.MAX_JOURNALS and len(names) * most <= room:
            return
        taken = {name: _bytes_used(base, name) for name, _ in names}
        if len(names) <= limits.MAX_JOURNALS and sum(taken.values()) <= room:
            return
        orphans = [found for name, _ in names if (found := _trim_and_measure(base, name)) is not None]
        living = sum(taken.values()) - sum(taken[each.name] for each in orphans)
        _delete_oldest(base, orphans, max(room - living, room // _ORPHANS_PART), on_deleted, _of(names, binding))
    finally:
        owned.close()


def max_total_bytes(base: int) -> int:
    """Return how many bytes all journals below an open base may take."""
    system = os.fstatvfs(base)
    return min(limits.MAX_JOURNALS_BYTES, int(system.f_blocks * system.f_frsize * limits.MAX_JOURNALS_SHARE))


def _of(names: list[tuple[str, str]], binding: str | None) -> set[str]:
    return {name for name, bound_to in names if binding is not None and bound_to == binding}


def _bytes_used(base: int, name: str) -> int:
    """Return the disk space of a journal's files, whatever their length; 0 if unknown."""
    with contextlib.suppress(OSError):
        directory = OwnedFd(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=base))
        try:
            descriptor = directory.number
            names = os.listdir(descriptor)  # noqa: PTH208 - a descriptor
            blocks = (os.stat(each, dir_fd=descriptor, follow_symlinks=False).st_blocks for each in names)
            return sum(blocks) * _ST_BLOCK_BYTES
        finally:
            directory.close()
    return 0


def _trim_and_measure(base: int, name: str) -> _OrphanUsage | None:
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


def _delete_oldest(base: int, orphans: list[_OrphanUsage], room: int, on_deleted: OnDeleted, spared: set[str]) -> None:
    taken = sum(each.bytes_used for each in orphans)
    many = len(orphans)
    for each in sorted(orphans, key=lambda each: each.newest):
        if taken <= room and many <= limits.MAX_JOURNALS:
            return
        if each.name in spared:
            continue
        orphan = try_lock_orphan(base, each.name)
        if orphan is not None:
            delete_unread(orphan, "journal_full", on_deleted)
        # If not, another process has locked it and reads it.
        taken -= each.bytes_used
        many -= 1
