"""Rates and percentiles over the newest runs of a flow."""

from collections.abc import Collection, Iterable, Sequence
from math import ceil
from typing import Final

import msgspec

from failpath_otel.local.flows.shape import CachedRun
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.flow_queries import ListedRun
from failpath_otel.local.store.run_row import RunRow, StoredRun
from failpath_otel.records.record import Status

WINDOW: Final = 500
"""The number of newest runs of a flow that its figures are computed from."""

_FEWEST_FOR_P95: Final = 5


class StepStats(msgspec.Struct, frozen=True, rename="camel"):
    """One step over several runs: ``runs`` of them had it.

    The newest attempt of each run decides whether it ``failed`` or was ``skipped``, or is ``running``; ``ended`` is
    those that succeeded or failed. The percentiles are over all attempts that ended.
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


class FlowStats(msgspec.Struct, frozen=True, rename="camel"):
    """The runs of a flow; ``ended`` is those that succeeded or failed, and the percentiles are over their durations."""

    runs: int
    ended: int
    failed: int
    failure_rate: float | None
    p50_ms: float | None
    p95_ms: float | None


class ErrorCount(msgspec.Struct, frozen=True, rename="camel"):
    """The number of runs in which a step ended with this error; name and message may be empty."""

    name: str
    message: str
    step_key: str
    count: int
    newest_run_id: str
    last_seen: str


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
    newest: dict[str, list[Status]] = {}
    durations: dict[str, list[float]] = {}
    for run in runs:
        for attempt in run.attempts:
            statuses = newest.setdefault(attempt.step_key, [])
            if attempt.newest:
                statuses.append(attempt.status)
            if attempt.status in {"success", "error"} and attempt.duration_ms is not None:
                durations.setdefault(attempt.step_key, []).append(attempt.duration_ms)
    return {
        step_key: step_stats_of(statuses, durations.get(step_key, []))
        for step_key, statuses in newest.items()
        if statuses
    }


def flow_stats(rows: Iterable[RunRow | ListedRun]) -> FlowStats:
    """Return the figures of the runs of one flow."""
    statuses: list[Status] = []
    durations: list[float] = []
    for row in rows:
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
    )


def top_errors(runs: Iterable[Run], limit: int = 5) -> list[ErrorCount]:
    """Return the errors that most runs ended a step with, the most frequent first, and of equals the newest.

    An attempt that failed and was repeated counts only by what the newest attempt came to, as in :func:`step_stats`.
    """
    counts: dict[tuple[str, str, str], int] = {}
    last: dict[tuple[str, str, str], tuple[int, str]] = {}
    for run in runs:
        for attempt in run.attempts:
            if attempt.status != "error" or not attempt.newest:
                continue
            kind = (attempt.step_key, attempt.error_name or "", attempt.error_message or "")
            seen = (run.row.active_at if attempt.ended is None else attempt.ended, run.row.run_id)
            counts[kind] = counts.get(kind, 0) + 1
            last[kind] = max(seen, last.get(kind, seen))
    ordered = sorted(counts, key=lambda kind: (-counts[kind], -last[kind][0], kind))
    return [
        ErrorCount(
            name=name,
            message=message,
            step_key=step_key,
            count=counts[step_key, name, message],
            newest_run_id=last[step_key, name, message][1],
            last_seen=to_rfc3339(last[step_key, name, message][0]),
        )
        for step_key, name, message in ordered[:limit]
    ]


def step_stats_of(statuses: Sequence[Status], durations: Sequence[float]) -> StepStats:
    """Return the figures of one step from its newest statuses and all of its durations."""
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
    )


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _p95(durations: Sequence[float]) -> float | None:
    # Of fewer values it would be the largest one.
    return percentile(durations, 0.95) if len(durations) >= _FEWEST_FOR_P95 else None
