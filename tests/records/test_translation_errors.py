"""What an ``error`` record says of the exception, from spans of any tracer."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.trace.status import StatusCode

from failpath_otel import semconv
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record
from failpath_otel.records.span_translation import span_records
from tests.recording import recording_with
from tests.spans.foreign import END_NS, IDENTITY, START_NS, a_span, event, lifecycle


def records(span: ReadableSpan, *, capture_stack: bool = False) -> list[Record]:
    return span_records(span, None, RecordContent(capture_stack=capture_stack))


def an_error(**attributes: Any) -> ReadableSpan:
    return a_span(
        events=[
            *lifecycle("running"),
            event(semconv.EXCEPTION_EVENT, **attributes),
            *lifecycle("running", "error")[1:],
        ],
        status=StatusCode.ERROR,
        description="the description",
    )


def test_the_exception_event_gives_name_and_message() -> None:
    error = records(an_error(exception__type="PaymentError", exception__message="declined"))[-1].error
    assert error is not None
    assert (error.name, error.message, error.stack) == ("PaymentError", "declined", None)


def test_an_exception_without_a_message_has_the_description_of_the_span_status() -> None:
    error = records(an_error(exception__type="E"))[-1].error
    assert error is not None
    assert (error.name, error.message) == ("E", "the description")


def test_an_error_without_any_exception_event_has_the_description_of_the_span_status() -> None:
    error = records(a_span(status=StatusCode.ERROR, description="went wrong"))[-1].error
    assert error is not None
    assert (error.name, error.message) == ("Error", "went wrong")


@pytest.mark.parametrize(
    ("error_type", "description", "expected"),
    [
        ("PaymentError", "card declined", ("PaymentError", "card declined")),
        ("PaymentError", None, ("PaymentError", "PaymentError")),
        ("timeout", "", ("timeout", "timeout")),
        ("_OTHER", "card declined", ("Error", "card declined")),
        ("_OTHER", None, ("Error", "")),
        ("", "card declined", ("Error", "card declined")),
        (7, None, ("7", "7")),
        ("token=geheim123", None, ("token=[redacted]", "token=[redacted]")),
    ],
)
def test_an_error_without_any_exception_event_has_the_name_of_error_type(
    error_type: object, description: str | None, expected: tuple[str, str]
) -> None:
    span = a_span({"error.type": error_type}, status=StatusCode.ERROR, description=description)
    error = records(span)[-1].error
    assert error is not None
    assert (error.name, error.message) == expected


def test_the_type_of_the_last_exception_event_goes_before_error_type() -> None:
    span = a_span(
        {"error.type": "500"},
        events=[event(semconv.EXCEPTION_EVENT, exception__type="Final", exception__message="")],
        status=StatusCode.ERROR,
        description="the description",
    )
    error = records(span)[-1].error
    assert error is not None
    assert (error.name, error.message) == ("Final", "")


def test_an_exception_event_without_a_type_leaves_the_name_to_error_type() -> None:
    span = a_span(
        {"error.type": "PaymentError"},
        events=[event(semconv.EXCEPTION_EVENT, exception__message="declined")],
        status=StatusCode.ERROR,
    )
    error = records(span)[-1].error
    assert error is not None
    assert (error.name, error.message) == ("PaymentError", "declined")


def test_an_error_without_a_recorded_exception_has_the_name_and_message_of_the_instrumentation() -> None:
    with recording_with() as recording:
        tracer = recording.provider.get_tracer("dbos")
        with (
            pytest.raises(ValueError, match="declined"),
            tracer.start_as_current_span("step", attributes=IDENTITY, record_exception=False) as span,
        ):
            try:
                raise ValueError("card declined")
            except ValueError as declined:
                span.set_attribute("error.type", type(declined).__qualname__)
                raise
        error = records(recording.only())[-1].error
    assert error is not None
    assert (error.name, error.message) == ("ValueError", "ValueError: card declined")


def test_a_step_of_ours_whose_events_were_pushed_out_keeps_its_name_and_message() -> None:
    with recording_with(SpanLimits(max_events=0)) as recording:
        with pytest.raises(ValueError, match="declined"), recording.run().step("pack"):
            raise ValueError("card declined")
        span = recording.only()
    assert not span.events
    error = records(span)[-1].error
    assert error is not None
    assert (error.name, error.message) == ("ValueError", "ValueError: card declined")


def test_an_http_answer_that_error_type_names_has_its_status_as_message() -> None:
    span = a_span({"http.response.status_code": 402, "error.type": "402"}, status=StatusCode.ERROR)
    error = records(span)[-1].error
    assert error is not None
    assert (error.name, error.message) == ("402", "HTTP 402")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"http.response.status_code": 402}, "HTTP 402"),
        ({"http.status_code": 500}, "HTTP 500"),
        ({"http.response.status_code": 503, "http.status_code": 500}, "HTTP 503"),
        ({"http.status_code": "402 or what a stranger writes"}, ""),
        ({}, ""),
    ],
)
def test_an_error_with_an_http_status_alone_has_it_as_message(attributes: dict[str, Any], message: str) -> None:
    error = records(a_span(attributes, status=StatusCode.ERROR))[-1].error
    assert error is not None
    assert (error.name, error.message) == ("Error", message)


def test_of_several_exception_events_the_last_one_ended_the_step() -> None:
    handled = event(semconv.EXCEPTION_EVENT, START_NS, exception__type="Handled", exception__message="retried")
    final = event(semconv.EXCEPTION_EVENT, END_NS, exception__type="Final", exception__message="gave up")
    error = records(a_span(events=[handled, final], status=StatusCode.ERROR))[-1].error
    assert error is not None
    assert error.name == "Final"


def test_an_exception_that_was_handled_is_no_error_of_a_step_that_succeeded() -> None:
    handled = event(semconv.EXCEPTION_EVENT, exception__type="Handled", exception__message="retried")
    ended = records(a_span(events=[handled], status=StatusCode.OK))[-1]
    assert (ended.status, ended.error) == ("success", None)
