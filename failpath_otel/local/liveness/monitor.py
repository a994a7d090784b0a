"""The monitor of running runs: a thread that notices when one falls silent or loses its process."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache, partial
from typing import Final, NamedTuple, cast

from failpath_otel import semconv
from failpath_otel.local.liveness.liveness import Liveness, liveness_of, run_liveness, worst
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey, StoredRun
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import ProcessInfo

INTERVAL: Final = 1.0
"""Seconds between two checks."""

_PAGE: Final = 1000
_END_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)

P95 = Callable[[str, str], "float | None"]
"""The p95 of a flow's step in milliseconds; ``None`` where too few have ended."""


class RunLiveness(NamedTuple):
    """The liveness of a run and of each of its attempts in order; ``None`` for what is not running.

    ``here`` says of each attempt whether it is running and its process is known to run on the receiver's host.
    ``still``: it came as a file, and nothing of it runs here.
    """

    run: Liveness | None
    attempts: list[Liveness | None]
    here: list[bool]
    still: bool = False


class _State(NamedTuple):
    """The liveness of a running run, and which of its running attempts are not live, by step and span.

    ``gone`` are the steps whose newest attempt is gone.
    """

    run: Liveness
    lost: frozenset[tuple[str, str, Liveness]]
    gone: frozenset[str] = frozenset()


_ALL_LIVE: Final = _State("live", frozenset())


