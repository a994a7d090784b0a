"""The application sees exactly what it would have seen without a step."""

import asyncio
import traceback
from contextvars import ContextVar

import pytest
from opentelemetry import trace

from failpath_otel import Run
from tests.recording import FLOW, RUN_ID, Recording, current_name, identity, lifecycle, otel_status, outcome
from tests.steps.forms import FORMS, IN_TASK_FORMS, SYNC_FORMS, Form


def parametrised(forms: dict[str, Form]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("form", forms.values(), ids=forms.keys())


every_form = parametrised(FORMS)


@every_form
def test_the_function_runs_exactly_once_and_after_its_step_was_announced(recording: Recording, form: Form) -> None:
    seen: list[bool] = []

    form(recording.failpath, recording.run(), "pack", lambda: seen.append("pack" in recording.started()))

    assert seen == [True]
    assert recording.started().count("pack") == 1


@every_form
def test_the_running_event_stands_on_the_span_before_the_function_runs(recording: Recording, form: Form) -> None:
    def events() -> list[str]:
        [span] = [span for span in recording.start.spans if span.name == "pack"]
        return lifecycle(span)

    assert form(recording.failpath, recording.run(), "pack", events) == ["running"]


@every_form
def test_the_step_is_identified_when_its_span_starts(recording: Recording, form: Form) -> None:
    form(recording.failpath, recording.run(), "pack", lambda: None)

    [started] = [found for found in recording.start.attributes if "failpath.step.key" in found]
    assert started == {"failpath.flow.key": FLOW, "failpath.run.id": RUN_ID, "failpath.step.key": "pack"}


@every_form
def test_a_step_that_returns_is_a_success_and_hands_on_the_very_object(recording: Recording, form: Form) -> None:
    value = object()

    assert form(recording.failpath, recording.run(), "pack", lambda: value) is value

    span = recording.named("pack")
    assert (outcome(span), lifecycle(span), otel_status(span)) == ("success", ["running", "success"], "OK")
    assert identity(span) == (FLOW, RUN_ID, "pack")


@every_form
def test_the_running_event_carries_the_start_and_the_outcome_the_end_of_the_span(
    recording: Recording, form: Form
) -> None:
    form(recording.failpath, recording.run(), "pack", lambda: None)

    span = recording.named("pack")
    assert [event.timestamp for event in span.events] == [span.start_time, span.end_time]


@every_form
def test_a_step_that_raises_is_an_error_and_hands_on_the_very_exception(recording: Recording, form: Form) -> None:
    error = ValueError("card declined")

    def body() -> None:
        raise error

    with pytest.raises(ValueError, match="card declined") as caught:
        form(recording.failpath, recording.run(), "pack", body)

    assert caught.value is error
    span = recording.named("pack")
    assert (outcome(span), lifecycle(span), otel_status(span)) == ("error", ["running", "error"], "ERROR")
    assert span.status.description == "ValueError: card declined"


@every_form
def test_a_step_adds_no_context_cause_or_note_to_an_exception(recording: Recording, form: Form) -> None:
    error = ValueError("card declined")

    def body() -> None:
        raise error

    with pytest.raises(ValueError, match="card declined"):
        form(recording.failpath, recording.run(), "pack", body)

    assert error.__context__ is None
    assert error.__cause__ is None
    assert not error.__suppress_context__
    assert not hasattr(error, "__notes__")
    assert error.args == ("card declined",)


@every_form
def test_a_context_and_a_cause_of_the_users_own_stay_what_they_are(recording: Recording, form: Form) -> None:
    context, cause, error = KeyError("context"), OSError("cause"), ValueError("card declined")

    def body() -> None:
        try:
            raise context
        except KeyError:
            raise error from cause

    with pytest.raises(ValueError, match="card declined"):
        form(recording.failpath, recording.run(), "pack", body)

    assert error.__context__ is context
    assert error.__cause__ is cause
    assert context.__context__ is None
    assert cause.__context__ is None


@every_form
def test_the_innermost_frame_of_the_traceback_is_the_users(recording: Recording, form: Form) -> None:
    def body() -> None:
        raise ValueError("card declined")

    with pytest.raises(ValueError, match="card declined") as caught:
        form(recording.failpath, recording.run(), "pack", body)

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert frames[-1].f_code is body.__code__
    assert sum(frame.f_code is body.__code__ for frame in frames) == 1


@parametrised(SYNC_FORMS)
def test_a_context_variable_that_the_function_sets_stays_set(recording: Recording, form: Form) -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)
    # A run's own block is no part of what is looked at here, and restores nothing but OpenTelemetry's context.
    form(recording.failpath, recording.run(), "pack", lambda: variable.set(1))

    assert variable.get() == 1


def test_a_coroutine_of_a_step_shares_the_context_of_the_code_that_awaits_it(run: Run) -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)

    async def work() -> None:
        await asyncio.sleep(0)
        variable.set(1)

    async def main() -> int:
        await run.step("pack", work)
        return variable.get()

    assert asyncio.run(main()) == 1


@every_form
def test_the_span_that_was_current_before_is_current_again_afterwards(recording: Recording, form: Form) -> None:
    with recording.tracer.start_as_current_span("application") as around:
        form(recording.failpath, recording.run(), "pack", lambda: None)

        assert trace.get_current_span() is around


@every_form
def test_the_span_that_was_current_before_is_current_again_after_an_error(recording: Recording, form: Form) -> None:
    def body() -> None:
        raise ValueError("card declined")

    with recording.tracer.start_as_current_span("application") as around:
        with pytest.raises(ValueError, match="card declined"):
            form(recording.failpath, recording.run(), "pack", body)

        assert trace.get_current_span() is around


@parametrised({**SYNC_FORMS, **IN_TASK_FORMS})
def test_the_span_of_the_step_is_the_current_one_in_the_function(recording: Recording, form: Form) -> None:
    assert form(recording.failpath, recording.run(), "pack", current_name) == "pack"
