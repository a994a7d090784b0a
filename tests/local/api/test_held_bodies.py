"""Bodies of ``/v1/events`` that are being received: many at once take no more room than OTLP's, over real sockets."""

import gzip
import json
import select
import socket
from contextlib import ExitStack
from typing import Final

import pytest

from failpath_otel.local.api.events import MAX_BODY_BYTES, MAX_EVENTS, read_events
from failpath_otel.otlp.requests.intake import MAX_HELD_BYTES
from tests.local.events import event, wire
from tests.receiver import Receiver, wait_for

SIZE: Final = MAX_BODY_BYTES - 1
HEAD: Final = "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\n"
STALLED: Final = f"{HEAD}Content-Length: {SIZE + 1}\r\n\r\n".encode() + b" " * SIZE
"""All of the largest request but its last byte."""

FIT: Final = MAX_HELD_BYTES // SIZE
MANY: Final = FIT + 8


def is_taken(receiver: Receiver) -> bool:
    return receiver.post(wire(event("running", 1))).status == 202


def test_many_stalled_bodies_at_once_are_refused_as_retryable(receiver: Receiver) -> None:
    assert is_taken(receiver)
    with ExitStack() as stack:
        stalled = [stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), 30)) for _ in range(MANY)]
        for connection in stalled:
            connection.sendall(STALLED)

        def refused() -> list[socket.socket]:
            return select.select(stalled, [], [], 0)[0]

        # So no more are held than there is room for.
        assert wait_for(lambda: len(refused()) >= MANY - FIT, 20)
        answer = refused()[0].recv(65_536).lower()
        assert answer.startswith(b"http/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert b'{"error":"too much at once"}' in answer
        assert receiver.runs(), "who reads is not affected"
    assert wait_for(lambda: is_taken(receiver)), "what was held is given back"


def test_a_sender_that_wants_its_connection_closed_reads_the_refusal_of_a_large_body(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), 30) as connection:
        head = HEAD.replace("application/json", "text/plain")
        connection.sendall(f"{head}Connection: close\r\nContent-Length: {SIZE}\r\n\r\n".encode() + b" " * SIZE)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize("item", [b"1", b"{}"])
def test_a_body_of_more_events_than_any_real_one_has_room_for_is_refused_as_too_large(
    shared_receiver: Receiver, item: bytes
) -> None:
    body = b'{"events":[' + b",".join([item] * 600_000) + b"]}"
    assert len(body) <= MAX_BODY_BYTES
    answer = shared_receiver.send(gzip.compress(body), Content_Encoding="gzip")
    assert (answer.status, answer.json()) == (413, {"error": f"there are more than {MAX_EVENTS} events in the body"})


def test_as_many_of_the_smallest_events_as_a_body_has_room_for_are_taken_one_by_one() -> None:
    names = ("id", "flowKey", "runId", "stepKey", "traceId", "spanId")
    small = {**dict.fromkeys(names, "x"), "status": "skipped", "timestamp": "2026-11-29T12:00:00Z", "metadata": {}}
    one = json.dumps(small, separators=(",", ":")).encode()
    fitting = (MAX_BODY_BYTES - 20) // (len(one) + 1)
    received_events, rejected = read_events(b'{"events":[' + b",".join([one] * fitting) + b"]}")
    assert (len(received_events), rejected) == (fitting, [])
