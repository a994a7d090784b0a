"""A host's span limits, and applications that fill a span: the step keeps its identity and its outcome."""

import logging

import pytest
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import get_current_span

from failpath_otel import Run
from tests.recording import FLOW, RUN_ID, Recording, identity, lifecycle, otel_status, outcome, recording_with
from tests.steps.forms import IN_TASK_FORMS, SYNC_FORMS, Form

IDENTITY = (FLOW, RUN_ID, "pack")
every_form = pytest.mark.parametrize(
    "form", {**SYNC_FORMS, **IN_TASK_FORMS}.values(), ids={**SYNC_FORMS, **IN_TASK_FORMS}.keys()
)


def add_attributes() -> None:
    for number in range(200):
        get_current_span().set_attribute(f"user.{number}", number)


def add_events() -> None:
    for number in range(200):
        get_current_span().add_event(f"user.{number}")


def fail_after_filling() -> None:
    add_attributes()
    add_events()
    raise ValueError("no")


@every_form
def test_a_user_who_adds_200_attributes_leaves_the_step_what_it_is(recording: Recording, form: Form) -> None:
    form(recording.failpath, recording.run(), "pack", add_attributes)

    span = recording.named("pack")
    assert (identity(span), outcome(span), lifecycle(span)) == (IDENTITY, "success", ["running", "success"])


@every_form
def test_a_user_who_adds_200_events_leaves_the_step_its_outcome(recording: Recording, form: Form) -> None:
    form(recording.failpath, recording.run(), "pack", add_events)

    span = recording.named("pack")
    assert (identity(span), outcome(span), span.events[-1].name) == (IDENTITY, "success", "failpath.step.success")


@every_form
def test_a_filled_span_still_shows_its_error(recording: Recording, form: Form) -> None:
    with pytest.raises(ValueError, match="no"):
        form(recording.failpath, recording.run(), "pack", fail_after_filling)

    span = recording.named("pack")
    assert (identity(span), outcome(span), otel_status(span)) == (IDENTITY, "error", "ERROR")
    assert [event.name for event in span.events][-2:] == ["exception", "failpath.step.error"]


def test_metadata_that_was_set_late_outlives_200_attributes(run: Run, recording: Recording) -> None:
    with run.step("pack") as step:
        step.set_metadata(kept=1)
        add_attributes()

    assert dict(recording.only().attributes or {})["failpath.metadata.kept"] == 1


@pytest.mark.parametrize(
    ("limits", "by_environment"),
    [
        (SpanLimits(max_span_attributes=8, max_events=2), {}),
        (None, {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "8", "OTEL_SPAN_EVENT_COUNT_LIMIT": "2"}),
        (None, {"OTEL_ATTRIBUTE_COUNT_LIMIT": "8"}),
    ],
    ids=["explicit", "by the environment of spans", "by the environment of all"],
)
def test_small_counts_leave_identity_and_outcome(
    monkeypatch: pytest.MonkeyPatch, limits: SpanLimits | None, by_environment: dict[str, str]
) -> None:
    for name, value in by_environment.items():
        monkeypatch.setenv(name, value)
    with recording_with(limits) as recording:
        with pytest.raises(ValueError, match="no"):
            recording.run().step("pack", fail_after_filling)

        span = recording.only()
        assert (identity(span), outcome(span), span.events[-1].name) == (IDENTITY, "error", "failpath.step.error")


@pytest.mark.parametrize(
    ("limits", "by_environment"),
    [
        (SpanLimits(max_attribute_length=3), {}),
        (SpanLimits(max_span_attribute_length=3), {}),
        (None, {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3"}),
        (None, {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3"}),
    ],
    ids=["explicit", "explicit for spans", "by environment", "by environment for spans"],
)
def test_a_value_length_limit_cuts_values_and_neither_names_nor_events_nor_the_span_status(
    monkeypatch: pytest.MonkeyPatch, limits: SpanLimits | None, by_environment: dict[str, str]
) -> None:
    for name, value in by_environment.items():
        monkeypatch.setenv(name, value)
    with recording_with(limits) as recording:
        run = recording.run()
        run.step("pack", lambda: None)
        run.skip("wrap")
        with pytest.raises(ValueError, match="no"):
            run.step("send", fail_after_filling)

        assert identity(recording.named("pack")) == ("che", "req", "pac")
        assert (lifecycle(recording.named("pack")), otel_status(recording.named("pack"))) == (
            ["running", "success"],
            "OK",
        )
        assert lifecycle(recording.named("wrap")) == ["skipped"]
        assert (lifecycle(recording.named("send")), otel_status(recording.named("send"))) == (["error"], "ERROR")


def test_limits_of_nothing_at_all_reach_neither_the_function_nor_the_log(caplog: pytest.LogCaptureFixture) -> None:
    nothing = SpanLimits(max_span_attributes=0, max_events=0)
    with recording_with(nothing) as recording, caplog.at_level(logging.ERROR):
        run = recording.run(metadata={"a": 1})
        assert run.step("pack", lambda: 5) == 5
        with pytest.raises(ValueError, match="no"):
            run.step("send", fail_after_filling)

        assert [(span.name, otel_status(span)) for span in recording.ended()] == [("pack", "OK"), ("send", "ERROR")]
    assert caplog.records == []
