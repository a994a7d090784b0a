"""The command, as a process of its own."""

import contextlib
import gc
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from failpath_otel._version import __version__
from failpath_otel.cli.main import main
from failpath_otel.records.record import ErrorInfo
from tests.forge import run
from tests.local.events import event, wire
from tests.ports import unused_url
from tests.receiver import COMMAND, Receiver, fastest, start_receiver

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes are those of POSIX")


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run([*COMMAND, *arguments], env=os.environ | environment)


def _line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of complaint of a command that failed."""
    assert result.returncode == 1, result
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.rstrip("\n")


@pytest.mark.process
def test_the_version_is_printed() -> None:
    assert _run("--version", NO_FORGE="1").stdout.startswith(f"failpath-otel {__version__}\nPython ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["local", "--port", "65536"],
        ["local", "--port", "-1"],
        ["local", "--port", "x"],
        ["runs", "--limit", "0"],
        ["runs", "--limit", "1001"],
        ["runs", "--port", "0"],
        ["runs", "--port", "3001", "--url", "http://127.0.0.1:3001"],
        ["local", "--host", "example.com"],
        ["local", "--token", "short"],
        ["local", "--token", "with a space"],
        ["local", "--flows", "there/is/none.json"],
        ["local", "--max-age", "0"],
        ["local", "--max-size", "x"],
        ["local", "--trace-url", "http://localhost:16686/trace/"],
        ["local", "--trace-url", "javascript:alert('{trace_id}')"],
        ["local", "--trace-url", "http://[/{trace_id}"],
    ],
)
def test_wrong_arguments_end_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_are_let_in_with_a_token_only(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["local", "--host", host])
    assert caught.value.code == 2
    complaint = capsys.readouterr().err
    assert f"--host {host} lets other machines read and change every run: it needs --token" in complaint
    assert "FAILPATH_LOCAL_TOKEN" in complaint


def test_a_token_that_cannot_be_used_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["local", "--token", "my secret"])
    assert "secret" not in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize("missing", ["starlette", "sse_starlette", "uvicorn", "anyio"])
def test_without_the_extra_the_receiver_names_it_and_the_rest_of_the_command_works(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; "
        "from failpath_otel.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert 'pip install "failpath-otel[local]"' in _line(run("local", "--port", "0"))
    assert run("--version").returncode == 0
    assert "no receiver" in _line(run("runs", "--url", unused_url()))


@pytest.mark.process
def test_the_help_of_the_command_loads_nothing_of_an_extra_and_nothing_that_takes_long() -> None:
    program = "import sys\nfrom failpath_otel.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.stderr.write(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    unwanted = {"starlette", "sse_starlette", "uvicorn", "anyio", "platformdirs", "shtab", "msgspec", "requests"}
    assert not (unwanted | {"opentelemetry.sdk", "urllib.request", "asyncio", "difflib"}) & set(done.stderr.split())


@pytest.mark.process
def test_the_receiver_says_where_it_is_and_what_it_keeps(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "local.db", forked=False) as receiver:
        assert receiver.ready == f"Failpath local receiver at {receiver.url} (database: {tmp_path / 'local.db'})\n"
        assert receiver.runs() == []


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="the directory is chosen by a variable on Linux only")
def test_the_default_database_is_in_a_state_directory_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "failpath-otel").mkdir(mode=0o755)
    with subprocess.Popen(
        [*COMMAND, "local", "--port", "0"],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert str(tmp_path / "failpath-otel" / "local.db") in process.stdout.readline()
        process.terminate()
    assert (tmp_path / "failpath-otel").stat().st_mode & 0o777 == 0o700


@pytest.mark.process
@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_receiver_cleanly_within_two_seconds(tmp_path: Path, number: signal.Signals) -> None:
    """Also with an idle connection, with one that has sent half a request, and with one that asks twice to end."""

    def seconds(database: Path) -> float:
        with start_receiver(database, forked=False) as receiver:
            address = ("127.0.0.1", receiver.port)
            with socket.create_connection(address), socket.create_connection(address) as half:
                half.sendall(
                    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
                    b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
                )
                # The answer to `Expect` shows that the request has reached the application.
                assert half.recv(100).startswith(b"HTTP/1.1 100 ")
                begin = time.monotonic()
                receiver.process.send_signal(number)
                receiver.process.send_signal(number)
                assert receiver.process.wait(10) == 0
                taken = time.monotonic() - begin
            assert receiver.stderr() == ""
            assert not database.with_name(f"{database.name}-wal").exists()
        return taken

    assert fastest(seconds, tmp_path) < 2


@pytest.mark.process
@POSIX
def test_a_signal_while_the_database_is_busy_ends_the_receiver_too(tmp_path: Path) -> None:
    def seconds(database: Path) -> float:
        with start_receiver(database) as receiver:
            other = sqlite3.connect(database, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            sender = threading.Thread(target=_send_to_busy, args=(receiver,))
            sender.start()
            try:
                # Answered beside the one that waits for the other process.
                assert receiver.run("none") is None
                begin = time.monotonic()
                receiver.process.terminate()
                assert receiver.process.wait(10) == 0
                taken = time.monotonic() - begin
            finally:
                other.close()
                sender.join()
            assert "Traceback" not in receiver.stderr()
        return taken

    assert fastest(seconds, tmp_path) < 2


@pytest.mark.process
def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = _line(_run("local", "--port", str(port), "--db", str(tmp_path / "db")))
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line.lower()
    assert "another receiver" in line
    assert f"lsof -i :{port}" in line
    assert "--port" in line


@pytest.mark.process
def test_a_database_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    assert str(path) in _line(_run("local", "--port", "0", "--db", str(path)))


@pytest.mark.process
def test_runs_are_shown_as_a_table(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        assert _run("runs", "--url", receiver.url).stdout == "No runs.\n"
        error = ErrorInfo("Declined", "no\x1b[2J money")
        receiver.post(
            wire(event("error", 2, run="a/b", started=1, error=error)),
            wire(event("skipped", 1, run="c d", flow="other")),
        )
        everything = _run("runs", "--url", receiver.url + "/")
        assert everything.returncode == 0
        assert [line.split()[0] for line in everything.stdout.splitlines()] == [
            "RUN",
            "a/b",
            "pay",
            "Declined:",
            "c",
            "pay",
        ]
        assert r"Declined: no\x1b[2J money" in everything.stdout
        assert "\x1b" not in everything.stdout
        assert "a/b" not in _run("runs", "--url", receiver.url, "--run", "c d").stdout
        assert "c d" not in _run("runs", "--url", receiver.url, "--limit", "1").stdout
        assert "a/b" not in _run("runs", "--url", receiver.url, "--flow", "other").stdout
        assert "no such run" in _line(_run("runs", "--url", receiver.url, "--run", "none"))


@pytest.mark.process
def test_runs_are_asked_for_by_port_and_with_the_token(tmp_path: Path) -> None:
    token = "a-secret-token"
    with start_receiver(tmp_path / "db", "--token", token) as receiver:
        port = str(receiver.port)
        assert "answered 401" in _line(_run("runs", "--port", port))
        assert "answered 401" in _line(_run("runs", "--port", port, "--token", f"{token}x"))
        assert _run("runs", "--port", port, "--token", token).stdout == "No runs.\n"
        assert _run("runs", "--port", port, FAILPATH_LOCAL_TOKEN=token).stdout == "No runs.\n"
        assert _run("runs", "--url", receiver.url, FAILPATH_LOCAL_TOKEN=token).stdout == "No runs.\n"


@pytest.mark.process
def test_the_receiver_takes_its_token_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_LOCAL_TOKEN", "a-secret-token")
    with start_receiver(tmp_path / "db") as receiver:
        assert receiver.request("/api/runs").status == 401
        assert receiver.request("/api/runs", headers={"Authorization": "Bearer a-secret-token"}).status == 200
    monkeypatch.setenv("FAILPATH_LOCAL_TOKEN", "")
    with start_receiver(tmp_path / "db") as receiver:
        assert receiver.runs() == []


@pytest.mark.process
@POSIX
def test_a_terminal_shows_what_to_do_with_the_address(tmp_path: Path) -> None:
    import pty  # noqa: PLC0415 - Windows has none

    ours, theirs = pty.openpty()
    try:
        command = [*COMMAND, "local", "--port", "0", "--db", str(tmp_path / "db"), "--token", "a-secret-token"]
        with subprocess.Popen(command, stdout=theirs) as process:
            said = b""
            while said.count(b"\n") < 2:
                said += os.read(ours, 65_536)
            process.terminate()
    finally:
        os.close(ours)
        os.close(theirs)
    first, second = said.decode().splitlines()
    url = re.search(r"http://127\.0\.0\.1:\d+", first)
    assert url
    assert second == f"Open {url[0]}/?token=<the token> in a browser. Ctrl-C ends the receiver."


@pytest.mark.process
def test_a_proxy_in_the_environment_is_not_asked(tmp_path: Path) -> None:
    nowhere = unused_url()
    with start_receiver(tmp_path / "db") as receiver:
        result = _run("runs", "--url", receiver.url, http_proxy=nowhere, HTTP_PROXY=nowhere, no_proxy="")
    assert result.returncode == 0, result


@pytest.mark.process
def test_another_server_at_the_address_is_one_clear_line() -> None:
    with _other_server() as url:
        assert "not a Failpath receiver" in _line(_run("runs", "--url", url))
        assert re.search(r"answered 501: .+", _line(_run("runs", "--url", url, "--run", "x")))


@pytest.mark.process
@POSIX
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        receiver.post(*(wire(event("skipped", number, run=f"r{number}")) for number in range(900)))
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = subprocess.run(
                [*COMMAND, "runs", "--url", receiver.url, "--limit", "900"],
                stdout=writing,
                stderr=subprocess.PIPE,
                timeout=30,
                check=False,
            )
        finally:
            os.close(writing)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.process
@POSIX
def test_a_terminal_gets_colours_unless_it_asks_for_none(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        receiver.post(wire(event("success", 1)))
        assert b"\x1b[32m" in _in_terminal("runs", "--url", receiver.url)
        assert b"\x1b" not in _in_terminal("runs", "--url", receiver.url, NO_COLOR="1")


def _send_to_busy(receiver: Receiver) -> None:
    # The receiver ends before it answers.
    with contextlib.suppress(OSError, HTTPException):
        receiver.post(wire(event("running", 1)))


def _in_terminal(*arguments: str, **environment: str) -> bytes:
    import pty  # noqa: PLC0415 - Windows has none

    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment
    try:
        subprocess.run([*COMMAND, *arguments], stdout=theirs, timeout=30, check=True, env=variables)
        return os.read(ours, 65_536)
    finally:
        os.close(ours)
        os.close(theirs)


@contextmanager
def _other_server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "?limit" in self.path else 501)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_cannot_start_leaves_garbage_collections_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_ENABLED", "false")
    assert main(["gateway"]) == 1
    assert gc.isenabled()
