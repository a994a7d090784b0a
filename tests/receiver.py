"""A real receiver for tests: ``failpath-otel local`` as a process of its own, and a way to wait for what it shows."""

import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from tests.forge import Started, start
from tests.ports import unused_port

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01
_T = TypeVar("_T")

KEY: Final = "fp_project_local"
"""A project key that the receiver takes: it takes any."""

COMMAND: Final = (sys.executable, "-m", "failpath_otel.cli")
"""``failpath-otel``, run by the interpreter that runs the tests."""


def wait_for(predicate: Callable[[], _T], timeout: float = 10.0, message: str = "") -> _T:
    """The first truthy value of ``predicate``, asked every 10 ms; fails the test after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(message or f"still {value!r} after {timeout} s")
        time.sleep(_POLL_SECONDS)


@dataclass(frozen=True)
class Answer:
    """What an HTTP request was answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Receiver:
    """A running receiver; ``key`` is one of the keys it takes, ``ready`` the line that it printed."""

    url: str
    key: str
    ready: str
    process: Started
    errors: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stderr(self) -> str:
        """What the process has complained about so far."""
        return self.errors.read_text()

    def request(
        self, path: str, *, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Any request, with exactly the headers given beside those that HTTP needs."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method=method)
        if body is not None and not request.has_header("Content-type"):
            # Without this, urllib would declare a form.
            request.add_header("Content-Type", "")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def send(self, body: bytes, **headers: str) -> Answer:
        """Posts a body as a sender of the wire contract would; ``headers`` change or add some (``_`` for ``-``)."""
        complete = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        complete |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("/v1/events", method="POST", body=body, headers=complete)

    def post(self, *events: dict[str, Any]) -> Answer:
        """Posts events."""
        return self.send(json.dumps({"events": events}).encode())

    def runs(self, **query: str | int) -> list[dict[str, Any]]:
        """``GET /api/runs``."""
        answer = self.request(f"/api/runs?{urllib.parse.urlencode(query)}")
        assert answer.status == 200, answer
        return cast("list[dict[str, Any]]", answer.json()["runs"])

    def run(self, run_id: str, **query: str) -> dict[str, Any] | None:
        """``GET /api/runs/{run_id}``; nothing for a run that is not there."""
        path = urllib.parse.quote(run_id, safe="")
        answer = self.request(f"/api/runs/{path}?{urllib.parse.urlencode(query)}")
        if answer.status == 404:
            return None
        assert answer.status == 200, answer
        return cast("dict[str, Any]", answer.json())


@contextmanager
def start_receiver(
    db: Path, *options: str, port: int | None = None, forked: bool = True
) -> Generator[Receiver, None, None]:
    """Starts ``failpath-otel local`` on the database ``db``, yields it when it is ready, and stops it at the end.

    It is a process of its own, which finds its imports done: ``forked=False`` where a test is about the start itself.
    """
    command = [*COMMAND, "local", "--port", str(port or unused_port()), "--db", str(db), *options]
    with tempfile.TemporaryDirectory() as directory:
        errors = Path(directory, "stderr")
        with errors.open("w") as stderr:
            process = start(command, stderr=stderr, forked=forked)
        with process:
            try:
                ready = first_line(process)
                found = re.search(r" at (https?://127\.0\.0\.1:\d+) ", ready)
                assert found, f"not ready: {ready!r} {errors.read_text()}"
                yield Receiver(found[1], KEY, ready, process, errors)
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def first_line(process: Started) -> str:
    """The first line that the process prints."""
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    # A thread, because a pipe cannot be read with a deadline everywhere.
    threading.Thread(target=lambda read: lines.put(read()), args=(process.stdout.readline,), daemon=True).start()
    try:
        return lines.get(timeout=_START_SECONDS)
    except queue.Empty:
        msg = f"the receiver said nothing within {_START_SECONDS} s"
        raise AssertionError(msg) from None


def fastest(seconds: Callable[[Path], float], directory: Path) -> float:
    """The least of what up to three attempts take: a machine that is busy with something else only makes it more.

    Two seconds are what a receiver has for its end; each attempt gets the path of a database of its own.
    """
    taken = [seconds(directory / "0.db")]
    while min(taken) >= 2 and len(taken) < 3:
        taken.append(seconds(directory / f"{len(taken)}.db"))
    return min(taken)
