"""The stream of changes, over real sockets, above a log that the tests write themselves."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from failpath_otel.local.api import stream
from failpath_otel.local.api.stream import MAX_ROWS, ChangeNotifier, Stream
from failpath_otel.local.store.database import StoreError
from tests.receiver import wait_for


class Run(NamedTuple):
    """A run as the log keeps it."""

    name: str
    revision: int


class Event(NamedTuple):
    """One event as a client reads it."""

    name: str
    data: dict[str, Any]
    id: str


class Log:
    """What the store says of changes: the newest revision of each run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.id = "ab-c"
        self.newest = 0
        self.runs: dict[str, int] = {}
        self.failures = 0
        self.asked = 0

    def change(self, *names: str) -> None:
        with self.lock:
            for name in names:
                self.newest += 1
                self.runs[name] = self.newest

    def changes(self, after_revision: int, limit: int) -> list[Run]:
        with self.lock:
            self.asked += 1
            if self.failures:
                self.failures -= 1
                msg = "the database is locked"
                raise StoreError(msg)
            found = [Run(name, revision) for name, revision in self.runs.items() if revision > after_revision]
        return sorted(found, key=lambda run: run.revision)[:limit]

    def revision(self) -> int:
        return self.newest

    def store_id(self) -> str:
        return self.id


class Client:
    """One open stream."""

    def __init__(self, port: int, query: str = "", last_event_id: str | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self.connection.request("GET", f"/stream{query}", headers=headers)
        self.response = self.connection.getresponse()

    def next(self) -> Event:
        """The next event; fails the test if there is none within ten seconds."""
        fields: dict[str, str] = {}
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                return Event(fields["event"], json.loads(fields["data"]), fields["id"])
            else:
                fields.clear()
        msg = f"the stream ended: {fields}"
        raise AssertionError(msg)

    def names(self, event: Event) -> list[str]:
        return [row["name"] for row in event.data["rows"]]

    def close(self) -> None:
        self.response.close()
        self.connection.close()


class Server:
    """A server with one stream, in a thread of its own."""

    def __init__(self) -> None:
        self.log = Log()
        self.changes = ChangeNotifier()
        self.clients: list[Client] = []
        self.row_threads: set[threading.Thread] = set()

        def row(run: Run) -> dict[str, str]:
            self.row_threads.add(threading.current_thread())
            return {"name": run.name}

        log: Any = self.log
        to_json: Any = row
        stream = Stream(log, self.changes, to_json, lambda: 1_700_000_000_000_000)

        async def busy(_request: object, error: Exception) -> PlainTextResponse:
            return PlainTextResponse(str(error), 503)

        app = Starlette(
            routes=[Route("/stream", stream.respond, methods=["GET"])], exception_handlers={StoreError: busy}
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        config = uvicorn.Config(app, http="h11", loop="asyncio", ws="none", lifespan="off", log_level="critical")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))

    def open(self, query: str = "", last_event_id: str | None = None) -> Client:
        client = Client(self.port, query, last_event_id)
        self.clients.append(client)
        return client

    def change(self, *names: str) -> None:
        self.log.change(*names)
        self.changes.notify()


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    server.thread.start()
    try:
        yield server
    finally:
        server.changes.close()
        for client in server.clients:
            client.close()
        server.server.should_exit = True
        server.thread.join(10)
        server.listener.close()
    assert not server.thread.is_alive()


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as started:
        yield started


def test_a_client_gets_its_revision_and_then_the_changes(server: Server) -> None:
    server.log.change("old", "older")
    client = server.open()
    assert client.response.status == 200
    assert client.response.headers["content-type"].startswith("text/event-stream")
    assert client.response.headers["cache-control"] == "no-store"
    now = "2023-11-14T22:13:20.000000Z"
    assert client.next() == Event("hello", {"storeId": "ab-c", "revision": 2, "now": now}, "ab-c-2")
    server.change("new")
    changed = {"revision": 3, "now": now, "count": 1, "rows": [{"name": "new"}], "more": False}
    assert client.next() == Event("changes", changed, "ab-c-3")


@pytest.mark.parametrize("by_header", [True, False])
def test_a_client_that_comes_back_gets_each_run_that_changed_once(server: Server, by_header: bool) -> None:
    server.log.change("a", "b", "c", "a", "d", "b")
    client = server.open(last_event_id="ab-c-1") if by_header else server.open("?after=ab-c-1")
    assert client.next().id == "ab-c-1"
    event = client.next()
    assert (client.names(event), event.id) == (["c", "a", "d", "b"], "ab-c-6")
    server.change("e")
    assert client.names(client.next()) == ["e"]


def test_the_header_of_a_browser_that_comes_back_counts_more_than_the_address(server: Server) -> None:
    server.log.change("a", "b", "c")
    client = server.open("?after=ab-c-1", last_event_id="ab-c-2")
    assert client.next().data["revision"] == 2
    assert client.names(client.next()) == ["c"]


@pytest.mark.parametrize(
    "known", ["other-2", "ab-c-4", "ab-c", "ab-c-x", "ab-c--1", "2", "-", "ab-c-99999999999999999999"]
)
def test_a_client_that_knows_another_history_loads_everything_again(server: Server, known: str) -> None:
    server.log.change("a", "b", "c")
    client = server.open(last_event_id=known)
    assert [client.next()[::2] for _ in range(2)] == [("hello", "ab-c-3"), ("reset", "ab-c-3")]
    server.change("d")
    assert client.names(client.next()) == ["d"]


