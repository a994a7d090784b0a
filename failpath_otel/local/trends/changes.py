"""Where a flow has changed: its failure rate, and how long its runs take."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from failpath_otel.local.flows.statistics import percentile
from failpath_otel.local.store.flow_queries import EndedRun
from failpath_otel.local.trends.change_point import FEWEST, Split, last_change

_FEWEST_FAILURES: Final = 4
_LEAST_DIFFERENCE: Final = 0.02
_LEAST_RATIO: Final = 1.5
"""What differs less is no news, however sure it is."""

_FEWEST_FOR_P95: Final = 20
_LEVELS: Final = (0.5, 0.75, 0.9, 0.95)
"""Durations are split by how many exceed these percentiles of all: few that become slow show at a high one alone."""

Kind = Literal["failureRate", "p95"]


class Change(NamedTuple):
    """A figure is ``value`` since a time and was ``before``; of how many runs each. Times are microseconds."""

    kind: Kind
    since: int
    value: float
    before: float
    runs: int
    runs_before: int

    @property
    def worse(self) -> bool:
        """Whether it is higher than it was."""
        return self.value > self.before


def changes_of(runs: Sequence[EndedRun]) -> list[Change]:
    """Return what has changed in the runs of a flow, the oldest of them first; each figure's last change."""
    return [change for change in (failure_change(runs), p95_change(runs)) if change is not None]


def failure_change(runs: Sequence[EndedRun]) -> Change | None:
    """Return the last change of the failure rate."""
    flags = [run.failed for run in runs]
    split = last_change(flags, FEWEST)
    if split is None:
        return None
    before, after = flags[split.begin : split.at], flags[split.at :]
    rates = sum(before) / len(before), sum(after) / len(after)
    if max(sum(before), sum(after)) < _FEWEST_FAILURES or max(rates) - min(rates) < _LEAST_DIFFERENCE:
        return None
    if max(rates) < _LEAST_RATIO * min(rates):
        return None
    return Change("failureRate", runs[split.at].active_at, rates[1], rates[0], len(after), len(before))


def p95_change(runs: Sequence[EndedRun]) -> Change | None:
    """Return the last change of the 95th percentile of the durations."""
    timed = [(run.active_at, run.duration_ms) for run in runs if run.duration_ms is not None]
    if len(timed) < 2 * _FEWEST_FOR_P95:
        return None
    durations = [duration for _, duration in timed]
    ordered = sorted(durations)
    levels = dict.fromkeys(ordered[int(level * len(ordered))] for level in _LEVELS)
    found: list[tuple[Split, float, float]] = []
    for level in levels:
        split = last_change([duration >= level for duration in durations], _FEWEST_FOR_P95)
        if split is None:
            continue
        before, value = _p95(durations[split.begin : split.at]), _p95(durations[split.at :])
        if max(before, value) >= _LEAST_RATIO * min(before, value):
            found.append((split, before, value))
    if not found:
        return None
    split, before, value = max(found, key=lambda each: each[0].strength)
    return Change("p95", timed[split.at][0], value, before, len(timed) - split.at, split.at - split.begin)


def _p95(durations: Sequence[float]) -> float:
    value = percentile(durations, 0.95)
    assert value is not None
    return value