@dataclass(eq=False)
class LivenessMonitor:
    """The liveness of every running run of a store. Thread-safe.

    Each call computes it anew, by one rule, one clock (microseconds since the epoch) and one ``p95``, from the current
    state of the store, of which only changes are read. A run of which all is gone is assessed again when it changes.
    Reading raises :class:`StoreError` if the database refuses.

    After :meth:`start`, ``on_change`` is called on the monitor's thread with the runs whose liveness, or that of an
    attempt, differs from what was last reported (initially ``live``). What it raises is logged and retried.
    """

    store: Store
    p95: P95
    is_gone: Callable[[ProcessInfo], bool]
    on_change: Callable[[list[RunKey]], object]
    _: KW_ONLY
    clock: Callable[[], int]
    interval: float = INTERVAL
    is_here: Callable[[ProcessInfo], bool] = lambda _: False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="failpath-liveness", daemon=True)
        self._reported: dict[RunKey, _State] = {}
        self._forget()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, without waiting for the interval to pass."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def reset(self) -> None:
        """Start over; to be called when runs were deleted, which the store does not report as changes."""
        with self._lock:
            self._forget()

    def current(self, *, imported: bool = False) -> dict[RunKey, Liveness]:
        """Return the liveness of every running run, and with *imported* what is :meth:`shown`."""
        with self._lock:
            self._catch_up()
            current: dict[RunKey, Liveness] = dict.fromkeys(self._gone, "gone")
            if imported:
                current.update(self._imported)
            current.update({run: state.run for run, state in self._assess_open().items()})
            return current

    def shown(self, current: dict[RunKey, Liveness]) -> dict[RunKey, Liveness]:
        """Return :meth:`current` with the runs that came as files: these are shown as they stood there, not counted."""
        with self._lock:
            return self._imported | current

    def gone_steps(self, flow_key: str) -> dict[RunKey, frozenset[str]]:
        """Return, of each running run of a flow, the steps whose newest attempt has lost its process, where any has."""
        with self._lock:
            self._catch_up()
            states = {**self._gone, **self._assess_open(flow_key)}
            return {run: state.gone for run, state in states.items() if run.flow_key == flow_key and state.gone}

    def liveness(self, run: RunKey) -> Liveness | None:
        """Return the liveness of one run; ``None`` if it is not running or not there."""
        with self._lock:
            self._catch_up()
            if run in self._gone:
                return "gone"
            attempts = self._open.get(run)
            if attempts is None:
                return None
            return run_liveness(attempts, self.clock(), partial(self.p95, run.flow_key), self.is_gone)

    def assess(self, flow_key: str, attempts: Sequence[AttemptSummary]) -> RunLiveness:
        """Return the liveness of a run with these attempts."""
        now, p95 = self.clock(), partial(cache(self.p95), flow_key)
        return RunLiveness(
            run_liveness(attempts, now, p95, self.is_gone),
            [
                liveness_of(attempt, now, p95, self.is_gone) if attempt.status == semconv.STATUS_RUNNING else None
                for attempt in attempts
            ],
            [
                attempt.status == semconv.STATUS_RUNNING
                and attempt.process is not None
                and self.is_here(attempt.process)
                for attempt in attempts
            ],
        )

    def check(self) -> list[RunKey]:
        """Report changes to ``on_change`` and return them; the thread calls this at each interval."""
        with self._lock:
            self._catch_up()
            states = self._assess_open()
            seen = self._newly_gone.copy()
            states |= {run: self._gone[run] for run in seen}
            changed = {run: its for run, its in states.items() if self._reported.get(run, _ALL_LIVE) != its}
        if changed:
            self.on_change(list(changed))
        with self._lock:
            for run, its in changed.items():
                # Unless the run has ended meanwhile.
                if run in self._open or run in self._gone:
                    self._reported[run] = its
            self._newly_gone -= seen
        return list(changed)

    def _run(self) -> None:
        failing = False
        while not self._ended.is_set():
            try:
                self.check()
                failing = False
            except Exception as error:  # noqa: BLE001 - the next check may succeed
                if not failing and not self._ended.is_set():
                    # A `StoreError` says why by itself.
                    _log.error("Looking for silent runs failed: %s", error, exc_info=not isinstance(error, StoreError))
                failing = True
            self._ended.wait(self.interval)

    def _forget(self) -> None:
        self._revision: int | None = None
        self._open: dict[RunKey, list[AttemptSummary]] = {}
        # Runs whose running attempts are all gone.
        self._gone: dict[RunKey, _State] = {}
        # Those of them that the thread has not reported yet: all would be too many for every check.
        self._newly_gone: set[RunKey] = set()
        # Runs that came as files, whose processes are not here.
        self._imported: dict[RunKey, Liveness] = {}

    def _catch_up(self) -> None:
        """Read which runs have begun, changed and ended."""
        # Read first: what changes from here on is read again the next time.
        since, until = self._revision, self.store.runs.revision()
        if since == until:
            return
        if since is None:
            self._take(self.store.runs.running())
            self._reported = {run: its for run, its in self._reported.items() if run in self._open}
        elif self._drop_ended(since):
            self._take(self.store.runs.running(since))
        self._revision = until

    def _drop_ended(self, since: int) -> bool:
        """Drop the runs that ended after a revision; return whether others changed."""
        others, rows = False, self.store.runs.changes(since, _PAGE)
        while rows:
            for row in rows:
                if row.status == semconv.STATUS_RUNNING:
                    others = True
                    continue
                self._open.pop(row.key, None)
                self._imported.pop(row.key, None)
                self._gone.pop(row.key, None)
                self._newly_gone.discard(row.key)
                self._reported.pop(row.key, None)
            rows = self.store.runs.changes(rows[-1].revision, _PAGE) if len(rows) == _PAGE else []
        return others

    def _take(self, runs: Sequence[StoredRun]) -> None:
        for row, attempts in runs:
            self._gone.pop(row.key, None)
            self._newly_gone.discard(row.key)
            self._imported.pop(row.key, None)
            if row.exported_liveness is not None:
                self._imported[row.key] = cast("Liveness", row.exported_liveness or "live")
                continue
            self._open[row.key] = [attempt for attempt in attempts if attempt.status == semconv.STATUS_RUNNING]

    def _assess_open(self, flow_key: str | None = None) -> dict[RunKey, _State]:
        """Assess the runs, of one flow or all, that were not known as gone; those that are gone now are from now on."""
        now, p95 = self.clock(), cache(self.p95)
        states: dict[RunKey, _State] = {}
        for run, attempts in self._open.items():
            if flow_key not in (None, run.flow_key):
                continue
            assessed: list[tuple[AttemptSummary, Liveness]] = [
                (attempt, liveness_of(attempt, now, partial(p95, run.flow_key), self.is_gone)) for attempt in attempts
            ]
            newest: set[Liveness] = {liveness for attempt, liveness in assessed if attempt.newest}
            its = worst(newest)
            lost: list[tuple[str, str, Liveness]] = [
                (attempt.step_key, attempt.span_id, liveness) for attempt, liveness in assessed if liveness != "live"
            ]
            if its is not None:
                ended = {attempt.step_key for attempt, liveness in assessed if attempt.newest and liveness == "gone"}
                states[run] = _State(its, frozenset(lost), frozenset(ended))
        for run, state in states.items():
            gone = [liveness for _, _, liveness in state.lost if liveness == "gone"]
            if len(gone) == len(self._open[run]):
                del self._open[run]
                self._gone[run] = state
                self._newly_gone.add(run)
        return states
