"""What an ``error`` record tells of the exception, from spans of any tracer."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace.status import StatusCode

from failpath_otel import semconv
from failpath_otel.export.policy import Policy
from failpath_otel.export.record import Record, encode
from failpath_otel.export.translation import span_records
from tests.export.spans import END_NS, START_NS, a_span, event, lifecycle


def records(span: ReadableSpan, *, capture_stack: bool = False) -> list[Record]:
    return span_records(span, None, Policy(capture_stack=capture_stack))


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


def test_the_stack_is_sent_only_where_it_is_asked_for() -> None:
    span = an_error(exception__type="E", exception__message="m", exception__stacktrace="Traceback …")
    assert b"Traceback" not in encode(records(span)[-1])
    error = records(span, capture_stack=True)[-1].error
    assert error is not None
    assert error.stack == "Traceback …"


def test_an_exception_without_a_message_has_the_description_of_the_span_status() -> None:
    error = records(an_error(exception__type="E"))[-1].error
    assert error is not None
    assert (error.name, error.message) == ("E", "the description")


def test_an_error_without_any_exception_event_has_the_description_of_the_span_status() -> None:
    error = records(a_span(status=StatusCode.ERROR, description="went wrong"))[-1].error
    assert error is not None
    assert (error.name, error.message) == ("Error", "went wrong")


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
def test_an_http_answer_that_nothing_else_is_told_of_is_told_by_its_status(
    attributes: dict[str, Any], message: str
) -> None:
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
