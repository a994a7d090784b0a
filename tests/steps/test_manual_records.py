"""Events recorded by hand: ``skip`` and ``record_step``."""

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from failpath_otel import Run
from tests.recording import (
    FLOW,
    RUN_ID,
    Recording,
    attributes,
    exception,
    identity,
    lifecycle,
    metadata,
    otel_status,
    outcome,
    parent_id,
    span_id,
)

NANO = 10**9


def record(recording: Recording, **given: Any) -> None:
    recording.failpath.record_step(
        **{"flow_key": FLOW, "run_id": RUN_ID, "step_key": "ship", "status": "success", **given}
    )


def test_a_skip_is_one_skipped_event_and_neither_good_nor_bad(run: Run, recording: Recording) -> None:
    run.skip("send-receipt")

    span = recording.only()
    assert (identity(span), span.name) == ((FLOW, RUN_ID, "send-receipt"), "send-receipt")
    assert (lifecycle(span), outcome(span), otel_status(span)) == (["skipped"], "skipped", "UNSET")


def test_a_skip_states_itself_when_its_span_starts(run: Run, recording: Recording) -> None:
    run.skip("send-receipt")

    assert recording.start.attributes[0]["failpath.step.status"] == "skipped"


def test_a_skip_carries_the_metadata_of_its_run_and_its_own(recording: Recording) -> None:
    recording.run(metadata={"a": 1, "b": 1}).skip("pack", metadata={"b": 2})

    assert metadata(recording.only()) == {"a": 1, "b": 2}


def test_a_skip_in_a_step_is_its_child(run: Run, recording: Recording) -> None:
    with run.step("outer"):
        run.skip("inner")

    assert parent_id(recording.named("inner")) == span_id(recording.named("outer"))


@pytest.mark.parametrize(
    ("status", "expected"), [("running", "UNSET"), ("success", "OK"), ("error", "ERROR"), ("skipped", "UNSET")]
)
def test_any_of_the_four_statuses_is_one_event_stated_from_the_start(
    recording: Recording, status: str, expected: str
) -> None:
    record(recording, status=status)

    span = recording.only()
    assert identity(span) == (FLOW, RUN_ID, "ship")
    assert (lifecycle(span), outcome(span), otel_status(span)) == ([status], status, expected)
    assert recording.start.attributes[0]["failpath.step.status"] == status


