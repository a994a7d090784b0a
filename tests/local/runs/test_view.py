"""The view of a run follows from its events alone."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel.local.runs.view import RunView, StepView, build_run_view
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status
from tests.local.events import at, event


def _only(run: RunView) -> StepView:
    (step,) = run.steps
    return step


def _statuses(run: RunView) -> list[tuple[str, int, str]]:
    return [(step.step_key, step.attempt, step.status) for step in run.steps]


def test_a_running_record_alone_is_a_running_step_of_a_running_run() -> None:
    run = build_run_view([event("running", 1)])
    step = _only(run)
    assert (run.status, run.started_at, run.ended_at, run.duration_ms) == ("running", at(1), None, None)
    assert (step.status, step.started_at, step.ended_at, step.duration_ms) == ("running", at(1), None, None)


def test_the_outcome_of_the_same_span_closes_the_attempt_with_the_duration_it_measured() -> None:
    run = build_run_view([event("running", 1), event("success", 3, started=1, duration_ms=1999.5)])
    step = _only(run)
    assert (step.status, step.started_at, step.ended_at, step.duration_ms) == ("success", at(1), at(3), 1999.5)
    assert (run.status, run.started_at, run.ended_at, run.duration_ms) == ("success", at(1), at(3), 2000.0)


def test_without_a_measured_duration_it_is_the_time_between_the_two_records() -> None:
    assert _only(build_run_view([event("running", 1), event("success", 1.25)])).duration_ms == 250.0


def test_an_outcome_that_knows_its_start_is_an_attempt_without_its_running_record() -> None:
    step = _only(build_run_view([event("success", 3, started=1)]))
    assert (step.status, step.started_at, step.ended_at, step.duration_ms) == ("success", at(1), at(3), 2000.0)


def test_a_skip_is_an_attempt_without_a_start() -> None:
    run = build_run_view([event("skipped", 2)])
    step = _only(run)
    assert (step.status, step.started_at, step.ended_at, step.duration_ms) == ("skipped", None, at(2), None)
    assert (run.status, run.started_at, run.ended_at, run.duration_ms) == ("skipped", at(2), at(2), 0.0)


def test_each_span_is_an_attempt_and_attempts_are_counted_by_their_start() -> None:
    run = build_run_view(
        [
            event("running", 5, span="b"),
            event("error", 2, span="a", started=1),
            event("success", 6, span="b", started=5),
            event("skipped", 4, step="mail", span="c"),
        ]
    )
    assert _statuses(run) == [("pay", 1, "error"), ("pay", 2, "success"), ("mail", 1, "skipped")]
    assert [step.span_id for step in run.steps] == ["a", "b", "c"]


def test_a_record_by_hand_closes_the_newest_open_attempt_that_started_before_it() -> None:
    run = build_run_view(
        [
            event("running", 1, span="a"),
            event("running", 2, span="b"),
            event("running", 9, span="c"),
            event("success", 4.5, span="by-hand", duration_ms=1),
        ]
    )
    assert _statuses(run) == [("pay", 1, "running"), ("pay", 2, "success"), ("pay", 3, "running")]
    assert (run.steps[1].span_id, run.steps[1].ended_at, run.steps[1].duration_ms) == ("b", at(4.5), 2500.0)


def test_a_record_by_hand_at_the_very_start_of_an_attempt_closes_it() -> None:
    assert _only(build_run_view([event("running", 1), event("success", 1, span="by-hand")])).duration_ms == 0.0


def test_several_records_by_hand_close_the_open_attempts_from_the_newest_to_the_oldest() -> None:
    run = build_run_view(
        [
            event("running", 1, span="a"),
            event("running", 2, span="b"),
            event("error", 3, span="first"),
            event("success", 4, span="second"),
            event("skipped", 5, span="third"),
        ]
    )
    assert _statuses(run) == [("pay", 1, "success"), ("pay", 2, "error"), ("pay", 3, "skipped")]
    assert [step.span_id for step in run.steps] == ["a", "b", "third"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([event("running", 5)], id="one that starts later"),
        pytest.param([event("running", 1), event("success", 9, started=1)], id="one that has its own outcome"),
        pytest.param([event("running", 1, step="ship")], id="one of another step"),
    ],
)
def test_a_record_by_hand_without_an_open_attempt_is_an_attempt_by_itself(other: list[Record]) -> None:
    run = build_run_view([*other, event("success", 4, span="by-hand")])
    alone = [step for step in run.steps if step.span_id == "by-hand"]
    assert [(step.status, step.started_at, step.ended_at) for step in alone] == [("success", None, at(4))]
    assert len(run.steps) == 2


def test_an_outcome_by_hand_with_a_start_closes_the_newest_open_attempt_too() -> None:
    run = build_run_view([event("running", 1, span="a"), event("success", 4, span="b", started=2, duration_ms=2000)])
    step = _only(run)
    assert (step.span_id, step.status, run.status) == ("a", "success", "success")
    assert (step.started_at, step.ended_at, step.duration_ms) == (at(1), at(4), 3000.0)


def test_of_two_starts_of_an_attempt_the_earlier_one_counts() -> None:
    step = _only(build_run_view([event("running", 2, span="a"), event("success", 4, span="b", started=1)]))
    assert (step.started_at, step.duration_ms) == (at(1), 3000.0)


def test_an_outcome_that_has_a_running_of_its_own_never_closes_the_attempt_of_another_span() -> None:
    own = [event("running", 2, span="b"), event("success", 4, span="b", started=2)]
    run = build_run_view([event("running", 1, span="a"), *own])
    assert _statuses(run) == [("pay", 1, "running"), ("pay", 2, "success")]


def test_a_running_record_that_is_late_or_repeated_does_not_reopen_the_attempt() -> None:
    running, success = event("running", 1), event("success", 2, started=1)
    assert build_run_view([success, running, running]) == build_run_view([running, success])
    assert _only(build_run_view([success, event("running", 8)])).status == "success"


def test_of_two_outcomes_of_one_span_an_error_counts() -> None:
    records = [event("running", 1), event("error", 2, started=1, seen="error"), event("success", 3, seen="success")]
    step = _only(build_run_view(records))
    assert (step.status, step.ended_at, step.metadata) == ("error", at(2), {"seen": "error"})
    later = build_run_view([event("success", 2, started=1), event("error", 3, started=1)])
    assert _only(later).status == "error"


def test_a_clock_that_was_set_back_gives_no_negative_duration() -> None:
    for outcome in (event("success", 2), event("success", 2, started=5, duration_ms=-3000.0)):
        run = build_run_view([event("running", 5), outcome])
        assert (_only(run).status, _only(run).duration_ms, run.duration_ms) == ("success", 0.0, 0.0)


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (("success", "running", "error"), "running"),
        (("success", "error", "skipped"), "error"),
        (("success", "skipped"), "success"),
        (("skipped", "skipped"), "skipped"),
    ],
)
def test_a_run_is_judged_by_the_newest_attempt_of_each_step(newest: tuple[Status, ...], expected: str) -> None:
    records = [event(status, 5, step=f"s{number}", span=f"n{number}") for number, status in enumerate(newest)]
    earlier = [event("error", 2, step=f"s{number}", span=f"o{number}", started=1) for number in range(len(newest))]
    run = build_run_view([*earlier, *records])
    assert run.status == expected
    assert run.ended_at == (None if expected == "running" else at(5))


def test_a_run_lasts_from_its_earliest_start_to_its_latest_outcome() -> None:
    run = build_run_view([event("success", 4, started=3), event("success", 9.5, step="ship", span="b", started=2)])
    assert (run.started_at, run.ended_at, run.duration_ms) == (at(2), at(9.5), 7500.0)


def test_steps_come_in_the_order_of_their_first_attempt() -> None:
    run = build_run_view(
        [
            event("success", 9, step="a", span="1", started=3),
            event("skipped", 2, step="b", span="2"),
            event("running", 1, step="c", span="3"),
            event("running", 7, step="c", span="4"),
        ]
    )
    assert [step.step_key for step in run.steps] == ["c", "c", "b", "a"]


def test_the_outcomes_metadata_wins_over_that_of_the_running_record() -> None:
    step = _only(build_run_view([event("success", 2, started=1, b=2, c=2), event("running", 1, a=1, b=1)]))
    assert step.metadata == {"a": 1, "b": 2, "c": 2}


def test_an_attempt_carries_its_error_and_its_own_process_and_trace() -> None:
    own = msgspec.structs.replace(event("running", 1), process=ProcessInfo(7, "host"), trace_id="own")
    by_hand = msgspec.structs.replace(
        event("error", 2, span="by-hand", error=ErrorInfo("Declined", "no money")), process=ProcessInfo(8, "other")
    )
    step = _only(build_run_view([own, by_hand]))
    assert (step.error, step.process, step.trace_id) == (ErrorInfo("Declined", "no money"), own.process, "own")


def test_times_with_an_offset_count_as_what_they_mean() -> None:
    late = msgspec.structs.replace(event("running", 0), timestamp="2023-11-15T00:13:21+02:00")
    assert _only(build_run_view([late, event("success", 2)])).duration_ms == 1000.0


def test_no_events_and_events_of_two_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        build_run_view([])
    with pytest.raises(ValueError, match="one run"):
        build_run_view([event("running", 1), event("running", 1, run="run-2")])


def test_many_attempts_and_records_by_hand_take_no_more_than_a_moment() -> None:
    """Pairing is not quadratic: 20,000 records by hand meet 20,000 open attempts."""
    records = [event("running", number, span=f"s{number}") for number in range(20_000)]
    records += [event("success", 30_000 + number, span=f"m{number}") for number in range(20_000)]
    run = build_run_view(records)
    assert {step.status for step in run.steps} == {"success"}
    assert len(run.steps) == 20_000


_seconds = st.integers(0, 6)


@st.composite
def _records(draw: st.DrawFn) -> Record:
    """Few steps, spans and times, so that records meet often."""
    metadata: dict[str, Any] = draw(st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=2))
    return event(
        draw(st.sampled_from(("running", "success", "error", "skipped"))),
        draw(_seconds),
        step=draw(st.sampled_from(("pay", "ship"))),
        span=draw(st.sampled_from("abcde")),
        started=draw(st.none() | _seconds),
        duration_ms=draw(st.none() | st.floats(-5, 5000)),
        **metadata,
    )


_runs = st.lists(_records(), min_size=1, max_size=14)


@given(records=_runs, data=st.data())
def test_any_order_and_any_repetition_of_the_events_gives_the_identical_view(
    records: list[Record], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(records), max_size=10))
    arrived = data.draw(st.permutations(records + repeated))
    assert msgspec.json.encode(build_run_view(arrived)) == msgspec.json.encode(build_run_view(records))


@given(records=_runs)
def test_whatever_arrives_every_span_is_shown_once_or_closes_another_and_nothing_is_negative(
    records: list[Record],
) -> None:
    run = build_run_view(records)
    for step_key in {record.step_key for record in records}:
        shown = [step for step in run.steps if step.step_key == step_key]
        spans = {record.span_id for record in records if record.step_key == step_key}
        assert [step.attempt for step in shown] == list(range(1, len(shown) + 1))
        assert len({step.span_id for step in shown}) == len(shown)
        assert {step.span_id for step in shown} <= spans
        opened = {r.span_id for r in records if r.step_key == step_key and r.status == "running"}
        assert opened <= {step.span_id for step in shown}
    assert all(step.duration_ms is None or step.duration_ms >= 0 for step in run.steps)
    assert all((step.status == "running") == (step.ended_at is None) for step in run.steps)
    assert (run.status == "running") == (run.ended_at is None)


@given(records=_runs, seed=st.integers())
def test_the_status_of_an_attempt_that_ended_by_itself_never_goes_back(records: list[Record], seed: int) -> None:
    """Event after event arrives; what once was success or error is never running again."""
    random.Random(seed).shuffle(records)
    rank = {"running": 0, "skipped": 1, "success": 2, "error": 3}
    ends = {(r.step_key, r.span_id) for r in records if r.status != "running" and r.started_at is not None}
    reached: dict[tuple[str, str], int] = {}
    for count in range(1, len(records) + 1):
        for step in build_run_view(records[:count]).steps:
            key = (step.step_key, step.span_id)
            terminal = [r for r in records[:count] if (r.step_key, r.span_id) == key and r.status != "running"]
            if key not in ends or not any(r.started_at for r in terminal):
                continue
            assert rank[step.status] >= reached.get(key, 0)
            reached[key] = rank[step.status]
