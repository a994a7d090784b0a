"""The receiver, over real sockets: what it takes, what it refuses, what it shows."""

import http.client
import json
import socket
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from starlette.types import ASGIApp

from failpath_otel.local.api.app import create_app
from failpath_otel.local.api.events import MAX_BODY_BYTES
from failpath_otel.local.receiver import Receiver as LocalReceiver
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import ErrorInfo
from tests.local.events import at, event, wire
from tests.receiver import Answer, Receiver, start_receiver, wait_for

GOOD = json.dumps({"events": []}).encode()


def _error(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/json"
    (name,) = answer.json()
    assert name == "error"
    return str(answer.json()["error"])


def test_what_was_sent_is_shown(receiver: Receiver) -> None:
    """One run with a retry and an error, field by field."""
    answer = receiver.post(
        wire(event("running", 1, cart=7)),
        wire(event("error", 2, started=1, duration_ms=999.5, error=ErrorInfo("Declined", "no money"), code=3)),
        wire(event("running", 5, span="b"), process={"pid": 12, "host": "box", "startTime": at(0)}),
    )
    assert (answer.status, answer.json()) == (202, {"accepted": 3, "rejected": []})
    run = {
        "runId": "run-1",
        "flowKey": "checkout",
        "status": "running",
        "startedAt": at(1),
        "endedAt": None,
        "durationMs": None,
        "steps": [
            {
                "stepKey": "pay",
                "attempt": 1,
                "status": "error",
                "startedAt": at(1),
                "endedAt": at(2),
                "durationMs": 999.5,
                "error": {"name": "Declined", "message": "no money"},
                "metadata": {"cart": 7, "code": 3},
                "spanId": "a",
                "traceId": "trace",
                "process": None,
                "liveness": None,
                "parentSpanId": None,
                "processIsHere": False,
            },
            {
                "stepKey": "pay",
                "attempt": 2,
                "status": "running",
                "startedAt": at(5),
                "endedAt": None,
                "durationMs": None,
                "error": None,
                "metadata": {},
                "spanId": "b",
                "traceId": "trace",
                "process": {"pid": 12, "host": "box", "startTime": at(0)},
                "liveness": "silent",
                "parentSpanId": None,
                "processIsHere": False,
            },
        ],
        "liveness": "silent",
    }
    assert receiver.run("run-1") == run
    assert receiver.runs() == [run]


def test_repeated_and_late_events_change_nothing(receiver: Receiver) -> None:
    running, success = wire(event("running", 1)), wire(event("success", 2, started=1))
    receiver.post(success)
    receiver.post(running, success)
    first = receiver.run("run-1")
    assert receiver.post(running, running).json() == {"accepted": 2, "rejected": []}
    assert receiver.run("run-1") == first
    assert first is not None
    assert [step["status"] for step in first["steps"]] == ["success"]


def test_bad_events_are_named_and_the_others_stored(receiver: Receiver, tmp_path: Path) -> None:
    answer = receiver.post(
        wire(event("running", 1), status="started"),
        wire(event("running", 1), future="kept"),
        wire(event("running", 1), flowKey=...),
    )
    assert answer.status == 202
    receipt = answer.json()
    assert receipt["accepted"] == 1
    assert [entry["index"] for entry in receipt["rejected"]] == [0, 2]
    assert "started" in receipt["rejected"][0]["reason"]
    assert "flowKey" in receipt["rejected"][1]["reason"]
    connection = sqlite3.connect(tmp_path / "local.db")
    ((payload,),) = connection.execute("SELECT payload FROM events").fetchall()
    connection.close()
    assert json.loads(payload)["future"] == "kept"


@pytest.mark.parametrize(
    "run_id", ["a/b", "/", "//x/", "..", "a b+c", "100%25", "?q=1#f", "ü🦀", "line\nbreak\n", "nul\0", "\\"]
)
def test_a_run_id_may_hold_any_characters(shared_receiver: Receiver, run_id: str) -> None:
    shared_receiver.post(wire(event("skipped", 1, run=run_id)))
    run = shared_receiver.run(run_id)
    assert run is not None
    assert run["runId"] == run_id


def test_a_run_id_that_is_the_beginning_of_another_names_itself_only(receiver: Receiver) -> None:
    receiver.post(wire(event("skipped", 1, run="a/b")))
    assert receiver.run("a") is None
    assert receiver.run("a/b\n") is None


def test_runs_can_be_limited_and_picked_by_flow_and_status(receiver: Receiver) -> None:
    receiver.post(
        wire(event("success", 3, run="1", flow="a")),
        wire(event("error", 2, run="2", flow="a")),
        wire(event("success", 1, run="1", flow="b")),
    )

    def keys(**query: str | int) -> list[tuple[str, str]]:
        return [(run["flowKey"], run["runId"]) for run in receiver.runs(**query)]

    assert keys() == [("a", "1"), ("a", "2"), ("b", "1")]
    assert keys(limit=1) == [("a", "1")]
    assert keys(flow="a") == [("a", "1"), ("a", "2")]
    assert keys(status="success") == [("a", "1"), ("b", "1")]
    assert keys(status="success", flow="b") == [("b", "1")]
    assert (receiver.run("1") or {})["flowKey"] == "a"
    assert (receiver.run("1", flow="b") or {})["flowKey"] == "b"
    assert receiver.run("2", flow="b") is None


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=%2B1", "status=ok"])
def test_a_question_that_makes_no_sense_is_refused(shared_receiver: Receiver, query: str) -> None:
    answer = shared_receiver.request(f"/api/runs?{query}")
    assert answer.status == 400
    assert "expected a" in _error(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Authorization": "Bearer any-key-at-all"}, 202),
        ({"Authorization": "bearer x"}, 202),
        ({"Content_Type": ""}, 415),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/jsonl"}, 415),
        ({"Content_Type": "Application/JSON; charset=utf-8"}, 202),
        ({"Content_Encoding": "br"}, 415),
        ({"Content_Encoding": "identity"}, 202),
        ({"Origin": "http://127.0.0.1:3001"}, 403),
        ({"Host": "host.docker.internal:3001"}, 202),
    ],
)
def test_headers_decide_before_the_body_is_read(
    shared_receiver: Receiver, headers: dict[str, str], status: int
) -> None:
    answer = shared_receiver.send(GOOD, **headers)
    assert answer.status == status
    if status != 202:
        assert _error(answer)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"events": {}}',
        b'{"events": null}',
        b'{"events": [}',
        b'{"events": [{"a": "\xff"}]}',
        b'{"events": ' + b"[" * 100_000,
        b'{"events": [' + b'{"a":' * 100_000,
    ],
)
def test_a_body_that_is_not_a_list_of_events_is_refused(shared_receiver: Receiver, body: bytes) -> None:
    answer = shared_receiver.send(body)
    assert answer.status == 400
    assert _error(answer)


