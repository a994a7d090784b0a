"""An HTTP/1.1 server on loopback that answers as badly as a network can, and remembers every request.

A server follows a script: one behaviour a request, and the last one for all that follow.

    with fault_server(status(503), accepted) as server:
        ...
        assert server.events == [...]
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from tests.http_request import Request as Request
from tests.http_request import read_body, read_head
from tests.ports import HOST, unused_port
from tests.receiver import wait_for

_JOIN_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Exchange:
    """What a behaviour has at hand: the request, the connection, and an event that says that the server closes.

    ``took`` are the requests whose events the server has made its own, with the indexes of those that it has rejected.
    """

    request: Request
    connection: socket.socket
    closing: threading.Event
    took: list[tuple[Request, frozenset[int]]] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def take(self, *rejected: int) -> None:
        """Makes the events of the request the server's own, but for those with the given indexes."""
        self.took.append((self.request, frozenset(rejected)))


Behaviour = Callable[[Exchange], bool]
"""Answers one request; returns whether the connection stays open."""


def head(code: int, length: int, headers: Mapping[str, str]) -> bytes:
    """A status line and headers."""
    lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if code != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(code: int, body: bytes = b"", takes: Sequence[int] | None = None, /, **headers: str) -> Behaviour:
    """Any complete answer; ``_`` in the names of headers stands for ``-``.

    With ``takes``, the events are the server's own before it answers, but for those with these indexes.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def behave(exchange: Exchange) -> bool:
        if takes is not None:
            exchange.take(*takes)
        exchange.send(head(code, len(body), named) + body)
        return True

    return behave


def status(code: int, **headers: str) -> Behaviour:
    """A status with a short text for a body."""
    return answer(code, b"because", Content_Type="text/plain", **headers)


def json_answer(value: object, code: int = 200, *, takes: Sequence[int] | None = None) -> Behaviour:
    """A JSON body."""
    return answer(code, json.dumps(value).encode(), takes, Content_Type="application/json")


def rejecting(*indexes: int, reason: str = "unknown flow") -> Behaviour:
    """Takes the batch but for the records with these indexes."""
    return json_answer({"rejected": [{"index": index, "reason": reason} for index in indexes]}, takes=indexes)


def redirect(location: str, code: int = 302) -> Behaviour:
    """Points somewhere else."""
    return answer(code, Location=location)


def long_body(size: int, code: int = 200) -> Behaviour:
    """An answer with a valid JSON body of ``size`` bytes; gives up when the client has had enough."""

    def behave(exchange: Exchange) -> bool:
        exchange.send(head(code, size, {"Content-Type": "application/json"}) + b'"')
        left = size - 2
        while left > 0 and not exchange.closing.is_set():
            exchange.send(b"x" * min(left, 65_536))
            left -= 65_536
        exchange.send(b'"')
        return False

    return behave


def held(gate: threading.Event, then: Behaviour) -> Behaviour:
    """Answers as ``then`` does once ``gate`` is set."""

    def behave(exchange: Exchange) -> bool:
        while not gate.wait(0.01):
            if exchange.closing.is_set():
                return False
        return then(exchange)

    return behave


def silent(exchange: Exchange) -> bool:
    """Never answers."""
    exchange.closing.wait()
    return False


def trickling(data: bytes, interval: float) -> Behaviour:
    """Answers one byte at a time."""

    def behave(exchange: Exchange) -> bool:
        for position in range(len(data)):
            if exchange.closing.wait(interval):
                break
            exchange.send(data[position : position + 1])
        return False

    return behave


def close_before_answering(exchange: Exchange) -> bool:
    """Reads the request and closes the connection."""
    return False


def close_while_answering(exchange: Exchange) -> bool:
    """Announces a longer body than it sends."""
    exchange.send(head(200, 1000, {"Content-Type": "application/json"}) + b'{"rejected"')
    return False


def answer_before_reading(code: int = 503, *, close: bool = False) -> Behaviour:
    """Answers, or only closes the connection, when it has seen the headers and nothing of the body."""

    def behave(exchange: Exchange) -> bool:
        if not close:
            exchange.send(head(code, 0, {"Connection": "close"}))
        return False

    behave.reads_body = False  # type: ignore[attr-defined]
    return behave


def refusing_where(wrong: Callable[[dict[str, Any]], bool], code: int = 400) -> Behaviour:
    """Takes all events of a request, or none where one of them is ``wrong``, and does not say which."""

    def behave(exchange: Exchange) -> bool:
        return (status(code) if any(map(wrong, exchange.request.events)) else accepted)(exchange)

    return behave


def informing(code: int, then: Behaviour) -> Behaviour:
    """Sends an interim answer (103 Early Hints) before that of ``then``."""

    def behave(exchange: Exchange) -> bool:
        exchange.send(f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode())
        return then(exchange)

    return behave


accepted: Final = answer(202, b"", ())
no_content: Final = answer(204, b"", ())
accepted_json: Final = json_answer({"accepted": 1}, 202, takes=())
html: Final = answer(200, b"<!doctype html><title>Log in</title>", Content_Type="text/html")
tls_only: Final = answer(400, b"<h1>The plain HTTP request was sent to HTTPS port</h1>", Content_Type="text/html")
MISROUTES: Final[Mapping[str, Behaviour]] = {
    "login page": html,
    "redirect": redirect("http://portal.invalid/login"),
    **{str(code): status(code) for code in (308, 404, 405, 409, 410, 421)},
}
"""What is answered by something that is not Failpath, but stands on the way to it; it takes nothing."""


class FaultServer:
    """A running server; made by :func:`fault_server`."""

    def __init__(self, *script: Behaviour) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._script: list[Behaviour] = []
        self._took: list[tuple[Request, frozenset[int]]] = []
        self.answer_with(*script)
        self._port = unused_port()
        self._place = socket.socket()
        self.come_up()

    def come_up(self) -> None:
        """Listens, where it listened before."""
        self._listener = socket.create_server((HOST, self._port), backlog=64)
        self._place.close()
        self._spawn(self._accept, self._listener)

    def go_down(self) -> None:
        """Refuses connections, and cuts those that there are."""
        # Closing alone would not wake the thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._place.close()
        self._place = socket.socket()  # bound and not listening: nobody else gets the port, and who connects is refused
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind((HOST, self._port))
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The events that it has made its own, in their order, as a receiver sees them: each once, by its id."""
        with self._lock:
            took = list(self._took)
        kept: dict[str, dict[str, Any]] = {}
        for request, rejected in took:
            for at, event in enumerate(request.events):
                if at not in rejected:
                    kept.setdefault(event["id"], event)
        return list(kept.values())

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of all requests, in the order in which they came."""
        with self._lock:
            return [event for request in self.requests for event in request.events]

    @property
    def statuses(self) -> list[str]:
        """The statuses of all events, in the order in which they came."""
        return [event["status"] for event in self.events]

    def answer_with(self, *script: Behaviour) -> None:
        """Sets the script for the requests to come; without one, everything is accepted."""
        with self._lock:
            self._script = list(script or (accepted,))

    def wait_for_events(self, count: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """The events, once there are at least ``count``."""
        return wait_for(
            lambda: events if len(events := self.events) >= count else [],
            timeout,
            f"waited for {count} events, there are {len(self.events)}",
        )

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[Request]:
        """The requests, once there are at least ``count``."""
        return wait_for(lambda: list(self.requests) if len(self.requests) >= count else [], timeout)

    def close(self) -> None:
        """Closes every connection and ends every thread."""
        self._closing.set()
        self.go_down()
        self._place.close()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(_JOIN_SECONDS)
            assert not thread.is_alive(), f"{thread.name} does not end"

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=f"fault-server-{target.__name__}", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as incoming, suppress(OSError):
            while not self._closing.is_set():
                request = read_head(incoming)
                if request is None:
                    break
                # Not before: the script may have been another while the connection had nothing to say.
                with self._lock:
                    behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                if getattr(behaviour, "reads_body", True):
                    request = read_body(incoming, request)
                    if request is None:
                        break
                with self._lock:
                    self.requests.append(request)
                if not behaviour(Exchange(request, connection, self._closing, self._took)):
                    break
        with self._lock:
            self._open.discard(connection)


@contextmanager
def fault_server(*script: Behaviour) -> Iterator[FaultServer]:
    """A server that follows ``script``, closed at the end."""
    server = FaultServer(*script)
    try:
        yield server
    finally:
        server.close()
