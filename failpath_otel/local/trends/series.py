"""Charts of a flow: its ended runs in buckets of time, all as wide, on round times in UTC."""

from collections.abc import Iterable
from math import ceil
from typing import Final, NamedTuple

from failpath_otel.local.flows.statistics import percentile
from failpath_otel.local.store.flow_queries import EndedRun
from failpath_otel.local.store.time_range import TimeRange

MOST_BUCKETS: Final = 50

_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_WIDTHS: Final = (
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 4, 6, 12)),
)


class Axis(NamedTuple):
    """So many ``buckets`` of ``width`` microseconds from ``start`` on."""

    start: int
    width: int
    buckets: int

    def before(self, span: int) -> "Axis":
        """Return the buckets of the time before, for a range of this span."""
        return self._replace(start=self.start - max(1, round(span / self.width)) * self.width)

    @property
    def range(self) -> TimeRange:
        """The time from its first bucket to its last."""
        return TimeRange(self.start, self.start + self.buckets * self.width)


class Series(NamedTuple):
    """The runs that ended in each bucket: how many, how many of them failed, and the p95 of their durations in ms."""

    axis: Axis
    ended: list[int]
    failed: list[int]
    p95_ms: list[float | None]


def axis_of(since: int, until: int) -> Axis:
    """Return the buckets of a range of time, at most :data:`MOST_BUCKETS` and one that is cut."""
    span = max(1, until - since)
    width = next((width for width in _WIDTHS if span <= width * MOST_BUCKETS), None)
    if width is None:
        width = ceil(span / MOST_BUCKETS / _DAY) * _DAY
    start = since // width * width
    return Axis(start, width, max(1, ceil((until - start) / width)))


def series_of(runs: Iterable[EndedRun], axis: Axis) -> Series:
    """Return the series of runs; those outside of its buckets are left out."""
    start, width, count = axis
    ended, failed = [0] * count, [0] * count
    durations: list[list[float]] = [[] for _ in range(count)]
    for active_at, has_failed, duration_ms in runs:
        bucket = (active_at - start) // width
        if 0 <= bucket < count:
            ended[bucket] += 1
            failed[bucket] += has_failed
            if duration_ms is not None:
                durations[bucket].append(duration_ms)
    return Series(axis, ended, failed, [percentile(values, 0.95) for values in durations])