def test_a_character_that_is_half_of_one_is_a_bad_event(shared_receiver: Receiver) -> None:
    good = json.dumps(wire(event("skipped", 1, run="surrogate")))
    bad = good.replace('"pay"', '"\\ud800"')
    answer = shared_receiver.send(f'{{"events": [{bad}, {good}]}}'.encode())
    assert (answer.status, answer.json()["accepted"]) == (202, 1)


def test_a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not(shared_receiver: Receiver) -> None:
    assert shared_receiver.send(GOOD.ljust(MAX_BODY_BYTES)).status == 202
    answer = shared_receiver.send(GOOD.ljust(MAX_BODY_BYTES + 1))
    assert answer.status == 413
    assert str(MAX_BODY_BYTES) in _error(answer)


def test_a_body_without_a_length_is_limited_too(shared_receiver: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared_receiver.port, timeout=10)
    try:
        chunks = [b" " * 65_536] * (MAX_BODY_BYTES // 65_536 + 1)
        headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
        connection.request("POST", "/v1/events", iter(chunks), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    finally:
        connection.close()


def test_a_body_announced_as_huge_is_refused_before_it_is_sent(shared_receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", shared_receiver.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
            b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_sender_that_goes_away_in_the_middle_leaves_no_trace(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
            b'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"events":'
        )
    assert receiver.runs() == []
    assert receiver.stderr() == ""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/runs/none", 404),
        ("GET", "/api/runs/", 404),
        ("POST", "/v1/events/", 404),
        ("GET", "/v1/events", 405),
        ("POST", "/api/runs", 405),
        ("DELETE", "/api/runs/x", 405),
    ],
)
def test_other_paths_and_methods_are_answered_in_json(
    shared_receiver: Receiver, method: str, path: str, status: int
) -> None:
    answer = shared_receiver.request(path, method=method)
    assert answer.status == status
    assert _error(answer)
    assert (status == 405) == ("allow" in answer.headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3001", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", ""]
)
@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/x", "/", "/v1/events/"])
def test_a_question_to_any_other_name_is_not(shared_receiver: Receiver, host: str, path: str) -> None:
    answer = shared_receiver.request(path, headers={"Host": host})
    assert answer.status == 400
    assert "Host" in _error(answer)


