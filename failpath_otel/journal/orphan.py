"""The journal of a process that has ended."""

import contextlib
import errno
from time import monotonic, time
from typing import Final

from failpath_otel.journal.clock import machine_clock
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.reader import TRANSIENT_ERRORS, ReadResult, SegmentReader
from failpath_otel.journal.segments.frame import Gap
from failpath_otel.journal.segments.segment import CLOSED, SPARE, SUFFIX, Segment, StoredRecord
from failpath_otel.journal.segments.unread import count_unread
from failpath_otel.journal.trimming import trim
from failpath_otel.report import warn, warn_once
from failpath_otel.runtime.snapshots import snapshot

_TRANSIENT_FILE_ERRORS: Final = frozenset(
    {errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY}
)
"""Errors after which a file may be readable later, when a disk, a mount or a permission is repaired."""


class Orphan(SegmentReader):
    """The records that a process has left, read by the process that has locked the directory."""

    def __init__(self, directory: LockedDirectory) -> None:
        super().__init__()
        self._directory = directory
        self._found_at: Final = monotonic()
        self._modified_at = 0.0  # of the file that is being read
        self._is_trimmed = False
        self._damaged_records = 0  # lost with damaged bytes
        self.damaged_files = 0
        """How many of its files have a damaged header, cannot be read to their end, or are too large to be read."""
        self._ignored: set[Segment] = set()
        self.retry_later = False
        """One of its files cannot be read for now: the directory is not removed but unlocked, to be found again."""
        for name in directory.files():
            if name.endswith(SUFFIX):
                # Opened when it is read: there may be many, and the application needs descriptors.
                segment = Segment(directory.folder, name, CLOSED, version_1=directory.has_version_1)
                segment.last = 0  # its process has ended
                self._unread.append(segment)
                self._unconfirmed.append(segment)
            elif name == SPARE:
                directory.delete(name)

    def _open(self, segment: Segment) -> int:
        try:
            segment.descriptor = self._directory.open_file(segment.name)
            self._modified_at = self._directory.modified_at(segment.name)
            if not segment.header_read:
                self._resume(segment)
        except OSError as error:
            # The next time its header is read again.
            segment.close()
            segment.reset()
            if error.errno not in TRANSIENT_ERRORS | _TRANSIENT_FILE_ERRORS:
                self._ignore_file(segment, error.strerror or str(error))
            raise
        return segment.descriptor

    def _after_error(self, segment: Segment, error: OSError) -> ReadResult:
        if error.errno in _TRANSIENT_FILE_ERRORS and segment not in self._ignored:
            self.retry_later = True
            self.damaged_files += 1
            self._ignore_file(segment, error.strerror or str(error))
        return super()._after_error(segment, error)

    def _resume(self, segment: Segment) -> None:
        if not segment.read_header():
            raise OSError("it is no segment of a journal")
        if segment.header_damaged:
            self.damaged_files += 1
            text = "Failpath: the header of %s in %s is damaged; its records are sent, perhaps a second time."
            warn_once("damaged header", text, segment.name, self.name)

    def _ignore_file(self, segment: Segment, reason: str) -> None:
        self._ignored.add(segment)
        self.damaged_files += segment.is_oversized
        warn_once(f"foreign file: {reason}", "Failpath: %s in %s is left alone: %s.", segment.name, self.name, reason)

    def has_lost_lock(self) -> bool:
        """Return whether other code closed its descriptors, and with them the lock."""
        return not self._directory.is_intact()

    def relock(self, path: str) -> bool:
        """Lock it again below *path*; return ``False`` if another process has locked it meanwhile."""
        found = self._directory.relock(path)
        if found is not None:
            self._directory = found
            self._change_directory(found)
        return found is not None

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self._directory.name

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time()

    def age(self, stored: StoredRecord) -> float:
        """Return the seconds that a record has waited, as far as that is certain.

        The clocks of both processes may have been set in between. So the age counts from the last change of the file if
        another machine's clock agrees with this one's, else from when this process locked the journal.
        """
        certain = monotonic() - self._found_at
        if not machine_clock.is_trusted():
            return certain
        return max(certain, min(super().age(stored), self.now() - self._modified_at))

    def last_written_at(self) -> float:
        """Return when the last record was written, at the earliest: seconds since the epoch."""
        return max((self._directory.modified_at(segment.name) for segment in snapshot(self._unconfirmed)), default=0.0)

    def trim(self) -> None:
        """Free preallocated disk space, once, but not of the file that is being read."""
        if self._is_trimmed:
            return
        self._is_trimmed = True
        for segment in self._unconfirmed:
            if not segment.header_read:
                with contextlib.suppress(OSError):
                    trim(self._directory, segment.name)

    def _assess_gap(self, gap: Gap, last: int) -> Gap | None:  # noqa: ARG002 - the number is unknown here
        return gap

    def _skip_gap(self, segment: Segment, gap: Gap) -> None:
        super()._skip_gap(segment, gap)
        self._damaged_records += gap.records
        if not gap.records:
            # Its step's function was not entered.
            text = "Failpath: a record in %s was cut off when its process ended; it is skipped."
            warn_once("torn record", text, self.name)

    def _abandon(self, segment: Segment) -> int:
        if segment in self._ignored:
            return 0
        self.damaged_files += 1
        self._damaged_records += 1  # at least
        return 1

    def _discard(self, segment: Segment) -> None:
        if segment in self._ignored:
            segment.close()
        else:
            super()._discard(segment)

    def waiting(self) -> int:
        """Return how many records are not confirmed yet."""
        records = sum(segment.taken - segment.confirmed for segment in snapshot(self._unconfirmed))
        for segment in snapshot(self._unread):
            with contextlib.suppress(OSError):
                records += self._count(segment)
        return records

    def _count(self, segment: Segment) -> int:
        """Return how many records of a segment were not taken yet."""
        reader = Segment(
            self._directory.folder,
            segment.name,
            self._directory.open_file(segment.name),
            version_1=self._directory.has_version_1,
        )
        try:
            if segment.header_read:
                reader.position = segment.position
            elif not reader.read_header():
                return 0
            return count_unread(reader)
        finally:
            reader.close()

    def _log_damage(self) -> None:
        if self._damaged_records:
            text = "Failpath: in %s, the journal of an ended process, records are damaged and lost: at least %d."
            warn(text, self.name, self._damaged_records)
            self._damaged_records = 0

    def remove(self) -> bool:
        """Delete all of it but files that cannot be read, or are not known; return whether nothing is left."""
        self._log_damage()
        for segment in self._unconfirmed:
            self._discard(segment)
        self._unconfirmed.clear()
        self._unread.clear()
        if self.retry_later:
            self._directory.close()
            return False
        return self._directory.remove()

    def close(self) -> None:
        """Unlock it; another process delivers what is left."""
        self._log_damage()
        for segment in self._unconfirmed:
            segment.close()
        self._unconfirmed.clear()
        self._unread.clear()
        self._directory.close()
