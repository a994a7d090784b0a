"""The server of the tests fails as a test configures it, as a client of plain sockets sees it."""

import http.client
import json
import re
import socket
from typing import Any

import pytest

from tests.fault_server import (
    MISROUTES,
    FaultServer,
    accepted,
    informing,
    refusing_where,
    rejecting,
    status,
    tls_only,
)
from tests.faults import (
    asks_for_peace,
    knowing_key,
    rejecting_where,
    reset,
    slow,
    storm,
    too_large_beyond,
    trickled_body,
    truncated,
)

EVENTS = [{"id": str(number), "flowKey": "odd" if number % 2 else "even"} for number in range(4)]


def post(server: FaultServer, events: list[Any] = EVENTS, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Posts events on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=5)
    try:
        connection.request("POST", "/v1/events", json.dumps({"events": events}), headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def ids(server: FaultServer) -> str:
    return "".join(event["id"] for event in server.taken)


def test_what_was_accepted_counts_once_and_what_was_not_does_not_count(server: FaultServer) -> None:
    server.answer_with(status(503), accepted, rejecting(0, 2), accepted)
    for events in (EVENTS[:1], EVENTS[1:2], EVENTS[:3], EVENTS):
        post(server, events)
    assert ids(server) == "1023"


@pytest.mark.parametrize(
    ("behaviour", "taken"),
    [
        (reset(), ""),
        (reset(takes=True), "0123"),
        (reset(reads=False), ""),
        (truncated(), ""),
        (truncated(takes=True), "0123"),
    ],
)
def test_a_connection_that_breaks_gives_no_answer_whether_or_not_the_events_were_taken(
    server: FaultServer, behaviour: Any, taken: str
) -> None:
    server.answer_with(behaviour)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        post(server)
    assert ids(server) == taken
    server.answer_with(accepted)
    post(server)
    assert ids(server) == "0123"


def test_a_server_that_is_down_refuses_and_comes_up_at_the_same_address(server: FaultServer) -> None:
    url = server.url
    server.go_down()
    with pytest.raises(ConnectionRefusedError):
        post(server)
    server.come_up()
    assert server.url == url
    assert post(server)[0] == 202


def test_too_large_is_a_matter_of_bytes(server: FaultServer) -> None:
    server.answer_with(too_large_beyond(100))
    assert [post(server, EVENTS[:count])[0] for count in (4, 2, 1)] == [413, 202, 202]
    assert ids(server) == "01"


def test_events_are_rejected_by_what_is_in_them(server: FaultServer) -> None:
    server.answer_with(rejecting_where(lambda event: event["flowKey"] == "odd", "odd"))
    _, _, body = post(server)
    assert json.loads(body) == {"rejected": [{"index": 1, "reason": "odd"}, {"index": 3, "reason": "odd"}]}
    assert ids(server) == "02"


def test_contents_are_refused_without_a_word_of_which_and_nothing_of_the_request_is_taken(server: FaultServer) -> None:
    server.answer_with(refusing_where(lambda event: event["id"] == "3", 422))
    assert [post(server, events)[0] for events in (EVENTS, EVENTS[2:], EVENTS[:2])] == [422, 422, 202]
    assert ids(server) == "01"


def test_an_interim_answer_comes_before_the_one_that_counts(server: FaultServer) -> None:
    server.answer_with(informing(103, accepted))
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 5) as connection:
        connection.sendall(b'POST / HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"events":[]}')
        with connection.makefile("rb") as answers:
            lines = [next(answers) for _ in range(4)]
    assert lines[0] == b"HTTP/1.1 103 Early Hints\r\n"
    assert lines[3] == b"HTTP/1.1 202 Accepted\r\n"


@pytest.mark.parametrize("behaviour", [*MISROUTES.values(), tls_only], ids=[*MISROUTES, "tls only"])
def test_what_stands_on_the_way_takes_nothing(server: FaultServer, behaviour: Any) -> None:
    server.answer_with(behaviour)
    post(server)
    assert ids(server) == ""


def test_a_key_is_known_or_not(server: FaultServer) -> None:
    server.answer_with(knowing_key("right"))
    assert [post(server, Authorization=f"Bearer {key}")[0] for key in ("wrong", "right")] == [401, 202]


@pytest.mark.parametrize(("as_date", "form"), [(False, r"^7$"), (True, r"^\w{3}, .* GMT$")])
def test_a_pause_is_asked_for_in_either_form(server: FaultServer, as_date: bool, form: str) -> None:
    server.answer_with(asks_for_peace(429, 7, as_date=as_date))
    code, headers, _ = post(server)
    assert code == 429
    assert re.match(form, headers["Retry-After"])


def test_a_slow_server_answers_in_the_end_and_a_trickling_one_sends_its_body_bit_by_bit(server: FaultServer) -> None:
    server.answer_with(slow(0.01), trickled_body(3, 0.01))
    assert post(server)[0] == 202
    assert post(server)[2] == b"   "


def test_a_storm_is_the_same_for_the_same_seed() -> None:
    def course(seed: int) -> list[int | str]:
        with_storm = FaultServer(storm(seed))
        seen: list[int | str] = []
        try:
            for _ in range(30):
                try:
                    seen.append(post(with_storm)[0])
                except (OSError, http.client.HTTPException) as error:
                    seen.append(type(error).__name__)
        finally:
            with_storm.close()
        return seen

    first = course(7)
    assert {202, 429, 503} <= set(first)
    assert any(isinstance(each, str) for each in first)
    assert course(7) == first != course(8)


def test_a_reset_is_a_reset_and_not_an_end(server: FaultServer) -> None:
    server.answer_with(reset())
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
