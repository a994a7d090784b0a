"""A log belongs to the step that its span says, to one that its time leaves no doubt about, or to the run alone."""

from collections.abc import Mapping
from typing import Any

import pytest

from failpath_otel.local.logs.attachment import Attacher, Attachment
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.logs import StoredLog

TRACE = "t" * 32


def attempt(
    span: str, started: int | None, ended: int | None, parent: str | None = None, trace: str = TRACE
) -> AttemptSummary:
    return AttemptSummary("step", "success", started, ended, None, None, None, trace, span, None, True, parent)


def attached(
    attempts: list[AttemptSummary],
    *logs: tuple[str, int],
    others: list[AttemptSummary] | None = None,
    parents: Mapping[str, str] | None = None,
    trace: str = TRACE,
) -> list[Attachment | None]:
    """How logs, each a span and a time, belong to these attempts; ``parents`` by spans."""
    known = parents or {}
    attacher = Attacher(attempts, others or [], lambda of, span: known.get(span) if of == TRACE else None)
    rows = [StoredLog(number, trace, span, at, 9, b"{}", 0) for number, (span, at) in enumerate(logs)]
    return list(attacher.attach(rows))


def relation(*args: Any, **kwargs: Any) -> tuple[str, int | None] | None:
    [found] = attached(*args, **kwargs)
    return found and (found.relation, found.place)


def test_a_log_of_the_span_of_a_step_is_of_that_step_also_outside_of_its_time() -> None:
    attempts = [attempt("a", 10, 20), attempt("b", 15, 30)]
    assert attached(attempts, ("b", 5), ("a", 17), ("a", 90)) == [
        Attachment("span", 1),
        Attachment("span", 0),
        Attachment("span", 0),
    ]


def test_a_log_of_a_span_below_a_step_is_of_the_nearest_one_above_it() -> None:
    attempts = [attempt("outer", 10, 40), attempt("inner", 15, 30, "outer")]
    parents = {"http": "inner", "socket": "http", "sql": "outer"}
    assert relation(attempts, ("socket", 99), parents=parents) == ("below", 1)
    assert relation(attempts, ("sql", 20), parents=parents) == ("below", 0)


def test_a_circle_of_parents_ends() -> None:
    assert relation([attempt("a", 10, 20)], ("x", 15), parents={"x": "y", "y": "x"}) == ("during", 0)


def test_a_log_of_an_unknown_span_is_shown_with_the_innermost_step_that_ran_where_there_is_one() -> None:
    attempts = [attempt("outer", 10, 40), attempt("inner", 15, 30, "outer"), attempt("later", 50, None)]
    found = attached(attempts, ("x", 12), ("x", 15), ("x", 29), ("x", 35), ("", 45), ("x", 99))
    assert found == [
        Attachment("during", 0),
        Attachment("during", 1),
        Attachment("during", 1),
        Attachment("during", 0),
        Attachment("run", None),
        Attachment("during", 2),
    ]


def test_where_two_steps_overlap_and_neither_lies_in_the_other_it_is_of_the_run_only() -> None:
    attempts = [attempt("a", 10, 30), attempt("b", 15, 40)]
    assert attached(attempts, ("x", 12), ("x", 20), ("x", 35)) == [
        Attachment("during", 0),
        Attachment("run", None),
        Attachment("during", 1),
    ]


def test_two_lanes_inside_one_step_are_told_apart_by_no_time() -> None:
    attempts = [attempt("all", 0, 100), attempt("a", 10, 30, "all"), attempt("b", 10, 30, "all")]
    assert relation(attempts, ("x", 20)) == ("run", None)


def test_a_step_that_began_together_with_the_one_inside_it_is_not_taken_for_that() -> None:
    attempts = [attempt("inner", 10, 20, "outer"), attempt("outer", 10, 20)]
    assert relation(attempts, ("x", 15)) == ("during", 0)


def test_before_and_after_the_run_a_log_of_its_trace_is_not_of_it() -> None:
    attempts = [attempt("a", 10, 20), attempt("b", 30, 40)]
    assert attached(attempts, ("x", 9), ("x", 25), ("x", 41)) == [None, Attachment("run", None), None]
    assert relation(attempts, ("x", 15), trace="u" * 32) is None


def test_a_log_of_a_span_around_a_step_is_not_of_the_step() -> None:
    attempts = [attempt("a", 10, 20)]
    assert relation(attempts, ("request", 15), parents={"a": "task", "task": "request"}) == ("run", None)


def test_what_is_of_another_run_in_the_trace_is_not_of_this_one() -> None:
    own, other = [attempt("call", 10, 40)], [attempt("served", 15, 30)]
    assert relation(own, ("served", 20), others=other) is None
    assert relation(own, ("query", 20), others=other, parents={"query": "served"}) == ("run", None)
    assert relation(own, ("x", 20), others=other) == ("run", None), "either of the two"
    assert relation(own, ("x", 35), others=other) == ("during", 0)
    known = {"served": "request", "request": "call"}
    assert relation(own, ("served", 20), others=other, parents=known) == ("below", 0)


def test_a_step_without_a_start_is_found_by_its_span_alone() -> None:
    attempts = [attempt("a", None, 20)]
    assert relation(attempts, ("a", 15)) == ("span", 0)
    assert relation(attempts, ("x", 15)) is None


@pytest.mark.parametrize("size", [3_000])
def test_many_logs_among_many_steps_are_attached_in_one_sweep(size: int) -> None:
    attempts = [attempt(f"s{n}", 10 * n, 10 * n + 5) for n in range(size)]
    found = attached(attempts, *[("x", 10 * n + 2) for n in range(size)])
    assert found == [Attachment("during", n) for n in range(size)]


def test_many_logs_while_many_steps_run_at_once_are_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = [attempt(f"s{n}", 0, 100 + n) for n in range(100)]
    monkeypatch.setattr(Attacher, "_innermost", pytest.fail)
    times = (50, 120, 135)
    assert attached(attempts, *[("x", at) for at in times]) == [Attachment("run", None)] * len(times)
    monkeypatch.undo()
    # When all others have ended, it is of the last one.
    assert attached(attempts, ("x", 50), ("x", 199), ("x", 200)) == [
        Attachment("run", None),
        Attachment("during", 99),
        None,
    ]
