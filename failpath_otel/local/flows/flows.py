"""Figures, shape and layout of each flow, computed from its newest runs and cached until one changes."""

import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from failpath_otel.local.flows.flows_file import FlowsFile
from failpath_otel.local.flows.layout import Layout, layout, listed
from failpath_otel.local.flows.shape import CachedRun, DeclaredFlow, Numberings, SeenRun, Shape, shape_of
from failpath_otel.local.flows.statistics import WINDOW, StepStats, node_stats, step_stats
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.flow_revisions import FlowRevisions
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange

MAX_ATTEMPTS: Final = 25_000
"""The most attempts that are read of a flow, from its newest runs; the newest run is always read."""

MAX_KEPT_ATTEMPTS: Final = 100_000
"""The most attempts of all flows that are cached; beyond these the least recently used flow is dropped."""

_MAX_RANGES: Final = 16
"""The most details of flows over a limited range of time that are cached."""

_MAX_CHANGES: Final = 500
"""The most changed runs that are read; after more, everything is read again."""

_CHUNK: Final = 100
"""Runs that are read at once, so that reading stops soon after :data:`MAX_ATTEMPTS`."""

_Key = tuple[str, TimeRange]
"""A flow, and the range of time of its runs."""


@dataclass(frozen=True)
class FlowDetails:
    """The newest runs of a flow, the newest activity first, and what is computed from their attempts."""

    runs: list[CachedRun]
    declared: DeclaredFlow | None
    older: Sequence[AttemptSummary] | None = None
    """The attempts of an older run, whose steps the shape has too."""

    numberings: Numberings = field(default_factory=Numberings, compare=False)

    def with_steps_of(self, attempts: Sequence[AttemptSummary]) -> "FlowDetails":
        """Return the same details, with a shape that also has the steps of a run with these attempts."""
        known = {key for node in self.shape.nodes for key in node.members or (node.step_key,)}
        if all(attempt.step_key in known for attempt in attempts):
            return self
        return replace(self, older=attempts)

    @cached_property
    def attempts(self) -> int:
        """The number of attempts of these runs."""
        return sum(len(run.attempts) for run in self.runs)

    @cached_property
    def steps(self) -> dict[str, StepStats]:
        """The figures of each of its steps."""
        return step_stats(self.runs)

    @cached_property
    def figures(self) -> dict[str, StepStats]:
        """The figures of each node of the shape that a run has reached."""
        return node_stats(self.runs, self.steps, {node.step_key: node.members for node in self.shape.nodes})

    @cached_property
    def shape(self) -> Shape:
        """Its nodes and edges."""
        older = [] if self.older is None else [SeenRun(self.older)]
        return shape_of([*older, *self.seen], self.declared, self.numberings)

    def count_gone(self, steps: Mapping[RunKey, Collection[str]]) -> Counter[str]:
        """Return in how many of the runs each step has lost its process; ``steps`` are those that have, by run."""
        return Counter(step_key for run in self.runs for step_key in steps.get(run.row.key, ()))

    @property
    def seen(self) -> list[SeenRun]:
        """What each run shows, the oldest first."""
        return [run.seen for run in reversed(self.runs)]

    @cached_property
    def layout(self) -> Layout:
        """Where its steps are drawn; depends on its shape alone."""
        keys = [node.step_key for node in self.shape.nodes]
        if self.shape.listed:
            return listed(keys)
        edges = self.shape.edges
        back = {(edge.source, edge.target) for edge in edges if edge.kind == "back"}
        return layout(keys, {(edge.source, edge.target) for edge in edges}, back)