def test_when_history_changes_every_open_stream_says_so(server: Server) -> None:
    clients = [server.open() for _ in range(3)]
    for client in clients:
        assert client.next().name == "hello"
    server.changes.reset()
    for client in clients:
        assert client.next() == Event("reset", {}, "ab-c-0")
    server.change("b")
    for client in clients:
        assert client.names(client.next()) == ["b"]


def test_a_client_that_was_away_during_a_reset_gets_it_as_well(server: Server) -> None:
    server.log.change("a", "b")
    server.changes.reset()
    client = server.open(last_event_id="ab-c-1")
    assert [client.next().name for _ in range(2)] == ["hello", "reset"]
    server.change("c")
    assert client.next().id == "ab-c-3"
    later = server.open(last_event_id="ab-c-3")
    assert later.next().name == "hello"
    server.change("d")
    assert later.next().name == "changes"


def test_after_very_many_changes_a_client_has_to_load_its_view_again(server: Server) -> None:
    server.log.change(*map(str, range(MAX_ROWS)))
    client = server.open(last_event_id="ab-c-0")
    assert client.next().name == "hello"
    event = client.next()
    assert (event.data["count"], event.data["more"], len(event.data["rows"])) == (MAX_ROWS, False, MAX_ROWS)
    server.change(*map(str, range(MAX_ROWS + 50)))
    event = client.next()
    assert (event.data["count"], event.data["more"], event.data["rows"]) == (MAX_ROWS + 1, True, [])
    assert event.id == f"ab-c-{server.log.newest}"
    server.change("x")
    assert client.names(client.next()) == ["x"]


def test_changes_that_come_quickly_are_sent_together_and_none_is_lost(server: Server) -> None:
    client = server.open()
    client.next()
    for number in range(1000):
        server.change(f"{number % 150}")
    events = [client.next()]
    while events[-1].data["revision"] < 1000:
        events.append(client.next())
    assert len(events) < 100
    assert {name for event in events for name in client.names(event)} == {str(number) for number in range(150)}


def test_a_client_gets_no_more_than_ten_events_a_second(server: Server) -> None:
    client = server.open()
    client.next()
    begin = time.monotonic()
    for number in range(5):
        server.change(f"{number}")
        client.next()
    assert time.monotonic() - begin >= 0.4


def test_a_change_without_a_notification_is_found(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.3)
    client = server.open()
    client.next()
    wait_for(lambda: server.log.asked)
    server.log.change("quiet")
    assert client.names(client.next()) == ["quiet"]


def test_a_stream_outlives_a_database_that_is_busy(server: Server) -> None:
    client = server.open()
    client.next()
    wait_for(lambda: server.log.asked)
    server.log.failures = 1
    server.change("a")
    wait_for(lambda: not server.log.failures)
    server.change("b")
    assert client.names(client.next()) == ["a", "b"]


def test_a_database_that_is_busy_at_the_start_is_an_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked() -> int:
        msg = "locked"
        raise StoreError(msg)

    monkeypatch.setattr(server.log, "revision", locked)
    assert server.open().response.status == 503


def test_a_question_for_the_headers_only_is_answered_at_once(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("HEAD", "/stream")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()


def test_a_client_that_is_gone_leaves_nothing_behind(server: Server) -> None:
    client = server.open()
    client.next()
    assert len(server.changes._wakers) == 1
    client.close()
    wait_for(lambda: not server.changes._wakers)


def test_a_client_that_does_not_read_holds_up_only_itself(server: Server) -> None:
    """Nothing is read for it any more once the buffers of its connection are full."""
    slow, quick = server.open(), server.open()
    quick.next()
    filler = "x" * 4000

    def asked_per_round(number: int) -> int:
        before = server.log.asked
        server.change(*(f"{filler}{name}" for name in range(MAX_ROWS)))
        event = quick.next()
        while event.data["revision"] < server.log.newest:
            event = quick.next()
        return server.log.asked - before

    for number in range(60):
        if asked_per_round(number) == 1:
            break
    else:
        pytest.fail("the slow client was served all the time")
    revision = server.log.newest
    assert slow.next().name == "hello"
    while slow.next().data["revision"] < revision:
        pass


def test_closing_ends_every_stream_and_those_that_come_later() -> None:
    with running() as server:
        clients = [server.open() for _ in range(10)]
        for client in clients:
            client.next()
        server.changes.close()
        for client in [*clients, server.open(last_event_id="ab-c-0")]:
            assert client.response.read().count(b"event:") <= 1


def test_no_stream_is_woken_after_the_loop_has_ended() -> None:
    with running() as server:
        server.open().next()
        wakers = set(server.changes._wakers)
    assert wakers
    server.changes._wakers |= wakers
    server.changes.notify()


def test_runs_are_made_into_rows_outside_of_the_loop(server: Server) -> None:
    client = server.open()
    client.next()
    server.change("a")
    client.next()
    assert server.row_threads
    assert server.thread not in server.row_threads
