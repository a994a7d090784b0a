"""session, headers, route, payload and compression: how a request looks, on the wire of a real server."""

import gzip
import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace.export import SpanExportResult
from requests.adapters import HTTPAdapter

from failpath_otel import DeliveryError, FailpathSpanExporter, FailpathSpanProcessor, SendError, report
from tests.fault_server import FaultServer, Request, accepted, fault_server, held, redirect, silent, status
from tests.keys import KEY
from tests.receiver import wait_for
from tests.spans.foreign import a_span, tracer_with

NewProcessor = Callable[..., FailpathSpanProcessor]


@pytest.fixture(autouse=True)
def _faults_are_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


def a_step(processor: FailpathSpanProcessor) -> None:
    """A step of another tracer."""
    tracer_with(processor).start_span("s", attributes=dict(a_span().attributes or {})).end()


def by_processor(endpoint: str, **options: Any) -> bool:
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=endpoint, **options)
    a_step(processor)
    complete = processor.flush()
    processor._reporter.close(0)
    return complete


def by_exporter(endpoint: str, **options: Any) -> bool:
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=endpoint, **options)
    result = exporter.export([a_span()])
    exporter.shutdown()
    return result is SpanExportResult.SUCCESS


deliveries = pytest.mark.parametrize("deliver", [by_processor, by_exporter])
Deliver = Callable[..., bool]


def only(server: FaultServer) -> Request:
    [request] = server.requests
    return request


class Counting(HTTPAdapter):
    """Counts what goes through it, and whether it was closed."""

    sent = 0
    closed = 0

    def send(self, *given: Any, **named: Any) -> requests.Response:
        self.sent += 1
        return super().send(*given, **named)

    def close(self) -> None:
        self.closed += 1
        super().close()


@deliveries
def test_a_session_sends_with_its_adapters_hooks_and_headers_and_is_left_open(
    server: FaultServer, session: requests.Session, deliver: Deliver
) -> None:
    adapter, answers = Counting(), []
    session.mount("http://", adapter)
    session.headers["X-Tenant"] = "shop"
    session.hooks["response"].append(lambda answer, **_: answers.append(answer.status_code))
    assert deliver(server.url, session=session)
    assert only(server).headers["x-tenant"] == "shop"
    assert (adapter.sent, adapter.closed, answers) == (1, 0, [202])
    assert session.post(server.url, data=b'{"events": []}').status_code == 202