class Flows:
    """A cache of the details of every flow, refreshed when one of its runs has changed. Thread-safe."""

    def __init__(self, store: Store, declared: FlowsFile | None, revisions: FlowRevisions | None = None) -> None:
        self._store = store
        self._revisions = FlowRevisions(store) if revisions is None else revisions
        self._declared = declared
        self._lock = threading.Lock()
        self._details: dict[_Key, FlowDetails] = {}  # least recently used first
        self._attempts = 0
        self._stale: set[_Key] = set()
        self._seen_revision = 0

    def known(self) -> list[str]:
        """Return the flows that have runs, and then those that are only declared."""
        return list(dict.fromkeys([*self._revisions.flow_keys(), *self.declared()]))

    def details(self, flow_key: str, within: TimeRange = ALL_TIME) -> FlowDetails:
        """Return the details of a flow in a range of time, up to date; an unknown flow has no runs and no steps."""
        key, declared = (flow_key, within), self.declared().get(flow_key)
        with self._lock:
            self._apply_changes()
            details = self._details.get(key)
            if details is not None and key not in self._stale and details.declared == declared:
                self._details[key] = self._details.pop(key)
                return details
            # A read that fails leaves the cache as it is, and is repeated.
            details = self._read_runs(key, details, declared)
            self._drop(key)
            if details.runs or declared:
                self._details[key] = details
                self._attempts += details.attempts
                self._evict(key)
            return details

    def p95_ms(self, flow_key: str, step_key: str) -> float | None:
        """Return the 95th percentile of a step's durations in milliseconds, if enough of them are known."""
        stats = self.details(flow_key).steps.get(step_key)
        return None if stats is None else stats.p95_ms

    def clear_cache(self) -> None:
        """Drop all caches, because runs were deleted."""
        with self._lock:
            self._details.clear()
            self._attempts = 0
            self._stale.clear()

    def declared(self) -> Mapping[str, DeclaredFlow]:
        """Return the flows of the file, by their keys; none where there is no file."""
        return {} if self._declared is None else self._declared.flows()

    def _apply_changes(self) -> None:
        changed = self._store.runs.changes(self._seen_revision, _MAX_CHANGES)
        if len(changed) == _MAX_CHANGES:
            self._seen_revision = self._store.runs.revision()
            self._stale = set(self._details)
        elif changed:
            self._seen_revision = changed[-1].revision
            flow_keys = {row.flow_key for row in changed}
            self._stale |= {key for key in self._details if key[0] in flow_keys}

    def _evict(self, newest: _Key) -> None:
        if newest[1] != ALL_TIME:
            # The begin of a range like the last hour moves on, and nothing asks for the one before again.
            for key in [key for key in self._details if key[1] != ALL_TIME][:-_MAX_RANGES]:
                self._drop(key)
        # There may be as many flows as attempts: no look at all of them here.
        while self._attempts > MAX_KEPT_ATTEMPTS and len(self._details) > 1:
            self._drop(next(iter(self._details)))

    def _drop(self, key: _Key) -> None:
        dropped = self._details.pop(key, None)
        self._attempts -= 0 if dropped is None else dropped.attempts
        self._stale.discard(key)

    def _read_runs(self, key: _Key, before: FlowDetails | None, declared: DeclaredFlow | None) -> FlowDetails:
        """Read the attempts of those runs that are not cached at their current revision."""
        known = {} if before is None else {(run.row.run_id, run.row.revision): run for run in before.runs}
        numberings = Numberings() if before is None else before.numberings
        flow_key, within = key
        rows = self._store.runs.rows(WINDOW, flow_key=flow_key, within=within)
        runs: list[CachedRun] = []
        attempts = 0
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            unknown = [row.key for row in chunk if (row.run_id, row.revision) not in known]
            # Deleted runs are missing; changed ones are read as they are now, and are reported as changed again.
            read = {stored.row.run_id: CachedRun(*stored) for stored in self._store.runs.stored(unknown)}
            for row in chunk:
                run = known.get((row.run_id, row.revision)) or read.get(row.run_id)
                if run is None:
                    continue
                attempts += len(run.attempts)
                if runs and attempts > MAX_ATTEMPTS:
                    return FlowDetails(runs, declared, numberings=numberings)
                runs.append(run)
        return FlowDetails(runs, declared, numberings=numberings)
