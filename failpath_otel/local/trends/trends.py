"""The charts and changes of each flow over a range of time, cached until one of its runs changes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from failpath_otel.local.store.flow_revisions import FlowRevisions, Stamp
from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import TimeRange
from failpath_otel.local.trends.cause import Cause, cause_of
from failpath_otel.local.trends.changes import Change, changes_of
from failpath_otel.local.trends.series import Series, axis_of, series_of

_MAX_KEPT: Final = 512
"""The most trends that are cached; beyond these the least recently used one is dropped."""

_REST_FACTOR: Final = 10
"""A trend that takes long is computed again only after this many times that duration."""

_SHOWN_MICROSECONDS: Final = 10_000_000
"""How long a chart that ends now is shown although time has passed."""


class Trend(NamedTuple):
    """A flow over a range of time: all of its ended runs, the same long before, what has changed, and for whom.

    ``before`` is ``None`` for a range without a beginning; ``causes`` has one for each of the ``changes``.
    """

    series: Series
    before: Series | None
    changes: list[Change]
    causes: list[Cause | None]


@dataclass(frozen=True)
class _Kept:
    trend: Trend
    stamp: Stamp
    until: int
    """The time at which a chart that ends now is to move on."""
    rested: float
    """The monotonic time before which a change of a run makes no new one."""


class Trends:
    """A cache of trends. Thread-safe. ``clock`` returns microseconds since the epoch."""

    def __init__(self, store: Store, revisions: FlowRevisions, clock: Callable[[], int]) -> None:
        self._store = store
        self._revisions = revisions
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, TimeRange], _Kept] = {}  # least recently used first

    def trend(self, flow_key: str, within: TimeRange) -> Trend:
        """Return the trend of a flow: it may be older than its newest run, by some seconds, where it takes long."""
        key, stamp, begun = (flow_key, within), self._revisions.stamp(flow_key), time.monotonic()
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = kept
                if (self._clock() < kept.until) if kept.stamp == stamp else (begun < kept.rested):
                    return kept.trend
        trend = self._compute(flow_key, within)
        until, ended = self._clock() + _SHOWN_MICROSECONDS, time.monotonic()
        with self._lock:
            self._kept[key] = _Kept(trend, stamp, until, ended + _REST_FACTOR * (ended - begun))
            while len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return trend

    def rests(self, flow_key: str, within: TimeRange) -> bool:
        """Return whether the trend of a flow that is shown is older than its newest run."""
        stamp = self._revisions.stamp(flow_key)
        with self._lock:
            kept = self._kept.get((flow_key, within))
            return kept is not None and kept.stamp != stamp

    def _compute(self, flow_key: str, within: TimeRange) -> Trend:
        flows = self._store.flows
        runs = flows.ended(flow_key, within)
        changes = changes_of(runs)
        until = self._clock() + 1 if within.until is None else within.until
        since = within.since
        if since is None:
            since = runs[0].active_at if runs else until - 1
        axis = axis_of(min(since, until - 1), until)
        before: Series | None = None
        if within.since is not None:
            earlier = axis.before(until - within.since)
            before = series_of(flows.ended(flow_key, earlier.range), earlier)
        causes = [self._cause(flow_key, change, within) for change in changes]
        return Trend(series_of(runs, axis), before, changes, causes)

    def _cause(self, flow_key: str, change: Change, within: TimeRange) -> Cause | None:
        if change.kind != "failureRate" or not change.worse:
            return None
        return cause_of(self._store, flow_key, change, within)
