"""Who sends slowly, or not at all, is not waited for without end; everybody else is served meanwhile."""

import gc
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from failpath_otel.addresses import LOOPBACK
from failpath_otel.otlp.http_messages import ROUTE
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.requests.intake import Take
from failpath_otel.otlp.route import OtlpRoute
from failpath_otel.serving import body, server
from failpath_otel.serving.addresses import listen
from failpath_otel.serving.tls import Tls
from tests.gateway.requests import PROTOBUF, protobuf_of
from tests.serving.tls_files import write_tls_files
from tests.spans.foreign import a_span

HEAD = f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\n"
STEP = protobuf_of([a_span()])
WHOLE = f"{HEAD}Content-Length: {len(STEP)}\r\n\r\n".encode() + STEP
PART = f"{HEAD}Content-Length: 9\r\n\r\n1234".encode()


@contextmanager
def serving(take: Take = lambda _: Receipt(), tls: Tls | None = None) -> Iterator[Callable[[], socket.socket]]:
    """A server in this process; yields what connects to it."""
    ready = threading.Event()
    app = Starlette(routes=[Route(ROUTE, OtlpRoute(take).receive, methods=["POST"])])
    with listen(LOOPBACK, 0) as listener:
        address = listener.getsockname()
        running = server.Server(app, ready=ready.set, ending=lambda: None, grace_seconds=1, tls=tls)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(20)
        try:
            yield lambda: socket.create_connection(address, 20)
        finally:
            running.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def answer(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    received = b""
    while data := connection.recv(65_536):
        received += data
    return received


def test_a_body_that_never_ends_is_refused_and_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.2)
    with serving() as connect, closing(connect()) as slow:
        slow.sendall(PART)
        refused = answer(slow).lower()
    assert refused.startswith(b"http/1.1 503 ")
    assert b"retry-after: 1\r\n" in refused
    assert b"took longer than" in refused


@pytest.mark.parametrize("sent", [b"", b"POST /v1/tra", WHOLE + b"POST"], ids=["nothing", "part", "one, and a part"])
def test_a_connection_without_a_whole_head_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.5)
    with serving() as connect, closing(connect()) as slow:
        slow.sendall(sent)
        assert answer(slow).count(b"HTTP/1.1 200") == (sent.count(STEP) if sent else 0)


def hello() -> bytes:
    """What a client of TLS sends first."""
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=LOOPBACK).do_handshake()
    return sent.read()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    files = write_tls_files(tmp_path_factory.mktemp("tls"))
    return Tls(files.certificate, files.key)


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")  # asyncio's, after any failed handshake
@pytest.mark.parametrize("part", [0, 100, None], ids=["nothing", "half of the first message", "the first message"])
def test_a_handshake_of_tls_that_never_ends_is_closed(
    monkeypatch: pytest.MonkeyPatch, tls: Tls, part: int | None
) -> None:
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.5)
    with serving(tls=tls) as connect, closing(connect()) as slow:
        slow.sendall(hello()[:part])
        answer(slow)
    gc.collect()  # while the warning is ignored


def test_a_request_that_takes_long_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.5)
    taking, gate = threading.Event(), threading.Event()

    def take(_: object) -> Receipt:
        taking.set()
        assert gate.wait(20)
        return Receipt()

    with serving(take) as connect, closing(connect()) as patient, closing(connect()) as idle:
        patient.sendall(WHOLE)
        assert taking.wait(20)
        assert answer(idle) == b"", "idle connections were checked"
        gate.set()
        assert patient.recv(100).startswith(b"HTTP/1.1 200")


def test_slow_senders_do_not_block_others() -> None:
    with serving() as connect:
        slow = [connect() for _ in range(200)]
        try:
            for number, connection in enumerate(slow):
                connection.sendall(PART if number % 2 else b"POST /v1/tra")
            with closing(connect()) as quick:
                quick.sendall(WHOLE)
                assert quick.recv(100).startswith(b"HTTP/1.1 200")
        finally:
            for connection in slow:
                connection.close()


def test_a_request_that_the_end_cuts_short_may_come_again() -> None:
    taking, gate = threading.Event(), threading.Event()

    def take(_: object) -> Receipt:
        taking.set()
        gate.wait(20)
        return Receipt()

    with serving(take) as connect:
        patient = connect()
        patient.sendall(WHOLE)
        assert taking.wait(20)
    try:
        assert answer(patient).startswith(b"HTTP/1.1 503 "), "senders of OTLP take 500 for final"
    finally:
        gate.set()
        patient.close()