def test_senders_at_the_same_time_lose_nothing(receiver: Receiver) -> None:
    start = threading.Barrier(8)

    def send(sender: int) -> list[int]:
        start.wait()
        return [receiver.post(wire(event("skipped", n, span=f"{sender}-{n}"))).status for n in range(10)]

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for sent in pool.map(send, range(8)) for status in sent]
    assert set(statuses) == {202}
    assert len((receiver.run("run-1") or {})["steps"]) == 80


def test_senders_do_not_wait_for_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, reading = threading.Event(), threading.Semaphore(0)

    def read(*_: object, **__: object) -> list[object]:
        reading.release()
        let_go.wait(30)
        return []

    def wait_for_readers(threads: int) -> None:
        for _ in range(threads):
            assert reading.acquire(timeout=20)

    async def ask(app: ASGIApp) -> int:
        headers = {"authorization": "Bearer any"}
        threads = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
            anyio.create_task_group() as readers,
        ):
            for _ in range(threads):
                readers.start_soon(client.get, "/api/runs")
            try:
                limiter = anyio.CapacityLimiter(1)  # of its own, as all others are taken
                await anyio.to_thread.run_sync(wait_for_readers, threads, limiter=limiter)
                with anyio.fail_after(20):
                    answer = await client.post(
                        "/v1/events", json={"events": [wire(event("running", 1))]}, headers=headers
                    )
            finally:
                let_go.set()
        return answer.status_code

    with closing(Store(tmp_path / "db")) as store, closing(LocalReceiver(store, lambda: 0)) as receiver:
        monkeypatch.setattr(store.runs, "rows", read)
        assert anyio.run(ask, create_app(receiver)) == 202


def test_a_database_that_cannot_be_written_asks_the_sender_to_try_again(receiver: Receiver, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "local.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        answer = receiver.post(wire(event("running", 1)))
        assert answer.status == 503
        assert "locked" in _error(answer)
    finally:
        other.close()
    assert receiver.post(wire(event("running", 1))).status == 202


@pytest.mark.process
def test_the_next_receiver_shows_what_the_last_one_took(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as first:
        first.post(wire(event("running", 1)))
        before = first.runs()
    with start_receiver(tmp_path / "db") as second:
        assert second.runs() == before
    assert before


@pytest.mark.process
def test_what_was_accepted_survives_a_receiver_that_is_killed(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as first:
        first.post(wire(event("running", 1)))
        first.process.kill()
        first.process.wait(5)
    with start_receiver(tmp_path / "db") as second:
        found: dict[str, Any] | None = wait_for(lambda: second.run("run-1"))
        assert found is not None
