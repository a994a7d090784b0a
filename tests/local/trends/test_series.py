"""Charts have at most some fifty buckets, on round times, and the same time before lies the range earlier."""

import pytest

from failpath_otel.local.store.flow_queries import EndedRun
from failpath_otel.local.trends.series import MOST_BUCKETS, Axis, axis_of, series_of

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = 20_000 * DAY + 12 * HOUR


@pytest.mark.parametrize(
    ("span", "width"),
    [
        (1, 1_000_000),
        (HOUR, 2 * MINUTE),
        (DAY, 30 * MINUTE),
        (7 * DAY, 4 * HOUR),
        (30 * DAY, DAY),
        (9999 * DAY, 200 * DAY),
    ],
)
def test_buckets_are_as_wide_as_a_clock_has_it_and_cover_the_range(span: int, width: int) -> None:
    for since in (NOON, NOON + 7 * MINUTE + 13):
        axis = axis_of(since, since + span)
        assert axis.width == width
        assert axis.buckets <= MOST_BUCKETS + 1
        assert axis.start <= since < axis.start + width
        assert axis.start % width == 0
        assert axis.start + axis.buckets * width >= since + span


def test_the_time_before_is_as_long_as_the_range() -> None:
    axis = axis_of(NOON + 13, NOON + DAY + 13)
    assert axis.before(DAY) == axis._replace(start=axis.start - DAY)
    assert Axis(NOON, HOUR, 2).range == (NOON, NOON + 2 * HOUR)


def test_each_run_is_in_the_bucket_of_its_end_and_others_in_none() -> None:
    runs = [
        EndedRun(NOON - 1, True, 1.0),
        EndedRun(NOON, True, 5.0),
        EndedRun(NOON + HOUR - 1, False, 2.0),
        EndedRun(NOON + 2 * HOUR, False, None),
        EndedRun(NOON + 3 * HOUR, True, 7.0),
    ]
    series = series_of(runs, Axis(NOON, HOUR, 3))
    assert (series.ended, series.failed, series.p95_ms) == ([2, 0, 1], [1, 0, 0], [5.0, None, None])
