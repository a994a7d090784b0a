"""Spans at the local receiver: as at the gateway, and straight into the store."""

import gzip
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from tests.gateway.requests import JSON, PROTOBUF, attribute, body_of, json_request, json_span
from tests.receiver import Answer, Receiver, start_receiver
from tests.spans.foreign import a_span, event

pytestmark = pytest.mark.process


def send(receiver: Receiver, body: bytes, kind: str = PROTOBUF, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return receiver.request("/v1/traces", method="POST", body=body, headers={"Content-Type": kind, **named})


def step(run_id: str, **fields: Any) -> dict[str, Any]:
    span = json_span(**fields)
    return {**span, "attributes": [*span["attributes"], attribute("failpath.run.id", run_id)]}


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_a_step_shows_up_with_its_error_and_stack(receiver: Receiver, kind: str) -> None:
    raised = event("exception", exception__type="Declined", exception__message="no", exception__stacktrace="at x")
    body = body_of([a_span({"failpath.metadata.cart": 7}, events=[raised], status=StatusCode.ERROR)], kind)
    answer = send(receiver, gzip.compress(body), kind, Content_Encoding="gzip")
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    run = receiver.run("req-1")
    assert run is not None
    [shown] = run["steps"]
    assert (run["flowKey"], shown["stepKey"], shown["status"]) == ("checkout", "charge-card", "error")
    assert shown["error"] == {"name": "Declined", "message": "no", "stack": "at x"}
    assert shown["metadata"] == {"cart": 7}


def test_a_span_that_comes_twice_is_there_once(receiver: Receiver) -> None:
    body = json_request(step("r"))
    assert send(receiver, body, JSON).status == send(receiver, body, JSON).status == 200
    run = receiver.run("r")
    assert run is not None
    assert len(run["steps"]) == 1


def test_what_cannot_be_used_is_said(shared_receiver: Receiver) -> None:
    answer = send(shared_receiver, json_request(step("r", traceId="00")), JSON)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"


@pytest.mark.parametrize(
    ("kind", "headers", "status"),
    [
        ("text/plain", {}, 415),
        (PROTOBUF, {}, 400),
        (JSON, {"Origin": "http://evil.example"}, 403),
        (JSON, {"Origin": "null"}, 403),
        (JSON, {"Host": "evil.example"}, 400),
        (JSON, {"Host": "evil.example", "Authorization": "Bearer any"}, 200),
        (JSON, {"Authorization": "Bearer any"}, 200),
    ],
)
def test_bad_input_what_is_no_request_of_a_program_is_refused(
    shared_receiver: Receiver, kind: str, headers: dict[str, str], status: int
) -> None:
    assert send(shared_receiver, json_request(json_span(attributes=[])), kind, **headers).status == status


def test_a_page_of_the_receiver_itself_sends_no_spans(shared_receiver: Receiver) -> None:
    assert send(shared_receiver, json_request(), JSON, Origin=shared_receiver.url).status == 403


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_a_database_that_cannot_be_written_asks_the_sender_to_come_again(tmp_path: Path, kind: str) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        (tmp_path / "db").unlink()
        answer = send(receiver, body_of([a_span()], kind), kind)
        assert (answer.status, answer.headers["content-type"], answer.headers["retry-after"]) == (503, kind, "1")
        assert b"was deleted or replaced" in answer.body


def test_the_token_has_to_be_shown_where_there_is_one(tmp_path: Path) -> None:
    body = json_request(json_span(attributes=[]))
    with start_receiver(tmp_path / "local.db", "--token", "secret-of-mine") as receiver:
        assert send(receiver, body, JSON).status == 401
        assert send(receiver, body, JSON, Authorization="Bearer secret-of-yours").status == 401
        assert send(receiver, body, JSON, Authorization="Bearer secret-of-mine").status == 200
        cookie = f"failpath_local_{receiver.port}=" + sha256(b"failpath-otel local\0secret-of-mine").hexdigest()
        assert receiver.request("/api/runs", headers={"Cookie": cookie}).status == 200
        assert send(receiver, body, JSON, Cookie=cookie).status == 401