@deliveries
def test_neither_netrc_nor_what_the_session_has_replaces_the_key(
    server: FaultServer, session: requests.Session, deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert deliver(server.url, session=session)
    session.headers["Authorization"] = "Bearer of the session"
    session.auth = ("me", "mine")
    assert deliver(server.url, session=session)
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


def test_a_session_follows_no_redirect_with_the_key(session: requests.Session) -> None:
    with fault_server() as elsewhere, fault_server(redirect(elsewhere.url)) as server:
        assert not by_exporter(server.url, session=session)
        assert server.requests
        assert elsewhere.requests == []


def test_a_session_has_the_send_timeout_for_each_read(server: FaultServer, session: requests.Session) -> None:
    server.answer_with(silent, accepted)
    errors: list[DeliveryError] = []
    assert not by_exporter(server.url, session=session, send_timeout=0.1, on_error=errors.append)
    wait_for(lambda: errors)
    assert "did not answer within 0.1 s" in str(errors[0])


class Raising(requests.Session):
    """Posts nothing."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def post(self, *given: Any, **named: Any) -> requests.Response:
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(1), GeneratorExit(), RecursionError()], ids=repr)
@deliveries
def test_bad_input_a_session_that_raises_costs_its_records_and_nothing_else(
    server: FaultServer, deliver: Deliver, error: BaseException
) -> None:
    errors: list[DeliveryError] = []
    assert not deliver(server.url, session=Raising(error), on_error=errors.append)
    wait_for(lambda: sum(each.records for each in errors) == 2)
    assert isinstance(errors[0], SendError)
    assert type(error).__name__ in str(errors[0])
    assert server.requests == []


@pytest.mark.parametrize("returned", [None, 7, "ok", [], Counting], ids=lambda value: type(value).__name__)
@deliveries
def test_bad_input_a_session_that_returns_no_response_is_a_failure(
    server: FaultServer, deliver: Deliver, returned: object
) -> None:
    class Wrong(requests.Session):
        def post(self, *given: Any, **named: Any) -> Any:
            return returned

    assert not deliver(server.url, session=Wrong())


def test_bad_input_a_session_that_blocks_delays_no_step(server: FaultServer, new_processor: NewProcessor) -> None:
    entered, gate = threading.Event(), threading.Event()

    class Slow(requests.Session):
        def post(self, *given: Any, **named: Any) -> requests.Response:
            entered.set()
            assert gate.wait(30)
            return super().post(*given, **named)

    with Slow() as slow:
        processor = new_processor(server.url, session=slow)
        a_step(processor)
        assert entered.wait(10)
        for _ in range(10):
            a_step(processor)  # comes back although nothing can be sent
        assert server.requests == []
        gate.set()
        assert processor.flush()
        assert len(server.events) == 22


def test_bad_input_a_session_that_flushes_does_not_wait_for_itself(
    server: FaultServer, new_processor: NewProcessor
) -> None:
    said: list[bool] = []

    class Flushing(requests.Session):
        def post(self, *given: Any, **named: Any) -> requests.Response:
            said.append(processor.flush(30))
            return super().post(*given, **named)

    with Flushing() as session:
        processor = new_processor(server.url, session=session)
        a_step(processor)
        assert processor.flush(10)
    assert said == [False]


@deliveries
def test_gzip_compresses_the_body_and_says_so(server: FaultServer, deliver: Deliver) -> None:
    assert deliver(server.url, compression="gzip")
    request = only(server)
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-length"] == str(len(request.body))
    events = json.loads(gzip.decompress(request.body))["events"]
    assert [sent["status"] for sent in events] == ["running", "success"]


@deliveries
def test_without_compression_the_body_is_plain(server: FaultServer, deliver: Deliver) -> None:
    assert deliver(server.url)
    assert "content-encoding" not in only(server).headers
    assert json.loads(only(server).body)["events"]


@deliveries
def test_a_route_takes_the_place_of_ours(server: FaultServer, deliver: Deliver) -> None:
    assert deliver(f"{server.url}/base/", route="/v2/ingest")
    assert only(server).path == "/base/v2/ingest"


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@deliveries
def test_a_header_takes_the_place_of_ours_however_it_is_spelled(
    server: FaultServer, deliver: Deliver, session: requests.Session, name: str, own_session: bool
) -> None:
    more = {"session": session} if own_session else {}
    headers = {name: "Token other", "user-AGENT": "mine", "X-Tenant": "shop"}
    assert deliver(server.url, headers=headers, **more)
    sent = only(server).headers
    assert (sent["authorization"], sent["user-agent"], sent["x-tenant"]) == ("Token other", "mine", "shop")
    assert sent["content-type"] == "application/json"
    assert KEY not in str(sent)


@deliveries
def test_a_payload_makes_the_body_from_the_events(server: FaultServer, deliver: Deliver) -> None:
    def payload(events: Sequence[dict[str, Any]]) -> object:
        return {"batch": {"n": len(events)}, "events": [{"status": sent["status"]} for sent in events]}

    assert deliver(server.url, payload=payload, compression="gzip")
    assert json.loads(gzip.decompress(only(server).body)) == {
        "batch": {"n": 2},
        "events": [{"status": "running"}, {"status": "success"}],
    }


@pytest.mark.parametrize("payload", [lambda events: 1 / 0, lambda events: object(), lambda: None, lambda events: {1}])
@deliveries
def test_bad_input_a_payload_that_cannot_be_sent_is_a_failure_and_is_logged_once(
    server: FaultServer, deliver: Deliver, payload: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mended = False

    def made(*events: Any) -> object:
        return {"events": []} if mended else payload(*events)

    with caplog.at_level(logging.ERROR, "failpath_otel"):
        assert not deliver(server.url, payload=made)
        assert not deliver(server.url, payload=made)
    assert server.requests == []
    assert [record.message.count("making the payload failed;") for record in caplog.records] == [1]
    mended = True
    server.wait_for_requests(2)


def test_after_a_failure_a_session_is_used_again(server: FaultServer, session: requests.Session) -> None:
    server.answer_with(status(503), accepted)
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, session=session)
    assert exporter.export([a_span()]) is SpanExportResult.FAILURE
    assert exporter.force_flush()
    exporter.shutdown()
    assert len(server.requests) == 2


def test_a_connection_whose_descriptor_is_a_file_of_the_application_by_now_is_not_closed(
    server: FaultServer, new_processor: NewProcessor, tmp_path: Path
) -> None:
    processor = new_processor(server.url)
    a_step(processor)
    assert processor.flush(10)
    [number] = [each for each in range(3, 1_024) if _peer(each) == server.url]
    with (tmp_path / "of the application").open("w+") as file:
        os.dup2(file.fileno(), number)  # what a library does that closes all descriptors, and the next file opened
        a_step(processor)
        assert processor.flush(10)
        assert os.path.samestat(os.fstat(number), os.fstat(file.fileno()))
        os.close(number)
        assert file.read() == ""


def test_a_request_whose_connection_becomes_one_of_the_application_reads_nothing_of_it_and_is_sent_again(
    server: FaultServer, new_processor: NewProcessor
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted), accepted)
    processor = new_processor(server.url, send_timeout=20)
    a_step(processor)
    server.wait_for_requests(1)
    [number] = [each for each in range(3, 1_024) if _peer(each) == server.url]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.dup2(ours.fileno(), number)  # while its answer is waited for
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n of another conversation")
        server.wait_for_requests(2)
        gate.set()
        assert processor.flush(10)
        assert os.path.samestat(os.fstat(number), os.fstat(ours.fileno()))
        os.close(number)
        assert ours.recv(100).startswith(b"HTTP/1.1 200 OK")
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def _peer(descriptor: int) -> str:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return ""
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            return "http://{}:{}".format(*connection.getpeername()) if connection.family == socket.AF_INET else ""
    except OSError:
        return ""
