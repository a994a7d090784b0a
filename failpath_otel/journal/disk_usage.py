"""The room on the disk that all journals of a directory may take together."""

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from failpath_otel import limits
from failpath_otel.journal.directory import list_journals, open_base
from failpath_otel.journal.discovery import OnDeleted, delete_unread, try_lock_orphan
from failpath_otel.runtime.descriptors import OwnedFd

_ST_BLOCK_BYTES: Final = 512
"""Of ``st_blocks``, whatever the file system."""

_ORPHANS_PART: Final = 4
"""The part of the room, as one of so many, that is left to gone processes however much those take that live."""


@dataclass(slots=True)
class _OrphanUsage:
    """A journal with records whose process is gone."""

    name: str
    newest: float
    bytes_used: int


def enforce_disk_limits(path: str, binding: str | None, on_deleted: OnDeleted) -> None:
    """Deletes the oldest journals of gone processes below ``path``, as long as they are too many or take too much.

    Args:
        path: the journal directory.
        binding: do not touch those that have this one, which are delivered instead; ``None``: any may be deleted.
        on_deleted: for what is deleted.

    Raises:
        OSError: ``path`` cannot be read, or is no place for journals; not where it does not exist.
    """
    try:
        owned = OwnedFd(open_base(path, create=False))
    except FileNotFoundError:
        return
    try:
        base = owned.number
        room = max_total_bytes(base)
        names = list(list_journals(base))
        most = (limits.JOURNAL_SEGMENTS + 2) * limits.JOURNAL_SEGMENT_BYTES  # of one, with what it sets aside
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
    """Bytes that the journals below an open base may take together."""
    system = os.fstatvfs(base)
    return min(limits.MAX_JOURNALS_BYTES, int(system.f_blocks * system.f_frsize * limits.MAX_JOURNALS_SHARE))


def _of(names: list[tuple[str, str]], binding: str | None) -> set[str]:
    return {name for name, bound_to in names if binding is not None and bound_to == binding}


def _bytes_used(base: int, name: str) -> int:
    """Bytes that the files of a journal take, however long they are; 0 where that cannot be told."""
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
    """What a gone process has left, made as small as it can be; ``None`` where one lives, or nothing is in it."""
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
        # Or another process sees to it.
        taken -= each.bytes_used
        many -= 1
