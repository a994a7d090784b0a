"""What differs between two runs, and what is only noise."""

from typing import Any

import pytest
from msgspec.structs import replace

from failpath_otel.local.flows.comparison import (
    Changed,
    ComparedRun,
    ComparedStep,
    Comparison,
    Usual,
    compare,
    is_notable,
    usual_durations,
)
from failpath_otel.local.flows.grid import Line, column
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.run_row import StoredRun
from tests.local.flows.summaries import attempt, stored


def run(*attempts: AttemptSummary, status: Any = "success", **metadata: dict[str, Any]) -> ComparedRun:
    """A run with these attempts; ``metadata`` by step."""
    return ComparedRun(column(*stored("run", attempts, status=status)), metadata)


def compared(own: ComparedRun, other: ComparedRun, **usual: Usual) -> Comparison:
    keys = dict.fromkeys([*other.column.newest, *own.column.newest])
    return compare(own, other, [Line(step_key, 0) for step_key in keys], usual, {"pay": "Pay"})


def step(comparison: Comparison, step_key: str) -> ComparedStep:
    (found,) = [each for each in comparison.steps if each.step_key == step_key]
    return found


def test_equal_runs_do_not_differ() -> None:
    own, other = (run(attempt("cart", 0, 10), attempt("pay", 10, 30)) for _ in range(2))
    comparison = compared(own, other)
    assert [(each.step_key, each.label, each.differs) for each in comparison.steps] == [
        ("cart", "cart", []),
        ("pay", "Pay", []),
    ]
    assert (comparison.steps[0].difference_ms, comparison.steps[0].factor) == (0.0, 1.0)


def test_a_step_that_is_missing_is_missing_or_not_reached_yet_and_one_that_is_new_is_new() -> None:
    short, long = run(attempt("cart", 0, 10)), run(attempt("cart", 0, 10), attempt("pay", 10, 30))
    assert step(compared(short, long), "pay").differs == ["missing"]
    assert step(compared(long, short), "pay").differs == ["new"]
    running = run(attempt("cart", 0, 10), status="running")
    assert step(compared(running, long), "pay").differs == ["pending"]


def test_outcomes_errors_and_attempts_differ() -> None:
    failed = run(attempt("pay", 0, 10, "error", error=("Declined", "no")), status="error")
    other = run(attempt("pay", 0, 10, "error", error=("Timeout", "slow")), status="error")
    good = run(attempt("pay", 0, 10))
    again = run(attempt("pay", 0, 5, "error", newest=False, duration_ms=9), attempt("pay", 6, 16))
    assert step(compared(failed, good), "pay").differs == ["outcome"]
    assert step(compared(failed, other), "pay").differs == ["error"]
    its = step(compared(again, good), "pay")
    assert its.differs == ["attempts"]
    assert its.own is not None
    assert (its.own.status, its.own.attempts, its.own.failed_attempts) == ("success", 2, 1)


def test_a_running_step_has_no_duration_to_compare() -> None:
    its = step(compared(run(attempt("pay", 0, None), status="running"), run(attempt("pay", 0, 500))), "pay")
    assert (its.differs, its.difference_ms, its.factor) == (["outcome"], None, None)


USUAL = Usual(80, 100, 150)


@pytest.mark.parametrize(
    ("own", "other", "usual", "notable"),
    [
        (140, 90, USUAL, False),  # both are usual
        (160, 140, USUAL, False),  # a little beyond
        (200, 100, USUAL, True),
        (100, 200, USUAL, True),  # the other one was slow
        (40, 100, USUAL, True),
        (300, 290, USUAL, False),  # both are slow
        (1.6, 1.0, Usual(0.8, 1.0, 1.5), False),  # less than a millisecond
        (0.0, 100, USUAL, True),
        (250, 100, None, True),
        (190, 100, None, False),
        (12, 4, None, False),  # less than ten milliseconds
        (0.0, 0.0, None, False),
    ],
)
def test_durations_differ_where_one_of_them_is_no_usual_one(
    own: float, other: float, usual: Usual | None, notable: bool
) -> None:
    assert is_notable(own, other, usual) is notable


def test_slower_and_faster_are_seen_from_the_run() -> None:
    slow, fast = (run(attempt("pay", 0, 10, duration_ms=ms)) for ms in (300, 100))
    its = step(compared(slow, fast, pay=USUAL), "pay")
    assert (its.differs, its.difference_ms, its.factor, its.p50_ms, its.p95_ms) == (["slower"], 200.0, 3.0, 100, 150)
    assert step(compared(fast, slow, pay=USUAL), "pay").differs == ["faster"]


def history(number: int, started: int, ms: float) -> StoredRun:
    row, attempts = stored(f"run-{number}", [attempt("pay", started, started + 1, duration_ms=ms)])
    return StoredRun(replace(row, started=started), attempts)


def test_what_became_slow_later_does_not_make_slow_usual() -> None:
    before = [history(number, number, 100 + number) for number in range(10)]
    since = [history(number, number, 1000) for number in range(10, 40)]
    assert usual_durations([*before, *since], until=9)["pay"] == Usual(100, 104, 109)
    # Of the time before the first run too little is known.
    assert usual_durations([*before, *since], until=2)["pay"].p50 == 1000
    assert usual_durations(before[:4], until=9) == {}


def test_metadata_differs_by_step_and_what_differs_alike_in_all_is_said_once() -> None:
    attempts = [attempt("cart", 0, 10), attempt("pay", 10, 30), attempt("mail", 30, 40)]
    own = run(
        *attempts, cart={"customer": "c-8", "n": 1}, pay={"customer": "c-8", "n": 2, "x": [1]}, mail={"flag": True}
    )
    other = run(*attempts, cart={"customer": "c-1", "n": 3}, pay={"customer": "c-1", "n": 4}, mail={"flag": 1})
    comparison = compared(own, other)
    assert comparison.metadata == [Changed("customer", "c-8", "c-1")]
    assert step(comparison, "cart").metadata == [Changed("n", "1", "3")]
    assert step(comparison, "pay").metadata == [Changed("n", "2", "4"), Changed("x", "[1]", None)]
    assert step(comparison, "mail").metadata == [Changed("flag", "true", "1")]
    assert step(comparison, "mail").differs == ["metadata"]


def test_long_values_are_cut_and_many_are_counted() -> None:
    values = {f"key-{number}": "x" * 5000 for number in range(30)}
    its = step(compared(run(attempt("pay", 0, 1), pay=values), run(attempt("pay", 0, 1))), "pay")
    assert (len(its.metadata), its.more_metadata) == (20, 10)
    assert {len(each.own or "") for each in its.metadata} == {200}
