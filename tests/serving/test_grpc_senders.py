"""A sender that speaks gRPC to a port for OTLP over HTTP gets the reason, and the log names the fix once."""

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from failpath_otel import report
from failpath_otel.addresses import LOOPBACK
from failpath_otel.otlp.http_messages import ROUTE
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.route import OtlpRoute
from failpath_otel.serving import server
from failpath_otel.serving.addresses import listen
from tests.gateway.requests import PROTOBUF, protobuf_of
from tests.spans.foreign import a_span

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
CLIENT = """
import sys
import grpc

with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    for _ in range(2):
        try:
            export(b"", timeout=20)
        except grpc.RpcError as error:
            print(error.code().name)
"""


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@contextmanager
def serving(host: str = LOOPBACK) -> Iterator[int]:
    """A server in this process; yields its port."""
    ready = threading.Event()
    app = Starlette(routes=[Route(ROUTE, OtlpRoute(lambda _: Receipt()).receive, methods=["POST"])])
    with listen(host, 0) as listener:
        running = server.Server(app, ready=ready.set, ending=lambda: None, grace_seconds=1)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(20)
        try:
            yield listener.getsockname()[1]
        finally:
            running.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def answer_to(port: int, sent: bytes) -> bytes:
    """All that comes until the server closes the connection, which it does by itself and in order."""
    with closing(socket.create_connection((LOOPBACK, port), 20)) as connection:
        connection.sendall(sent)
        received = b""
        while data := connection.recv(65_536):
            received += data
        return received


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    # The log is that of the process: a pipeline that another test has left may still say something.
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [message for message in messages if "OTEL_EXPORTER_OTLP" in message]


@pytest.mark.parametrize("sent", [PREFACE, PREFACE + SETTINGS], ids=["the preface", "with settings"])
def test_the_log_says_once_which_variables_mend_it(caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    with serving() as port:
        for _ in range(3):
            response = answer_to(port, sent)
            assert response.startswith(b"HTTP/1.1 400 ")
            assert b"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in response
        [line] = said(caplog)
    assert "gRPC" in line
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf " in line
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{port} " in line
    assert 'pip install "failpath-otel[grpc]"' in line


def test_the_address_that_is_named_is_the_one_that_the_sender_has_come_to(caplog: pytest.LogCaptureFixture) -> None:
    with serving("0.0.0.0") as port:
        answer_to(port, PREFACE)
    assert f"http://127.0.0.1:{port} " in said(caplog)[0]


@pytest.mark.process
@pytest.mark.skipif(find_spec("grpc") is None, reason="gRPC is not installed")
def test_a_client_of_grpc_is_refused_at_once_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    span = protobuf_of([a_span()])
    with serving() as port:
        # In a process of its own: gRPC has threads, and other tests of this one fork.
        command = [sys.executable, "-c", CLIENT, str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.stdout.split() == ["UNAVAILABLE", "UNAVAILABLE"], ended.stderr
        head = f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nConnection: close\r\n"
        assert answer_to(port, f"{head}Content-Length: {len(span)}\r\n\r\n".encode() + span).startswith(b"HTTP/1.1 200")
        assert len(said(caplog)) == 1


def test_a_request_by_http_1_is_none_of_grpc(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as port:
        response = answer_to(port, b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 404 ")
        assert said(caplog) == []
