"""Rates and percentiles against values that were worked out by hand."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel.local.flows.statistics import FlowStats, StepStats, flow_stats, percentile, step_stats
from tests.local.flows.summaries import attempt, stored


def _nothing(**changes: Any) -> StepStats:
    fields: dict[str, Any] = {
        **dict.fromkeys(("runs", "ended", "failed", "skipped", "running"), 0),
        **dict.fromkeys(("attempts", "failed_attempts", "retries", "retried_runs"), 0),
        **dict.fromkeys(("failure_rate", "skip_rate", "p50_ms", "p95_ms")),
    }
    return StepStats(**fields | changes)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.05, 15),  # ceil(0.05 * 5) = ceil(0.25) = 1st
        (0.30, 20),  # ceil(1.5) = 2nd
        (0.40, 20),  # ceil(2.0) = 2nd
        (0.50, 35),  # ceil(2.5) = 3rd
        (0.95, 50),  # ceil(4.75) = 5th
        (1.00, 50),
        (0.00, 15),  # no rank is below the first
    ],
)
def test_percentiles_are_of_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([50, 15, 40, 20, 35], share) == expected


def test_a_percentile_of_one_value_is_that_value_and_of_none_is_none() -> None:
    assert percentile([7.5], 0.5) == percentile([7.5], 0.95) == 7.5
    assert percentile([], 0.5) is None


def test_a_rank_is_not_raised_by_what_binary_fractions_add() -> None:
    # 0.07 * 100 is 7.000000000000001 and 0.56 * 100 is 56.00000000000001 as a float.
    assert percentile(range(1, 101), 0.07) == 7
    assert percentile(range(1, 101), 0.56) == 56


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[int], percent: int) -> None:
    enough = [value for value in values if 100 * sum(other <= value for other in values) >= percent * len(values)]
    assert percentile(values, percent / 100) == min(enough)


def test_of_no_runs_there_are_no_numbers() -> None:
    assert step_stats([]) == {}
    assert flow_stats([]) == FlowStats(0, 0, 0, None, None, None, 0, 0, 0)


def test_the_numbers_of_a_step() -> None:
    runs = [
        stored("1", [attempt("pay", 0, 100)]),
        stored("2", [attempt("pay", 0, 300)]),
        stored("3", [attempt("pay", 0, 200, "error")]),
        stored("4", [attempt("pay", None, 0)]),
        stored("5", [attempt("pay", 0, None)]),
        stored("6", [attempt("pay", 0, 600, "error", newest=False), attempt("pay", 1000, 1400)]),
        stored("7", []),
    ]
    assert step_stats(runs) == {
        "pay": StepStats(
            runs=6,  # not in run 7
            ended=4,  # success: 1, 2, 6; error: 3
            failed=1,  # 3; the failure in 6 was made good
            skipped=1,  # 4
            running=1,  # 5
            failure_rate=0.25,  # 1 / 4
            skip_rate=1 / 6,
            p50_ms=300.0,  # of 100 200 300 400 600, with the first attempt in 6: the 3rd, ceil(0.5 * 5)
            p95_ms=600.0,  # the 5th, ceil(0.95 * 5)
            attempts=5,  # 1, 2, 3, and both of 6
            failed_attempts=2,  # in 3 and 6
            retries=1,
            retried_runs=1,  # 6
        )
    }


def test_p95_needs_five_durations() -> None:
    runs = [stored(str(number), [attempt("pay", 0, 10 * number)]) for number in range(1, 6)]
    four, five = step_stats(runs[:4])["pay"], step_stats(runs)["pay"]
    assert (four.p50_ms, four.p95_ms) == (20.0, None)  # the 2nd of 4, ceil(0.5 * 4)
    assert (five.p50_ms, five.p95_ms) == (30.0, 50.0)


def test_p95_leaves_out_one_of_twenty() -> None:
    runs = [stored(str(number), [attempt("pay", 0, number)]) for number in range(1, 21)]
    assert step_stats(runs)["pay"].p95_ms == 19.0  # ceil(0.95 * 20) = 19


def test_one_run_has_a_median_alone() -> None:
    assert step_stats([stored("1", [attempt("pay", 0, 40)])])["pay"] == _nothing(
        runs=1, ended=1, failure_rate=0.0, skip_rate=0.0, p50_ms=40.0, attempts=1
    )


def test_a_step_that_was_only_skipped_has_no_failure_rate() -> None:
    runs = [stored(str(number), [attempt("pay", None, 5)]) for number in range(6)]
    assert step_stats(runs)["pay"] == _nothing(runs=6, skipped=6, skip_rate=1.0)


def test_an_end_without_a_duration_counts_and_is_in_no_percentile() -> None:
    # A record by hand: nothing reported its start.
    assert step_stats([stored("1", [attempt("pay", None, 5, "success")])])["pay"] == _nothing(
        runs=1, ended=1, failure_rate=0.0, skip_rate=0.0, attempts=1
    )


def test_steps_are_distinguished_and_keep_their_order() -> None:
    found = step_stats([stored("1", [attempt("b", 0, 1), attempt("a", 2, 3, "error")])])
    assert list(found) == ["b", "a"]
    assert (found["b"].failure_rate, found["a"].failure_rate) == (0.0, 1.0)


def test_the_numbers_of_a_flow() -> None:
    runs = [
        stored("1", duration_ms=10.0),
        stored("2", duration_ms=20.0),
        stored("3", duration_ms=30.0, status="error"),
        stored("4", duration_ms=1.0, status="skipped"),
        stored("5", status="running"),
        stored("6", duration_ms=40.0),
    ]
    rows = [run.row for run in runs]
    # Ended are 1, 2, 3 and 6; the 2nd of their four durations is the median; there are not five for p95.
    assert flow_stats(rows) == FlowStats(6, 4, 1, 0.25, 20.0, None, 0, 0, 0)
    # With a fifth of 50: the 3rd and the 5th; 1 / 5 failed.
    assert flow_stats([*rows, stored("7", duration_ms=50.0).row]) == FlowStats(7, 5, 1, 0.2, 30.0, 50.0, 0, 0, 0)


def test_of_four_thousand_attempts_of_which_half_failed_and_were_retried_all_are_counted() -> None:
    """Every run failed once and was made good: nothing failed, and half of the attempts did."""
    runs = [
        stored(
            str(number),
            [attempt("pay", 0, 100, "error", newest=False), attempt("pay", 200, 300)],
            failed_attempts=1,
            retries=1,
        )
        for number in range(2_000)
    ]
    pay = step_stats(runs)["pay"]
    assert (pay.runs, pay.failed, pay.failure_rate) == (2_000, 0, 0.0)
    assert (pay.attempts, pay.failed_attempts, pay.retries, pay.retried_runs) == (4_000, 2_000, 2_000, 2_000)
    flow = flow_stats(run.row for run in runs)
    assert (flow.failed, flow.failed_attempts, flow.retries, flow.retried_runs) == (0, 2_000, 2_000, 2_000)


def test_retries_of_some_runs_are_counted_with_the_number_of_those_runs() -> None:
    thrice = [
        attempt("pay", 0, 10, "error", newest=False),
        attempt("pay", 20, 30, "error", newest=False),
        attempt("pay", 40, 50, "error"),
    ]
    loop = [attempt("pay", 0, 10, newest=False), attempt("pay", 20, 30, newest=False), attempt("pay", 40, 50)]
    pay = step_stats([stored("1", thrice), stored("2", loop), stored("3", [attempt("pay", 0, 10, "error")])])["pay"]
    assert (pay.attempts, pay.failed_attempts, pay.retries, pay.retried_runs, pay.failed) == (7, 4, 2, 1, 2)
