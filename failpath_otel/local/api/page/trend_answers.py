"""The JSON of charts and changes of flows. Times are RFC 3339 in UTC."""

import msgspec

from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.trends.cause import Cause
from failpath_otel.local.trends.changes import Change, Kind
from failpath_otel.local.trends.series import Series
from failpath_otel.local.trends.trends import Trend


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Camel case, as in the wire contract."""


class SeriesAnswer(_Answer, frozen=True):
    """The ended runs of a flow in buckets of ``widthMs`` from ``start`` on: a list has one value for each.

    ``p95Ms`` is over the runs that ended in the bucket, however few they are.
    """

    start: str
    width_ms: float
    ended: list[int]
    failed: list[int]
    p95_ms: list[float | None]


class CommonValue(_Answer, frozen=True):
    """A value of the metadata that ``failed`` of the ``of`` failures had which were compared, and few other runs."""

    key: str
    value: str
    failed: int
    of: int


class ChangeAnswer(_Answer, frozen=True):
    """A figure of a flow is ``value`` since a time and was ``before``; over how many runs each.

    The ``failureRate`` is a share, the ``p95`` in milliseconds. ``stepKey`` is where most of the failures are, and
    ``common`` what they have in common, of a failure rate that has risen.
    """

    kind: Kind
    since: str
    value: float
    before: float
    runs: int
    runs_before: int
    worse: bool
    step_key: str | None
    common: CommonValue | None


class TrendAnswer(_Answer, frozen=True):
    """A flow over a range of time, all of its ended runs, and the same long before, if the range has a beginning."""

    series: SeriesAnswer
    before: SeriesAnswer | None
    changes: list[ChangeAnswer]


def trend_answer(trend: Trend) -> TrendAnswer:
    """Return the JSON of a trend."""
    return TrendAnswer(
        series=_series(trend.series),
        before=None if trend.before is None else _series(trend.before),
        changes=[_change(change, cause) for change, cause in zip(trend.changes, trend.causes, strict=True)],
    )


def _series(series: Series) -> SeriesAnswer:
    axis, ended, failed, p95_ms = series
    return SeriesAnswer(to_rfc3339(max(0, axis.start)), axis.width / 1000, ended, failed, p95_ms)


def _change(change: Change, cause: Cause | None) -> ChangeAnswer:
    common = None if cause is None or cause.common is None else CommonValue(*cause.common)
    return ChangeAnswer(
        kind=change.kind,
        since=to_rfc3339(change.since),
        value=change.value,
        before=change.before,
        runs=change.runs,
        runs_before=change.runs_before,
        worse=change.worse,
        step_key=None if cause is None else cause.step_key,
        common=common,
    )
