"""Takes the logs of requests: those of runs into the store, those of traces without a run yet into memory."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from time import monotonic, sleep
from typing import Final

from failpath_otel.local.logs.budget import MAX_A_SECOND, LogBudget
from failpath_otel.local.logs.line import new_log
from failpath_otel.local.logs.waiting import WaitingLogs
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.logs import NewLog
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.otlp.logs.record import LogReceipt, OtlpLog, ReadLog
from failpath_otel.report import exception_once

_CHUNK: Final = 200
"""Records of one transaction, between which others write."""

_PAUSE_SECONDS: Final = 0.001
"""Between two chunks of a request, in which other threads go on."""

_RECENT_RUNS: Final = 200
"""Runs whose traces are noted when the first log comes; later ones are noted as they change."""

_WANTED_SECONDS: Final = 600.0
_PACE_SECONDS: Final = 1.0
"""A run with new logs is announced so often at most."""

_TOO_MANY: Final = f"more than {MAX_A_SECOND} log records a second: the rest was dropped"
_log: Final = logging.getLogger(__name__)


class LogIntake:
    """Takes logs; on any thread.

    Args:
        store: where those of runs are kept.
        clock: returns microseconds since the epoch.
        announce: called with runs that have new logs.
        budget: how many are taken.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        announce: Callable[[Sequence[RunKey]], object],
        budget: LogBudget | None = None,
    ) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._announce: Final = announce
        self._budget: Final = budget or LogBudget()
        self.waiting: Final = WaitingLogs()
        """Those of traces without a run."""
        self._lock: Final = threading.Lock()
        self._changed: set[RunKey] = set()
        self._timer: threading.Timer | None = None
        self._announced_at = 0.0
        self._last_at = -_WANTED_SECONDS

    def take(self, logs: Iterator[ReadLog]) -> LogReceipt:
        """Take the log records of a request, and count them. Raises ``StoreError``."""
        receipt = LogReceipt()
        more = True
        while more:
            some = list(islice(logs, _CHUNK))
            more = len(some) == _CHUNK
            self._take(self._usable(some, receipt), receipt)
            if more:
                sleep(_PAUSE_SECONDS)
        return receipt

    def _usable(self, logs: Sequence[ReadLog], receipt: LogReceipt) -> list[OtlpLog]:
        usable: list[OtlpLog] = []
        for log in logs:
            if isinstance(log, int):
                receipt.received += log
                receipt.ignored += log
                continue
            receipt.received += 1
            if log.problem:
                receipt.reject(log.problem)
            else:
                usable.append(log)
        return usable

    def _take(self, logs: list[OtlpLog], receipt: LogReceipt) -> None:
        if not logs:
            return
        if self._store.read_only:
            # Also those that would only wait for their run, which comes to another receiver.
            self._store.check_writable()
        self._last_at = monotonic()
        room = self._budget.take(len(logs))
        if room < len(logs):
            receipt.drop(_TOO_MANY, len(logs) - room)
        now = self._clock()
        cleaned: list[NewLog] = []
        for log in logs[:room]:
            try:
                cleaned.append(new_log(log, now))
            except Exception:  # noqa: BLE001 - one record must not cost the others
                exception_once("reading a log record")
                receipt.reject("it could not be read")
        if not cleaned:
            return
        if not self._store.logs.maps_runs:
            self._begin()
        runs = self._store.logs.runs_of({log.trace_id for log in cleaned})
        self._keep([log for log in cleaned if log.trace_id in runs], runs)
        others = [log for log in cleaned if log.trace_id not in runs]
        if others:
            self.waiting.put(others)
            # A run that was noted meanwhile has not found them.
            self._settle({log.trace_id for log in others})
        receipt.kept += len(cleaned)

    def _begin(self) -> None:
        """Note the traces of recent runs, which nothing has needed before the first log."""
        runs = self._store.runs
        recent = runs.stored([row.key for row in runs.rows(_RECENT_RUNS)])
        self._store.logs.map_runs((row.key, [one.trace_id for one in attempts]) for row, attempts in recent)

    def runs_projected(self) -> None:
        """Store the logs of runs that have become known since the last call. Does not raise."""
        newly = self.waiting.among(self._store.logs.newly_mapped())
        if newly:
            self._settle(newly)

    def _settle(self, traces: set[str]) -> None:
        """Store those of the waiting logs of these traces that have a run by now. Does not raise."""
        ready: list[NewLog] = []
        try:
            runs = self._store.logs.runs_of(traces)
            ready = self.waiting.take(runs.keys())
            self._keep(ready, runs)
        except StoreError as error:
            self.waiting.put(ready)  # some may be stored twice: better than not at all
            _log.warning("%s", error)

    def _keep(self, logs: Sequence[NewLog], runs: Mapping[str, Sequence[RunKey]]) -> None:
        """Store logs of known runs, and have these announced."""
        if not logs:
            return
        for begin in range(0, len(logs), _CHUNK):
            self._store.logs.add(logs[begin : begin + _CHUNK], self._clock())
        with self._lock:
            self._changed.update(run for log in logs for run in runs[log.trace_id])
            if self._timer is not None:
                return
            wait = self._announced_at + _PACE_SECONDS - monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self.announce_now)
                self._timer.daemon = True
                self._timer.start()
                return
        self.announce_now()

    def runs_deleted(self) -> None:
        """Delete the logs of runs that were deleted. Does not raise: the pruner deletes what is left."""
        try:
            for _ in self._store.logs.delete_stale(before=0):
                sleep(_PAUSE_SECONDS)
        except StoreError as error:
            _log.warning("%s", error)

    def announce_now(self) -> None:
        """Announce the runs that have new logs. Does not raise."""
        with self._lock:
            changed, self._changed, self._timer = sorted(self._changed), set(), None
            self._announced_at = monotonic()
        try:
            if changed:
                self._announce(changed)
        except StoreError as error:  # the page shows them when it is loaded again
            _log.warning("%s", error)

    def wants_spans(self) -> bool:
        """Return whether logs came lately, so that it matters which span lies below which."""
        return monotonic() - self._last_at < _WANTED_SECONDS

    def close(self) -> None:
        """Announce nothing more."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
