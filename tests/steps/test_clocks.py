"""When a step ends: by the clock on the wall, and by the monotonic one where they do not agree."""

import os
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, Final

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from failpath_otel import Run
from failpath_otel.testing import MockFailpath
from tests.clocks import Clocks
from tests.properties.tape import Tape
from tests.recording import Recording, recording_with
from tests.schema import moment
from tests.steps.forms import FORMS, Form

NANO: Final = 10**9
YEAR: Final = 365 * 86_400


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / NANO


@pytest.mark.parametrize("jump", [-3 * YEAR, 3 * YEAR, -2, 2], ids=["years back", "years on", "2 s back", "2 s on"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_step_during_which_the_clock_is_set_lasts_as_long_as_it_did(
    recording: Recording, run: Run, clocks: Clocks, form: Form, jump: float
) -> None:
    form(recording.failpath, run, "pack", lambda: clocks.pass_by(0.25, jump))
    assert seconds(recording.named("pack")) == 0.25


@pytest.mark.parametrize("jump", [-0.9, 0.9])
def test_clocks_that_differ_by_less_than_a_second_leave_the_end_to_the_one_on_the_wall(
    recording: Recording, run: Run, clocks: Clocks, jump: float
) -> None:
    run.step("pack", lambda: clocks.pass_by(5, jump))
    assert seconds(recording.only()) == 5 + jump


def test_a_step_never_ends_before_it_begins(recording: Recording, run: Run, clocks: Clocks) -> None:
    run.step("pack", lambda: clocks.pass_by(0.25, -0.9))
    assert seconds(recording.only()) == 0


def test_a_machine_that_is_suspended_in_a_step_does_not_make_it_longer(
    recording: Recording, run: Run, clocks: Clocks
) -> None:
    run.step("pack", lambda: clocks.pass_by(2, jump=3_600))
    assert seconds(recording.only()) == 2


def test_the_events_of_the_outcome_have_the_time_of_the_end(recording: Recording, run: Run, clocks: Clocks) -> None:
    def fail() -> None:
        clocks.pass_by(0.25, -3 * YEAR)
        raise PermissionError("declined")

    with pytest.raises(PermissionError):
        run.step("pack", fail)
    span = recording.only()
    times = {event.name: event.timestamp for event in span.events}
    assert times == {
        "failpath.step.running": span.start_time,
        "exception": span.end_time,
        "failpath.step.error": span.end_time,
    }
    assert seconds(span) == 0.25


def test_a_step_that_ends_with_a_future_long_after_its_call_lasts_until_then(
    recording: Recording, run: Run, clocks: Clocks
) -> None:
    future: Future[int] = run.step("pack", Future)
    clocks.pass_by(7, -3 * YEAR)
    future.set_result(1)
    assert seconds(recording.only()) == 7


@pytest.mark.forks("what a fork leaves in the child is what it shows")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_step_that_ends_in_a_forked_child_too_lasts_as_long_there(
    recording: Recording, run: Run, clocks: Clocks
) -> None:
    reading, writing = os.pipe()
    with run.step("pack"):
        child = os.fork()
        clocks.pass_by(3 if child else 4, -3 * YEAR)
    if not child:
        try:
            os.write(writing, str(seconds(recording.only())).encode())
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 100) == b"4.0"
    assert seconds(recording.only()) == 3
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["the host's span", "a private span"])
@pytest.mark.parametrize("ended_by_others", [False, True])
@pytest.mark.parametrize("jump", [-3 * YEAR, 3 * YEAR])
def test_the_record_of_the_end_agrees_with_its_span(
    clocks: Clocks, sampler: Sampler, jump: float, ended_by_others: bool
) -> None:
    tape = Tape(provider=TracerProvider(shutdown_on_exit=False, sampler=sampler))
    with tape.run("checkout").step("pack"):
        if ended_by_others:
            trace.get_current_span().end()
        clocks.pass_by(0.25, jump)
    running, success = tape.records()
    assert success.started_at == running.timestamp
    assert success.duration_ms == 250
    assert moment(success.timestamp) - moment(running.timestamp) == timedelta(seconds=0.25)


def test_spans_of_others_and_what_is_recorded_by_hand_keep_their_times(clocks: Clocks) -> None:
    with recording_with() as recording:
        tape = Tape(provider=recording.provider)
        tape.record_step(
            flow_key="checkout", run_id="1", step_key="ship", status="success", started_at=1_000, timestamp=2_000_000
        )
        identity: dict[str, Any] = {"failpath.flow.key": "checkout", "failpath.step.key": "other"}
        span = recording.tracer.start_span("other", attributes=identity, start_time=1_000 * NANO)
        clocks.pass_by(0.25, 3 * YEAR)
        span.end(2_000_000 * NANO)
        by_hand, _, of_others = tape.records()
        assert by_hand.duration_ms == of_others.duration_ms == 1_999_000_000


def test_a_step_reads_each_clock_once_at_its_start_and_once_at_its_end(run: Run, clocks: Clocks) -> None:
    run.step("pack", lambda: None)
    assert clocks.readings == {"wall": 2, "monotonic": 2}


@pytest.mark.parametrize("jump", [-100 * YEAR, 700 * YEAR], ids=["before 1970", "after 2554"])
def test_a_step_at_a_time_that_no_compact_record_can_hold_is_recorded_and_nothing_is_logged(
    clocks: Clocks, caplog: pytest.LogCaptureFixture, jump: int
) -> None:
    clocks.pass_by(0, jump)
    failpath = MockFailpath()
    failpath.run("flow", run_id="1").step("pack", lambda: None)
    assert [event.status for event in failpath.events] == ["running", "success"]
    assert not caplog.records
