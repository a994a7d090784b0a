"""The lines of the grid: the order of the steps, and what runs inside what."""

import pytest
from msgspec.structs import replace

from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.grid import Column, column, failing_since, lines
from failpath_otel.local.flows.shape import CachedRun, DeclaredFlow, Node
from failpath_otel.local.runs.summary import AttemptSummary
from tests.local.flows.summaries import attempt, stored


def details(*runs: list[AttemptSummary], declared: DeclaredFlow | None = None) -> FlowDetails:
    return FlowDetails([CachedRun(*stored(f"run-{place}", run)) for place, run in enumerate(runs)], declared)


def columns(of: FlowDetails) -> list[Column]:
    return [column(run.row, run.attempts) for run in reversed(of.runs)]


def keys(of: FlowDetails) -> list[str]:
    return [line.step_key for line in lines(columns(of), of)]


def test_steps_stand_in_the_order_of_the_graph_however_runs_began_them() -> None:
    newest = [attempt("pay", 20, 30), attempt("cart", 0, 10)]
    older = [attempt("cart", 0, 10), attempt("check", 12, 14), attempt("pay", 20, 30)]
    assert keys(details(newest, older)) == ["cart", "check", "pay"]


def test_declared_steps_are_there_before_a_run_had_them_and_unknown_ones_follow() -> None:
    declared = DeclaredFlow("checkout", (Node("cart", "Cart"), Node("pay", "Pay")), (("cart", "pay"),))
    assert keys(details([attempt("cart", 0, 1)], declared=declared)) == ["cart", "pay"]


def test_a_step_stands_below_the_one_that_it_runs_inside_of() -> None:
    run = [
        attempt("load", 0, 100, span="a"),
        attempt("store", 110, 120, span="b"),
        attempt("parse", 10, 20, span="c", parent="a"),
        attempt("clean", 12, 14, span="d", parent="c"),
        attempt("orphan", 130, 140, span="e", parent="of another run"),
    ]
    of = details(run)
    shown = [(line.step_key, line.depth) for line in lines(columns(of), of)]
    assert shown[:3] == [("load", 0), ("parse", 1), ("clean", 2)]
    assert sorted(shown[3:]) == [("orphan", 0), ("store", 0)]


def test_steps_that_run_inside_each_other_in_different_runs_are_all_there_once() -> None:
    one = [attempt("a", 0, 9, span="1"), attempt("b", 1, 8, span="2", parent="1")]
    other = [attempt("b", 0, 9, span="3"), attempt("a", 1, 8, span="4", parent="3")]
    assert sorted(keys(details(one, other))) == ["a", "b"]


def test_many_steps_stand_as_they_were_first_seen() -> None:
    steps = [attempt(f"step-{number:04}", 10 * number, 10 * number + 5) for number in range(600)]
    assert keys(details(steps)) == [f"step-{number:04}" for number in range(600)]


def test_a_column_counts_repeated_attempts_and_shows_the_newest() -> None:
    failed = {"status": "error", "newest": False}
    row, attempts = stored(
        "run",
        [
            attempt("pay", 0, 1, **failed),  # type: ignore[arg-type]
            attempt("pay", 2, 3, **failed),  # type: ignore[arg-type]
            attempt("pay", 4, 5),
            attempt("mail", 6, 7),
        ],
    )
    its = column(row, attempts)
    assert (its.newest["pay"].started, its.repeated) == (4, {"pay": (3, 2)})


@pytest.mark.parametrize("running", [False, True])
def test_a_step_fails_since_the_end_of_its_first_failure_and_what_runs_is_no_outcome(running: bool) -> None:
    its = []
    for number, status in enumerate(["success", "success", "error", "error"]):
        row, attempts = stored(f"run-{number}", [attempt("pay", 10 * number, 10 * number + 5, status)])  # type: ignore[arg-type]
        its.append(column(replace(row, failed=int(status == "error")), attempts))
    if running:
        its.append(column(*stored("run-4", [attempt("pay", 50, None)])))
    (since,) = failing_since(its).items()
    assert since[0] == "pay"
    assert (since[1].since, since[1].run_id, since[1].failing.failed) == (25, "run-2", 2)
