"""The receiver: its store, projector, liveness monitor, pruner and change notifier, connected."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from failpath_otel import semconv
from failpath_otel.local.api.stream import ChangeNotifier
from failpath_otel.local.board.board import Board
from failpath_otel.local.flows.flows import Flows
from failpath_otel.local.flows.flows_file import find_flows_file
from failpath_otel.local.liveness.liveness import Liveness, Processes
from failpath_otel.local.liveness.monitor import LivenessMonitor, RunLiveness
from failpath_otel.local.logs.log_intake import LogIntake
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.defaults import DEFAULT_DAYS, DEFAULT_MEBIBYTES
from failpath_otel.local.store.flow_revisions import FlowRevisions
from failpath_otel.local.store.follower import Follower
from failpath_otel.local.store.logs import SHARE
from failpath_otel.local.store.projector import Projector
from failpath_otel.local.store.pruning import Pruner
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.local.trends.trends import Trends
from failpath_otel.otlp.seen.parents import SpanParents
from failpath_otel.records.rules import StepRule

_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True)
class ReceiverSettings:
    """Settings of a user: the file of declared flows, a link to traces, how many days and MiB are kept.

    ``read_only`` is how a server opens the store. ``rules`` make steps of spans that come by OTLP without a step key.
    """

    flows: Path | None = None
    trace_url: str | None = None
    days: float = DEFAULT_DAYS
    mebibytes: float = DEFAULT_MEBIBYTES
    rules: Sequence[StepRule] | None = None
    read_only: bool = False


class Receiver:
    """All that works on one store. ``clock`` returns microseconds since the epoch.

    Raises ``FlowsFileError`` for a file with flows that cannot be read. The store stays the caller's to close.
    """

    def __init__(self, store: Store, clock: Callable[[], int], settings: ReceiverSettings | None = None) -> None:
        self.store = store
        self.clock = clock
        self.settings = settings or ReceiverSettings()
        self.changes = ChangeNotifier()
        self.declared = find_flows_file(self.settings.flows)
        self._revisions = FlowRevisions(store)
        self.flows = Flows(store, self.declared, self._revisions)
        self.trends = Trends(store, self._revisions, clock)
        self.board = Board(store, self._revisions, self.trends)
        self.projector = Projector(store, self._rows_changed)
        store.logs.max_bytes = round(self.settings.mebibytes * _MEBIBYTE) // SHARE
        self.logs = LogIntake(store, clock, self._bump)
        self.span_parents = SpanParents(self.logs.wants_spans)
        processes = Processes()
        self.monitor = LivenessMonitor(
            store,
            self.flows.p95_ms,
            processes.is_gone,
            self._bump,
            clock=clock,
            is_here=processes.is_here,
        )
        self.pruner = Pruner(
            store, clock, days=self.settings.days, mebibytes=self.settings.mebibytes, on_pruned=self.runs_deleted
        )
        self.follower = Follower(store, self.changes.notify, self.runs_deleted)

    def start(self) -> None:
        """Start the threads of projector, liveness monitor and pruner, or those of a store that is only read."""
        self.monitor.start()
        if self.store.read_only:
            self.follower.start()
        else:
            self.projector.start()
            self.pruner.start()

    def close(self) -> None:
        """End the threads and all streams; takes two seconds at most."""
        self.changes.close()
        self.logs.close()
        self.follower.close()
        self.pruner.close()
        self.monitor.close()
        self.projector.close()

    def catch_up(self) -> None:
        """Make the rows of what was stored before the call.

        If another process has the database locked, they follow later: what can be read is better than no response.
        """
        if not self.store.read_only:
            with contextlib.suppress(StoreError):
                self.projector.catch_up()
            self.logs.runs_projected()

    def assess(self, run: RunKey, attempts: Sequence[AttemptSummary]) -> RunLiveness:
        """Return the liveness of a run with these attempts: of one that came as a file, what it was there."""
        imported = self.store.imports.get(run)
        if imported is None or imported.mixed:
            return self.monitor.assess(run.flow_key, attempts)
        its: list[Liveness | None] = [
            imported.attempts.get((attempt.step_key, attempt.span_id), "live")
            if attempt.status == semconv.STATUS_RUNNING
            else None
            for attempt in attempts
        ]
        return RunLiveness(imported.liveness, its, [False] * len(its), still=True)

    def delete(self, flow_key: str | None = None, run_id: str | None = None) -> int:
        """Delete a run, a flow or all runs, and return how many there were."""
        try:
            if flow_key is None:
                return self.store.delete_all()
            if run_id is None:
                return self.store.delete_flow(flow_key)
            return self.store.delete_run(RunKey(flow_key, run_id))
        finally:
            # Also where the database refused after some of them.
            self.runs_deleted()

    def runs_deleted(self, _runs: int = 0) -> None:
        """Drop what is cached of deleted runs."""
        self.flows.clear_cache()
        self._revisions.reset()
        self.monitor.reset()
        self.changes.reset()
        if not self.store.read_only:
            self.logs.runs_deleted()

    def _rows_changed(self, revision: int) -> None:
        self.logs.runs_projected()
        self.changes.notify(revision)

    def _bump(self, runs: Collection[RunKey]) -> None:
        # Neither liveness nor logs are in the rows, but clients of the stream have to see the change.
        if self.store.read_only:
            self.changes.reset()
            return
        self.changes.notify(self.store.bump_revisions(runs))
