"""Orphans: journals whose processes are gone, found and delivered by this one."""

import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from math import inf
from time import monotonic, time
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.errors import DeliveryError, JournalError
from failpath_otel.journal.discovery import OnDeleted, lock_orphans
from failpath_otel.journal.disk_usage import enforce_disk_limits
from failpath_otel.journal.orphan import Orphan
from failpath_otel.records import request
from failpath_otel.records.compact import is_compact, is_known, json_of
from failpath_otel.records.record import decode
from failpath_otel.report import exception_once, warn, warn_once
from failpath_otel.runtime.snapshots import snapshot
from failpath_otel.runtime.threads import Lock, sleep

_DELETED: Final = {
    "too_old": f"they are older than {limits.MAX_AGE_SECONDS / 3600:.0f} hours, and for another project or endpoint",
    "journal_full": "the journals here are too many, or take too much room, and theirs are the oldest",
}
_SKIPPED: Final = {
    "damaged": "are damaged, and are lost",
    "too_old": f"have waited for {limits.MAX_AGE_SECONDS / 3600:.0f} hours, and are given up",
    "invalid": "are no records, and are left out",
}


class OrphanSource:
    """The orphans that this process has locked, delivered in turn with what it records itself.

    Args:
        path: the journal directory.
        binding: the hash of the key and the endpoint of the journals that are locked; ``None``: of any.
        report: called with an error for records that are lost before they are sent.
    """

    def __init__(
        self, path: str, binding: str | None, report: Callable[[DeliveryError], object] = lambda _: None
    ) -> None:
        self._path: Final = path
        self._binding: Final = binding
        self._report: Final = report
        self._begin()
        self._reset_counts()

    def _begin(self) -> None:
        self._orphans: deque[Orphan] = deque()
        self._scanning = Lock()
        self._next_scan = 0.0
        self._forked_until = 0.0
        self.trouble = ""
        """Why nothing can be found in the directory."""
        self._stuck_since: float | None = None  # since when none of the orphans can be delivered
        self._next_deletion = 0.0
        self._not_before: dict[str, float] = {}  # the names of journals that cannot be read for now, and until when
        self._passed_over = 0  # records between those of a batch, to be confirmed after it

    def _reset_counts(self) -> None:
        self.delivered = 0
        """Records of others that Failpath has taken."""
        self.dropped: dict[str, int] = {}
        """Records of others that are lost, by reason."""
        self.damaged_files = 0
        """Files of others that were damaged beyond single records, or that are no segments of a journal can be."""

    def __bool__(self) -> bool:
        """Return whether records of others wait here."""
        return bool(self._orphans)

    def is_due(self) -> bool:
        """Return whether the next scan is due."""
        return monotonic() >= self._next_scan

    @property
    def seconds(self) -> float:
        """Seconds from one scan to the next."""
        return limits.FORK_SCAN_SECONDS if monotonic() < self._forked_until else limits.ORPHAN_SCAN_SECONDS

    def is_worthwhile(self) -> bool:
        """Return whether a scan can find anything: the directory is there, or children may make it."""
        return monotonic() < self._forked_until or os.path.isdir(self._path)  # noqa: PTH112 - much cheaper than `Path`

    def forked(self) -> None:
        """Scan more often for a while: this process has a child, which may leave a journal."""
        self._forked_until = monotonic() + limits.FORK_SECONDS
        self._next_scan = min(self._next_scan, monotonic() + limits.FORK_SCAN_SECONDS)

    def scan(self, *, tidy: bool = True, failing: bool | None = None, last: bool = False) -> bool:
        """Lock the journals of gone processes; return whether there are any now. Never raises.

        Args:
            tidy: delete what is too old, and give back room that was set aside, as well, which may take a while.
            failing: whether the endpoint takes nothing at the moment. If given, and if that has lasted, or what is
                left is for others, the oldest goes of what is too much.
            last: this process ends, and nothing that it knows of was taken: the age of what was left shows how long
                that has lasted.
        """
        scanning = self._scanning
        if not scanning.acquire(blocking=False):
            return bool(self._orphans)
        try:
            self._next_scan = monotonic() + self.seconds
            deleted: Counter[str] = Counter()

            def lost(reason: str, records: int) -> None:
                deleted[reason] += records

            self._lock_more(lost, tidy=tidy)
            if failing is not None and self._may_delete(failing=failing, lasted=self._age() if last else 0.0):
                self._delete_oldest(lost, failing=failing)
            for reason, records in deleted.items():
                self._lost(reason, records)
        except OSError as error:
            # Not logged here: the next record meets the same error, which is logged there.
            self.trouble = f"no journal is looked for in {self._path}: {error.strerror or error}"
        except Exception:  # noqa: BLE001 - it is called by the application, too
            exception_once("looking for journals")
        finally:
            scanning.release()
        return bool(self._orphans)

    def _lock_more(self, lost: OnDeleted, *, tidy: bool) -> None:
        room = limits.MAX_LOCKED_ORPHANS - len(self._orphans)
        if room > 0:
            now = monotonic()
            self._not_before = {name: until for name, until in self._not_before.items() if until > now}
            self._orphans.extend(
                lock_orphans(self._path, self._binding, lost, room, tidy=tidy, excluded=self._not_before)
            )
        if tidy:
            for orphan in self._orphans:
                orphan.trim()

    def _age(self) -> float:
        """Return the seconds since the oldest of the orphans was written last."""
        return max((time() - orphan.last_written_at() for orphan in self._orphans), default=0.0)

    def _may_delete(self, *, failing: bool, lasted: float) -> bool:
        """Return whether delivery has had its chance, and has changed nothing for a while."""
        now = monotonic()
        if not failing and self._orphans:
            self._stuck_since = None
            return False
        if self._stuck_since is None:
            self._stuck_since = now - lasted
        return now >= max(self._stuck_since + limits.DISK_CHECK_SECONDS, self._next_deletion)

    def _delete_oldest(self, lost: OnDeleted, *, failing: bool) -> None:
        self._next_deletion = monotonic() + limits.DISK_CHECK_SECONDS
        # These may be the oldest; but for the first one, of which a batch may be in flight.
        while len(self._orphans) > 1:
            self._close(self._orphans.pop())
        enforce_disk_limits(self._path, None if failing else self._binding, lost)
        self._lock_more(lost, tidy=False)

    def _close(self, orphan: Orphan) -> None:
        self.damaged_files += orphan.damaged_files
        orphan.close()

    def _lost(self, reason: str, records: int) -> None:
        warn("Failpath: %d records of processes that are gone are deleted: %s.", records, _DELETED[reason])
        self._lose(reason, records)
        self._report(JournalError(f"records of processes that are gone are deleted: {_DELETED[reason]}", records))

    def _skip(self, reason: str, records: int) -> None:
        """Count and report records of a journal that cannot be sent."""
        if not records:
            return
        self._lose(reason, records)
        text = f"records of processes that are gone {_SKIPPED.get(reason, 'are lost')}"
        if reason != "damaged":  # which is logged with the name of the journal
            warn_once(f"adopted {reason}", "Failpath: %d %s.", records, text)
        self._report(JournalError(text, records))

    def _lose(self, reason: str, records: int) -> None:
        if records:
            self.dropped[reason] = self.dropped.get(reason, 0) + records

    def take(self, max_bytes: int) -> Batch | None:
        """Take the next batch, of at most ``max_bytes``; ``None`` if there is none. Used by one thread at a time."""
        self._relock()
        while self._orphans:
            orphan = self._orphans[0]
            orphan.trim()
            orphan.confirm(self._passed_over)
            self._passed_over = 0
            read = orphan.read(limits.MAX_BATCH_RECORDS, request.record_budget(max_bytes))
            if read.retry_later:
                sleep(limits.SCHEDULE_DELAY)
                return None
            known = sum(1 for _ in takewhile(lambda each: is_known(each.record), read.records))
            if known < len(read.records) and not read.lost:
                del read.records[known:]
                if not known:
                    self._leave(orphan)
                    continue
            # Only records are sent, not what else the files may contain. Made before they are taken, as one's own.
            records = [] if read.lost else [json_of(each.record) for each in read.records if _is_record(each.record)]
            orphan.take(read)
            if read.segment is None:
                orphan.confirm()
                self.damaged_files += orphan.damaged_files
                is_gone = orphan.remove()
                self._orphans.popleft()
                if not is_gone:  # a file that cannot be read may be readable later; one that is not known stays so
                    wait = limits.JOURNAL_RETRY_SECONDS if orphan.retry_later else inf
                    self._not_before[orphan.name] = monotonic() + wait
                continue
            self._skip(read.reason, read.lost)
            self._passed_over = len(read.records) - len(records)
            if not read.lost:
                self._skip("invalid", self._passed_over)
            if records:
                since = monotonic() - orphan.age(read.records[0])
                return Batch(records, sum(map(len, records)), since, source=orphan)
        return None

    def _leave(self, orphan: Orphan) -> None:
        """Leave a journal to another version of this package, which knows the records that come next."""
        text = (
            "Failpath: %s has records of another version of failpath_otel; they stay until that version delivers them."
        )
        warn_once("records of another version", text, orphan.name)
        self._orphans.popleft()
        self._not_before[orphan.name] = monotonic() + limits.JOURNAL_RETRY_SECONDS
        self._close(orphan)

    def _relock(self) -> None:
        """Lock again what was locked until something closed all descriptors of this process."""
        for orphan in snapshot(self._orphans):
            if orphan.has_lost_lock() and not orphan.relock(self._path):
                if orphan is self._orphans[0]:
                    self._passed_over = 0
                self._orphans.remove(orphan)
                self._close(orphan)

    def settle(self, source: Orphan, records: int, delivered: int, reason: str) -> None:
        """Count the records of a batch: so many are delivered, the others are lost."""
        self._relock()
        source.confirm(records)
        self.delivered += delivered
        self._lose(reason, records - delivered)

    def add_counts(self, stats: Stats) -> Stats:
        """Return ``stats`` with the counts of records of others."""
        return replace(stats, adopted=self.delivered, adopted_dropped=dict(self.dropped))

    def waiting(self) -> int:
        """Return how many records wait."""
        return sum(orphan.waiting() for orphan in snapshot(self._orphans))

    def reset_in_child(self) -> None:
        """Begin with nothing: what was locked before a fork is the parent's."""
        self.release()
        self._reset_counts()

    def release(self) -> None:
        """Unlock all, for another process."""
        for orphan in self._orphans:
            self._close(orphan)
        self._begin()


def _is_record(record: bytes) -> bool:
    return is_compact(record) or decode(record) is not None
