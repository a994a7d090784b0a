"""``send_process`` and ``send_error_messages``: what of a process and of an error leaves it, and what is kept."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider, StatusCode

import failpath_otel
from failpath_otel import FailpathSpanExporter, StepRule
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record
from tests.docs.pages import DOCS, read_page
from tests.fault_server import FaultServer
from tests.gateway.gateways import start_gateway
from tests.gateway.requests import JSON, attribute, json_request, json_span
from tests.keys import KEY
from tests.ports import unused_port
from tests.spans.foreign import a_span, event

RULE = StepRule("checkout", "by-rule", span_name="POST /charge")
SECRET = "the account of Ada"
STACK = f"in pay\nDeclined: {SECRET}"
FAILED = event("exception", exception__type="Declined", exception__message=SECRET, exception__stacktrace=STACK)
Events = list[dict[str, Any]]


def pay() -> None:
    try:
        raise KeyError(f"in a cause: {SECRET}")
    except KeyError as error:
        error.args = (SECRET,)
        raise ValueError(SECRET) from error


def by_steps(endpoint: str, timeout: float = 5.0, **options: Any) -> bool:
    """A step of ours and one by a rule that fail, in this process."""
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(
        project_key=KEY, endpoint=endpoint, tracer_provider=provider, rules=[RULE], capture_stack=True, **options
    )
    with pytest.raises(ValueError, match=SECRET):
        client.run("checkout").step("pay", pay)
    with pytest.raises(ValueError, match=SECRET), provider.get_tracer("shop").start_as_current_span("POST /charge"):
        pay()
    return client.shutdown(timeout)


def by_exporter(endpoint: str, **options: Any) -> bool:
    """A span of another tracer that has ended."""
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=endpoint, capture_stack=True, **options)
    exporter.export([a_span(events=[FAILED], status=StatusCode.ERROR, description=SECRET)])
    exporter.shutdown()
    return True


sent_by = pytest.mark.parametrize("send", [by_steps, by_exporter])
Send = Callable[..., bool]


def errors_of(server: FaultServer) -> Events:
    return [sent["error"] for sent in server.events if sent["status"] == "error"]


def all_of(server: FaultServer) -> str:
    return b"".join(request.body for request in server.requests).decode()


@sent_by
def test_the_process_is_sent_unless_it_is_asked_not_to_be(server: FaultServer, send: Send) -> None:
    assert send(server.url)
    assert server.events
    for sent in server.events:
        assert (sent["process"]["host"], sent["process"]["pid"]) == (socket.gethostname(), os.getpid())


@sent_by
def test_without_send_process_neither_host_nor_pid_nor_start_time_leaves(server: FaultServer, send: Send) -> None:
    assert send(server.url, send_process=False)
    assert server.events
    assert not any("process" in sent for sent in server.events)
    assert socket.gethostname() not in all_of(server)


@sent_by
def test_without_send_error_messages_an_error_is_its_name_alone(server: FaultServer, send: Send) -> None:
    assert send(server.url, send_error_messages=False)
    errors = errors_of(server)
    assert errors
    for error in errors:
        assert error == {"name": error["name"], "message": ""}
        assert error["name"] in {"ValueError", "Declined"}
    assert SECRET not in all_of(server)


def test_both_are_read_from_variables(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_SEND_PROCESS", "false")
    monkeypatch.setenv("FAILPATH_SEND_ERROR_MESSAGES", "off")
    assert by_steps(server.url)
    assert not any("process" in sent for sent in server.events)
    assert {error["message"] for error in errors_of(server)} == {""}


def test_redact_is_not_called_with_a_message_that_is_not_sent(server: FaultServer) -> None:
    asked: list[str] = []

    def redact(key: str, value: object) -> object:
        asked.append(key)
        return value

    assert by_steps(server.url, send_error_messages=False, redact=redact)
    assert not {"error.message", "error.stack"} & set(asked)


def test_an_error_recorded_by_hand_loses_its_message_and_the_exception_of_a_caller_keeps_it(
    server: FaultServer,
) -> None:
    client = failpath_otel.configure(
        project_key=KEY,
        endpoint=server.url,
        tracer_provider=NoOpTracerProvider(),
        capture_stack=True,
        send_error_messages=False,
    )
    error = {"name": "Late", "message": SECRET, "stack": f"at {SECRET}"}
    client.record_step(flow_key="checkout", run_id="1", step_key="late", status="error", error=error)
    with pytest.raises(ValueError, match=SECRET):
        client.run("checkout").step("pay", pay)
    assert client.shutdown()
    assert [error["name"] for error in errors_of(server)] == ["Late", "ValueError"]
    assert SECRET not in all_of(server)


def test_what_is_not_sent_is_not_in_the_journal_either(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{unused_port()}"
    by_steps(nowhere, timeout=0.1, send_process=False, send_error_messages=False, journal=tmp_path)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b'"status":"error"' in kept
    assert SECRET.encode() not in kept
    assert socket.gethostname().encode() not in kept
    assert b'"process"' not in kept


@pytest.mark.process
def test_a_gateway_sends_neither_of_the_processes_whose_spans_it_takes(server: FaultServer) -> None:
    resource = [attribute("host.name", "box"), {"key": "process.pid", "value": {"intValue": "12"}}]
    failed = {
        "name": "exception",
        "timeUnixNano": "1700000001358024679",
        "attributes": [attribute("exception.type", "Declined"), attribute("exception.message", SECRET)],
    }
    span = json_span(events=[failed], status={"code": 2, "message": SECRET})
    # A process, because its options are the variables of one.
    variables = {"FAILPATH_SEND_PROCESS": "0", "FAILPATH_SEND_ERROR_MESSAGES": "0", "FAILPATH_CAPTURE_STACK": "1"}
    with start_gateway(server.url, None, **variables) as gateway:
        assert gateway.send(json_request(span, resource=resource), JSON).status == 200
        events = server.wait_for_events(2)
    assert [sent.get("error") for sent in events] == [None, {"name": "Declined", "message": ""}]
    assert "box" not in all_of(server)
    assert SECRET not in all_of(server)


@pytest.mark.parametrize(
    ("page", "heading"), [("production/security.md", "field"), ("reference/wire-format.md", "field of an event")]
)
def test_the_docs_list_every_field_of_a_record(page: str, heading: str) -> None:
    rows = [cells[0] for cells in read_page(DOCS / page).rows(heading)]
    named = {name for row in rows for name in re.findall(r"`(.*?)`", row)}
    fields = {field.encode_name for field in msgspec.structs.fields(Record)} - {"error", "process"}
    nested = {
        f"{outer}.{field.encode_name}"
        for outer, struct in (("error", ErrorInfo), ("process", ProcessInfo))
        for field in msgspec.structs.fields(struct)
    }
    assert named == fields | nested