def test_all_arguments_together_stand_on_the_span(recording: Recording) -> None:
    record(
        recording,
        run_id=42,
        status="error",
        metadata={"carrier": "x", "sizes": [1, 2], "box": {"w": 1}},
        error=ValueError("lost"),
        started_at=1_700_000_000,
        timestamp=1_700_000_002.5,
    )

    span = recording.only()
    assert identity(span) == (FLOW, "42", "ship")
    assert metadata(span) == {"carrier": "x", "sizes": [1, 2], "box": {"w": 1}}
    assert (span.start_time, span.end_time) == (1_700_000_000 * NANO, 1_700_000_002 * NANO + NANO // 2)
    assert (exception(span)["exception.type"], exception(span)["exception.message"]) == ("ValueError", "lost")
    assert dict(span.attributes or {})["error.type"] == "ValueError"
    assert (span.status.description, outcome(span)) == ("ValueError: lost", "error")
    assert {event.timestamp for event in span.events} == {span.end_time}


@pytest.mark.parametrize("run_id", [None, ""], ids=["None", "empty"])
def test_a_missing_run_id_is_generated(recording: Recording, run_id: str | None) -> None:
    record(recording, run_id=run_id)

    assert identity(recording.only())[1]


def test_a_running_that_began_earlier_carries_the_time_of_its_beginning(recording: Recording) -> None:
    record(recording, status="running", started_at=1_700_000_000, timestamp=1_700_000_005)

    assert [event.timestamp for event in recording.only().events] == [1_700_000_000 * NANO]


def test_without_times_an_event_happens_now_and_takes_none(recording: Recording) -> None:
    record(recording)

    span = recording.only()
    assert span.start_time == span.end_time


def test_a_start_that_is_still_to_come_is_no_mistake(recording: Recording) -> None:
    record(recording, started_at=4_000_000_000)

    span = recording.only()
    assert span.start_time == span.end_time == 4_000_000_000 * NANO


WHEN = datetime(2024, 5, 6, 7, 8, 9, 123_457, tzinfo=timezone.utc)
WHEN_NS = 1_714_979_289_123_457_000


@pytest.mark.parametrize(
    "given",
    [WHEN, WHEN.astimezone(timezone(timedelta(hours=5, minutes=30))), WHEN.astimezone().replace(tzinfo=None)],
    ids=["utc", "zone", "naive"],
)
def test_a_datetime_is_exact_to_the_microsecond_and_local_when_naive(recording: Recording, given: datetime) -> None:
    record(recording, timestamp=given)

    assert recording.only().end_time == WHEN_NS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("lost", ("Error", "lost")),
        (KeyError("x"), ("KeyError", "'x'")),
        ({"name": "Lost", "message": "at sea", "stack": "line 1"}, ("Lost", "at sea")),
        ({"message": "at sea"}, ("Error", "at sea")),
        ({}, ("Error", "")),
    ],
    ids=["text", "exception", "mapping", "part of one", "empty"],
)
def test_an_error_is_an_exception_or_a_text_or_a_mapping(
    recording: Recording, error: Any, expected: tuple[str, str]
) -> None:
    record(recording, status="error", error=error)

    found = exception(recording.only())
    assert (found["exception.type"], found["exception.message"]) == expected
    stack = error.get("stack") if isinstance(error, dict) else None
    if stack:
        assert found["exception.stacktrace"] == stack


def refused(recording: Recording, kind: type[Exception], match: str, **given: Any) -> None:
    with pytest.raises(kind, match=match):
        record(recording, **given)
    assert recording.started() == []


def test_a_timestamp_before_the_start_is_refused(recording: Recording) -> None:
    refused(recording, ValueError, "timestamp must not lie before started_at, got 1 and 2", started_at=2, timestamp=1)


@pytest.mark.parametrize("argument", ["started_at", "timestamp"])
@pytest.mark.parametrize("given", ["2024-01-01", True, [1], object()], ids=["text", "bool", "list", "object"])
def test_a_time_of_another_type_is_refused(recording: Recording, argument: str, given: object) -> None:
    refused(recording, TypeError, f"{argument} must be a datetime or seconds since the epoch", **{argument: given})


@pytest.mark.parametrize("argument", ["started_at", "timestamp"])
@pytest.mark.parametrize(
    "given",
    [-1, math.nan, math.inf, 1e12, 10**400, datetime(1, 1, 1)],  # noqa: DTZ001 - naive on purpose
    ids=["negative", "nan", "infinity", "far", "beyond a float", "year 1"],
)
def test_a_time_out_of_range_is_refused(recording: Recording, argument: str, given: object) -> None:
    refused(recording, ValueError, f"{argument} must be a time between", **{argument: given})


@pytest.mark.parametrize("status", ["running", "success", "skipped"])
def test_an_error_with_another_status_is_refused(recording: Recording, status: str) -> None:
    refused(recording, ValueError, f"status 'error' only, got status '{status}'", status=status, error="no")


def test_the_error_of_a_mapping_that_raises_is_still_an_error(recording: Recording) -> None:
    class Bad(dict[str, object]):
        def get(self, *_: object) -> Any:
            raise RuntimeError("no")

    record(recording, status="error", error=Bad(message="lost"))

    assert outcome(recording.only()) == "error"


def test_a_long_error_given_by_hand_is_capped(recording: Recording) -> None:
    record(recording, status="error", error={"name": "n" * 10**5, "message": "m" * 10**5, "stack": "s" * 10**5})

    assert sum(len(text) for text in exception(recording.only()).values()) < 25_000
    assert attributes(recording.only())["failpath.step.status"] == "error"
