"""The outcome of a span that states none: by its status, and by what an instrumentation of gRPC leaves on it."""

from typing import Any

import pytest
from opentelemetry.trace.status import StatusCode

from failpath_otel import semconv
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record
from failpath_otel.records.span_translation import span_records
from tests.spans.foreign import a_span, event, lifecycle

UNSET, OK, ERROR = StatusCode.UNSET, StatusCode.OK, StatusCode.ERROR
EXCEPTION = event(semconv.EXCEPTION_EVENT, exception__type="Declined", exception__message="no")
ABORT = event(semconv.EXCEPTION_EVENT, exception__type="Exception", exception__message="")
GRPC = {"rpc.system": "grpc", "rpc.grpc.status_code": 0}


def ended(attributes: dict[str, Any], **more: Any) -> Record:
    return span_records(a_span(attributes, **more), None, RecordContent())[-1]


def failure(attributes: dict[str, Any], **more: Any) -> tuple[str, str]:
    record = ended(attributes, **more)
    assert record.status == "error"
    assert record.error is not None
    return record.error.name, record.error.message


@pytest.mark.parametrize(
    "attributes",
    [
        {"rpc.system": "grpc"},
        {"rpc.system.name": "grpc"},
        {"rpc.grpc.status_code": 0},
        {"rpc.system.name": "grpc", "rpc.response.status_code": "OK"},
        GRPC,
    ],
    ids=str,
)
def test_a_grpc_span_with_an_exception_is_an_error_although_its_status_is_unset(attributes: dict[str, Any]) -> None:
    assert ended(attributes).status == "success"
    assert failure(attributes, events=[EXCEPTION]) == ("Declined", "no")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"rpc.grpc.status_code": 5}, "gRPC 5 NOT_FOUND"),
        ({"rpc.system": "grpc", "rpc.grpc.status_code": 16}, "gRPC 16 UNAUTHENTICATED"),
        ({"rpc.grpc.status_code": 99}, "gRPC 99"),
        ({"rpc.system.name": "grpc", "rpc.response.status_code": "NOT_FOUND"}, "gRPC NOT_FOUND"),
    ],
)
def test_a_grpc_status_other_than_ok_is_an_error_that_it_describes(attributes: dict[str, Any], message: str) -> None:
    assert failure(attributes) == ("Error", message)
    assert failure(attributes, events=[ABORT]) == ("Exception", message)


def test_the_details_of_an_abort_go_before_its_code() -> None:
    given = {"status": ERROR, "description": "StatusCode.INTERNAL:no shelf", "events": [ABORT]}
    assert failure({**GRPC, "rpc.grpc.status_code": 13}, **given) == ("Exception", "StatusCode.INTERNAL:no shelf")


def test_a_grpc_span_whose_status_says_ok_is_a_success_whatever_it_has_handled() -> None:
    assert ended({**GRPC, "rpc.grpc.status_code": 5}, events=[EXCEPTION], status=OK).status == "success"


def test_an_attempt_of_a_celery_task_that_asks_for_another_one_is_an_error_with_its_reason() -> None:
    attempt = {"celery.state": "RETRY", "celery.retry.reason": "Retry in 5s: TimeoutError()"}
    assert failure(attempt) == ("Error", "Retry in 5s: TimeoutError()")
    assert failure({"celery.state": "RETRY"}) == ("Error", "Retry")
    assert ended(attempt, status=OK).status == "success"
    assert ended({"celery.state": "SUCCESS"}).status == "success"


def test_a_workflow_of_temporal_with_an_exception_is_an_error_although_its_status_is_unset() -> None:
    workflow = {"temporalWorkflowID": "order-17"}
    assert failure(workflow, events=[EXCEPTION]) == ("Declined", "no")
    assert ended(workflow).status == "success"


def test_what_a_step_states_goes_before_its_grpc_status() -> None:
    stated = {**GRPC, "rpc.grpc.status_code": 5, semconv.STEP_STATUS: "success"}
    assert ended(stated, events=[*lifecycle("running"), EXCEPTION]).status == "success"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"rpc.system": "java_rmi"},
        {"rpc.system": 7},
        {"http.response.status_code": 500},
        {"rpc.system.name": "dubbo", "rpc.response.status_code": "NOT_FOUND"},
        {"rpc.response.status_code": "NOT_FOUND"},
    ],
    ids=str,
)
def test_an_exception_that_a_span_of_another_kind_has_recorded_is_no_outcome(attributes: dict[str, Any]) -> None:
    assert ended(attributes, events=[EXCEPTION]).status == "success"


@pytest.mark.parametrize("code", [True, "5", None, (5,), 5.0, {"a": 1}], ids=repr)
def test_a_grpc_code_that_is_no_number_is_ignored(code: object) -> None:
    assert ended({"rpc.grpc.status_code": code}).status == "success"


@pytest.mark.parametrize("code", [7, ("a",), None, {"a": 1}, ""], ids=repr)
def test_a_grpc_code_by_name_that_is_no_text_is_ignored(code: object) -> None:
    assert ended({"rpc.system.name": "grpc", "rpc.response.status_code": code}).status == "success"
