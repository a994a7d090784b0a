"""The figures of every flow over a range of time, kept up to date with the runs that change."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from failpath_otel.local.flows.statistics import WINDOW, FlowStats, flow_stats
from failpath_otel.local.store.flow_queries import ListedRun, ended_of
from failpath_otel.local.store.flow_revisions import FlowRevisions, Stamp
from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange
from failpath_otel.local.trends.changes import Change, changes_of
from failpath_otel.local.trends.trends import Trends

MAX_LISTED_RUNS: Final = 20
"""The newest runs of a flow that are shown in its row."""

_MAX_RANGES: Final = 4
"""Ranges of time whose figures are kept; those of the least recently used one are dropped."""

_MAX_FIGURES: Final = 100_000
"""The most flows of all these ranges together, of which each takes about a kilobyte; the last range is always kept."""


class FlowFigures(NamedTuple):
    """A flow over a range of time: ``total`` runs, figures over the newest 500 of them, and the newest of all.

    ``changes`` are over all of its runs; where those are very many, they may be some seconds old.
    """

    total: int
    stats: FlowStats
    newest: list[ListedRun]
    changes: list[Change]

    @property
    def last_seen(self) -> int | None:
        """The newest activity."""
        return self.newest[0].active_at if self.newest else None

    @property
    def failing(self) -> bool:
        """Whether the newest run that has ended failed."""
        ended = (run.status for run in self.newest if run.status in {"success", "error"})
        return next(ended, None) == "error"

    @property
    def newest_failed(self) -> int:
        """How many of the newest runs failed."""
        return sum(run.status == "error" for run in self.newest)

    @property
    def is_worse(self) -> bool:
        """Whether a figure has risen."""
        return any(change.worse for change in self.changes)


NO_FIGURES: Final = FlowFigures(0, flow_stats([]), [], [])
"""Those of a flow without runs."""


@dataclass
class _Kept:
    state: Stamp
    flows: dict[str, FlowFigures] = field(default_factory=dict)
    resting: set[str] = field(default_factory=set)
    """Flows with changes of a trend that is to be computed again."""


class Board:
    """The figures of all flows. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, store: Store, revisions: FlowRevisions, trends: Trends) -> None:
        self._store = store
        self._revisions = revisions
        self._trends = trends
        self._lock = threading.Lock()
        self._kept: dict[TimeRange, _Kept] = {}  # least recently used first

    def all(self, within: TimeRange = ALL_TIME) -> Mapping[str, FlowFigures]:
        """Return the figures of every flow that has runs in a range of time, in the order of the flows' keys."""
        with self._lock:
            state = self._revisions.state()
            kept = self._kept.pop(within, None)
            changed = None if kept is None else self._revisions.changed_after(kept.state)
            if kept is None or changed is None:
                kept = _Kept(state, {key: _figures(runs) for key, runs in self._store.flows.by_flow(within)})
            else:
                changed |= kept.resting
                flows = dict(kept.flows) if changed else kept.flows
                for flow_key in changed:
                    figures = self._read(flow_key, within)
                    flows.pop(flow_key, None) if figures is NO_FIGURES else flows.update({flow_key: figures})
                kept = _Kept(state, flows, {key for key in changed if self._trends.rests(key, within)})
            self._kept[within] = kept
            while len(self._kept) > _MAX_RANGES or (
                len(self._kept) > 1 and sum(len(one.flows) for one in self._kept.values()) > _MAX_FIGURES
            ):
                del self._kept[next(iter(self._kept))]
            return kept.flows

    def one(self, flow_key: str, within: TimeRange = ALL_TIME) -> FlowFigures:
        """Return the figures of one flow."""
        return self._read(flow_key, within)

    def _read(self, flow_key: str, within: TimeRange) -> FlowFigures:
        newest = self._store.flows.newest(flow_key, WINDOW, within)
        if not newest:
            return NO_FIGURES
        if len(newest) < WINDOW:
            return _figures(newest)
        changes = self._trends.trend(flow_key, within).changes
        return FlowFigures(
            self._store.flows.count(flow_key, within), flow_stats(newest), newest[:MAX_LISTED_RUNS], changes
        )


def _figures(runs: Sequence[ListedRun]) -> FlowFigures:
    """Return the figures of all runs of a flow, the newest activity first."""
    changes = changes_of(ended_of(reversed(runs)))
    return FlowFigures(len(runs), flow_stats(runs[:WINDOW]), list(runs[:MAX_LISTED_RUNS]), changes)
