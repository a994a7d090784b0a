"""Rates and percentiles over the newest runs of a flow."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from failpath_otel.local.flows.shape import CachedRun
from failpath_otel.local.runs.retries import retries_by_step
from failpath_otel.local.store.flow_queries import ListedRun
from failpath_otel.local.store.run_row import RunRow, StoredRun
from failpath_otel.records.record import Status

WINDOW: Final = 500
"""The number of newest runs of a flow that its figures are computed from."""

_FEWEST_FOR_P95: Final = 5


class StepStats(msgspec.Struct, frozen=True, rename="camel"):
    """One step over several runs: ``runs`` of them had it.

    The newest attempt of each run decides whether it ``failed`` or was ``skipped``, or is ``running``; ``ended`` is
    those that succeeded or failed. The percentiles are over all attempts that ended, ``attempts`` counts these, and
    ``failed_attempts`` those that failed; ``retries`` are attempts after a failed one, in ``retried_runs`` of the runs.
    """

    runs: int
    ended: int
    failed: int
    skipped: int
    running: int
    failure_rate: float | None
    skip_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    attempts: int
    failed_attempts: int
    retries: int
    retried_runs: int


class FlowStats(msgspec.Struct, frozen=True, rename="camel"):
    """The runs of a flow; ``ended`` is those that succeeded or failed, and the percentiles are over their durations.

    ``failed_attempts`` and ``retries`` are those of all their steps; ``retried_runs`` had at least one retry.
    """

    runs: int
    ended: int
    failed: int
    failure_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    failed_attempts: int
    retries: int
    retried_runs: int


class AttemptCounts(NamedTuple):
    """Attempts of a step in several runs: those that ended, of these those that failed, and the retries of each run."""

    ended: int = 0
    failed: int = 0
    retries: Sequence[int] = ()


_NO_ATTEMPTS: Final = AttemptCounts()

Run = CachedRun | StoredRun


def percentile(values: Collection[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed (nearest rank), if any."""
    if not values:
        return None
    # 0.07 * 100 is a little more than 7.
    rank = ceil(round(share * len(values), 6))
    return sorted(values)[max(rank, 1) - 1]


def step_stats(runs: Iterable[Run]) -> dict[str, StepStats]:
    """Return the figures of every step of these runs, by step key, in the order of the steps."""
    newest: dict[str, list[Status | None]] = {}
    durations: dict[str, list[float]] = {}
    ended: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    retries: dict[str, list[int]] = {}
    for run in runs:
        for attempt in run.attempts:
            statuses = newest.setdefault(attempt.step_key, [])
            if attempt.newest:
                # One that ran where a file was made does not run here.
                is_over = attempt.status == "running" and run.row.exported_liveness is not None
                statuses.append(None if is_over else attempt.status)
            if attempt.status not in {"success", "error"}:
                continue
            ended[attempt.step_key] += 1
            if attempt.status == "error":
                failed[attempt.step_key] += 1
            if attempt.duration_ms is not None:
                durations.setdefault(attempt.step_key, []).append(attempt.duration_ms)
        for step_key, number in retries_by_step(run.attempts).items():
            retries.setdefault(step_key, []).append(number)
    return {
        step_key: step_stats_of(
            statuses,
            durations.get(step_key, []),
            AttemptCounts(ended[step_key], failed[step_key], retries.get(step_key, [])),
        )
        for step_key, statuses in newest.items()
        if statuses
    }


def node_stats(
    runs: Iterable[Run], steps: Mapping[str, StepStats], members: Mapping[str, Collection[str]]
) -> dict[str, StepStats]:
    """Return the figures of nodes, some of which are several steps: those of all these together.

    Args:
        runs: the runs.
        steps: the :func:`step_stats` of them.
        members: the nodes, each with its steps where it is several.
    """
    node_of = {step_key: node for node, its in members.items() for step_key in its}
    found = {node: steps[node] for node in members if node in steps}
    if not node_of:
        return found
    had: Counter[str] = Counter()
    retried: Counter[str] = Counter()
    together: list[StoredRun] = []
    for run in runs:
        own = [attempt for attempt in run.attempts if attempt.step_key in node_of]
        had.update({node_of[attempt.step_key] for attempt in own})
        retried.update({node_of[step_key] for step_key, number in retries_by_step(own).items() if number})
        attempts = [structs.replace(attempt, step_key=node_of[attempt.step_key]) for attempt in own]
        together.append(StoredRun(run.row, attempts))
    for node, stats in step_stats(together).items():
        # A step is no retry of another one.
        retries = sum(steps[member].retries for member in members[node] if member in steps)
        found[node] = structs.replace(stats, runs=had[node], retries=retries, retried_runs=retried[node])
    return found


def flow_stats(rows: Iterable[RunRow | ListedRun]) -> FlowStats:
    """Return the figures of the runs of one flow."""
    statuses: list[Status] = []
    durations: list[float] = []
    failed_attempts = retries = retried_runs = 0
    for row in rows:
        failed_attempts += row.failed_attempts
        retries += row.retries
        retried_runs += row.retries > 0
        statuses.append(row.status)
        if row.status in {"success", "error"} and row.duration_ms is not None:
            durations.append(row.duration_ms)
    failed = statuses.count("error")
    ended = failed + statuses.count("success")
    return FlowStats(
        runs=len(statuses),
        ended=ended,
        failed=failed,
        failure_rate=_rate(failed, ended),
        p50_ms=percentile(durations, 0.5),
        p95_ms=_p95(durations),
        failed_attempts=failed_attempts,
        retries=retries,
        retried_runs=retried_runs,
    )


def step_stats_of(
    statuses: Sequence[Status | None], durations: Sequence[float], attempts: AttemptCounts = _NO_ATTEMPTS
) -> StepStats:
    """Return the figures of one step from its newest statuses, and all of its durations and attempts."""
    failed, skipped = statuses.count("error"), statuses.count("skipped")
    ended = failed + statuses.count("success")
    return StepStats(
        runs=len(statuses),
        ended=ended,
        failed=failed,
        skipped=skipped,
        running=statuses.count("running"),
        failure_rate=_rate(failed, ended),
        skip_rate=_rate(skipped, len(statuses)),
        p50_ms=percentile(durations, 0.5),
        p95_ms=_p95(durations),
        attempts=attempts.ended,
        failed_attempts=attempts.failed,
        retries=sum(attempts.retries),
        retried_runs=sum(number > 0 for number in attempts.retries),
    )


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _p95(durations: Sequence[float]) -> float | None:
    # Of fewer values it would be the largest one.
    return percentile(durations, 0.95) if len(durations) >= _FEWEST_FOR_P95 else None
