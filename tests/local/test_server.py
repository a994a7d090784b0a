"""The receiver as a process, with streams open: how it ends, where it listens, what it opens."""

import http.client
import json
import os
import shlex
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.local.events import event, wire
from tests.receiver import COMMAND, Receiver, fastest, first_line, start_receiver, wait_for

pytestmark = pytest.mark.process

TOKEN = "a-secret-token"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes are those of POSIX")


@contextmanager
def stream(receiver: Receiver) -> Iterator[http.client.HTTPResponse]:
    """An open stream that has said where it is."""
    with closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)) as connection:
        connection.request("GET", "/api/page/stream")
        with connection.getresponse() as response:
            assert _next(response) == "hello"
            yield response


def _next(response: http.client.HTTPResponse) -> str:
    """The name of the next event; nothing if the stream has ended."""
    while line := response.readline().decode():
        if line.startswith("event: "):
            while response.readline().strip():
                pass
            return line.removeprefix("event: ").strip()
    return ""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_two_seconds_while_pages_are_open(tmp_path: Path, number: signal.Signals) -> None:
    """Ten of them, one of which has not read what it was sent, and one connection that asked for nothing."""

    def seconds(database: Path) -> float:
        with ExitStack() as stack:
            receiver = stack.enter_context(start_receiver(database, forked=False))
            streams = [stack.enter_context(stream(receiver)) for _ in range(10)]
            stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
            receiver.post(wire(event("running", 1)))
            assert {_next(response) for response in streams[1:]} == {"changes"}
            begin = time.monotonic()
            receiver.process.send_signal(number)
            assert {_next(response) for response in streams[1:]} == {""}
            assert receiver.process.wait(10) == 0
            taken = time.monotonic() - begin
            assert receiver.stderr() == ""
        return taken

    assert fastest(seconds, tmp_path) < 2


def test_what_changes_reaches_every_open_stream(receiver: Receiver) -> None:
    with stream(receiver) as first, stream(receiver) as second:
        for number in range(3):
            receiver.post(wire(event("running", number, run=str(number))))
            assert (_next(first), _next(second)) == ("changes", "changes")


def test_runs_that_are_too_old_are_deleted_and_the_page_shows_it(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        # In 2023, as all events of these tests.
        receiver.post(wire(event("success", 1)))
        assert len(receiver.runs()) == 1
    with closing(sqlite3.connect(tmp_path / "db")) as connection, connection:
        # As if it had been received then as well.
        assert connection.execute("UPDATE runs SET heard_at = active_at").rowcount == 1
    with start_receiver(tmp_path / "db", "--max-age", "1") as receiver:
        wait_for(lambda: receiver.runs() == [])


def test_a_sender_of_grpc_is_refused_with_the_reason_and_logged_once(receiver: Receiver) -> None:
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", receiver.port), 20) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    [line] = receiver.stderr().splitlines()
    assert f"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url} " in line


def test_every_address_of_the_machine_needs_the_token(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db", "--host", "0.0.0.0", "--token", TOKEN) as receiver:
        assert receiver.request("/api/runs").status == 401
        own = {"Authorization": f"Bearer {TOKEN}"}
        assert receiver.request("/api/runs", headers=own).status == 200
        assert receiver.request("/api/runs", headers={**own, "Host": "203.0.113.9:3001"}).status == 200
        assert receiver.request("/api/runs", headers={**own, "Host": "evil.example"}).status == 400
        body = b'{"events": []}'
        assert receiver.send(body).status == 401
        assert receiver.send(body, **own).status == 202
        assert TOKEN not in receiver.ready


def test_it_listens_to_the_newer_protocol_as_well(tmp_path: Path) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback interface")
    command = [*COMMAND, "local", "--port", "0", "--host", "::1", "--db", str(tmp_path / "db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = first_line(process)
            assert line.startswith("Failpath local receiver at http://[::1]:")
            port = int(line.partition("]:")[2].partition(" ")[0])
            with closing(http.client.HTTPConnection("::1", port, timeout=10)) as connection:
                connection.request("GET", "/api/runs")
                assert connection.getresponse().status == 200
        finally:
            process.terminate()


@POSIX
@pytest.mark.parametrize(("settings", "address"), [([], "{url}"), (["--token", TOKEN], "{url}/?token=" + TOKEN)])
def test_the_page_is_opened_when_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], address: str
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {shlex.quote(str(opened))}.new\nmv {opened}.new {opened}\n')
    browser.chmod(stat.S_IRWXU)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with start_receiver(tmp_path / "db", "--open", *settings, forked=False) as receiver:
        wait_for(opened.exists)
        assert opened.read_text() == address.format(url=receiver.url)


@POSIX
def test_where_there_is_no_browser_it_says_where_the_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", f"{tmp_path / 'none'} %s")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    with start_receiver(tmp_path / "db", "--open") as receiver:
        said = wait_for(receiver.stderr)
        assert said == f"failpath-otel: no browser could be opened; the page is at {receiver.url}\n"
        assert receiver.runs() == []


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@POSIX
def test_a_signal_ends_it_within_two_seconds_while_something_large_is_worked_out(tmp_path: Path) -> None:
    nodes = [{"sdkStepKey": f"step {number}"} for number in range(20_000)]
    edges = [{"source": f"step {number}", "target": f"step {number + 1}"} for number in range(19_999)]
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps({"flows": [{"slug": "huge", "nodes": nodes, "edges": edges}]}))

    def seconds(database: Path) -> float:
        with (
            start_receiver(database, "--flows", str(flows)) as receiver,
            closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)) as connection,
        ):
            connection.request("GET", "/api/page/flow/huge")
            assert receiver.request("/api/page/status").status == 200
            begin = time.monotonic()
            receiver.process.send_signal(signal.SIGINT)
            assert receiver.process.wait(10) == 0
            return time.monotonic() - begin

    assert fastest(seconds, tmp_path) < 2
