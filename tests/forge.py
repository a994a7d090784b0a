"""Servers and programs that start in milliseconds: forked from a process that has imported what they need.

A server of the package takes half a second of processor time to import its libraries, and the tests start hundreds.
:func:`start` stands for ``subprocess.Popen`` where a test is not about the start itself. What it starts has a process
id, a session, streams, an environment, a working directory and a seed of its own; what it shares with the process that
it is forked from is that modules are imported. Where a test looks at imports, options of the interpreter, or signals
during the start, and on other systems than Linux, the start is a real one.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from typing_extensions import Self

from tests.forge_server import MAXIMUM_BYTES
from tests.output import rest_of

REAL: Final = "NO_FORGE"
"""A variable with which the start is a real one: of one program, or of all where it is set for the tests."""

IS_USABLE: Final = hasattr(os, "pidfd_open") and REAL not in os.environ
"""Elsewhere forking without an exec is not safe, or the end of a process cannot be seen without reaping it."""

EVENT: Final = "tests.forge.start"
"""What is audited where a program is started, as Python audits ``subprocess.Popen``."""

SERVERS: Final = (
    "failpath_otel.cli.main",
    "failpath_otel.gateway.server",
    "failpath_otel.local.server",
    "failpath_otel.cli.drain",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)
"""What servers, and the other commands of the package, find imported."""

LIBRARIES: Final = ("msgspec", "opentelemetry.sdk.trace.export", "platformdirs", "requests")
"""What programs find imported that import the package themselves."""

_ROOT: Final = Path(__file__).parents[1]
_START_SECONDS: Final = 60.0
_PIPE: Final = subprocess.PIPE


class Process:
    """A program that was forked, with the methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, status: socket.socket, streams: "list[IO[str] | None]") -> None:
        self._status: Final = status
        self._said = b""
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self.pid: Final = int(self._line(_START_SECONDS) or 0)
        assert self.pid, "the forge is gone"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def _line(self, timeout: float | None) -> bytes | None:
        """Return the next line of the keeper; nothing where there is none within ``timeout`` seconds."""
        self._status.settimeout(timeout)
        while b"\n" not in self._said:
            try:
                more = self._status.recv(64)
            except (BlockingIOError, TimeoutError):
                return None
            if not more:
                msg = f"the keeper of process {getattr(self, 'pid', '?')} is gone"
                raise RuntimeError(msg)
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line

    def poll(self) -> int | None:
        """Return the exit code, a signal as a negative number, or nothing while the process runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            line = self._line(timeout)
            if line is None:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(line)
            self._status.close()
        return self.returncode

    def communicate(self, text: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Write ``text``, read both streams to their ends, and wait for the end."""
        if self.stdin is not None:
            if text:
                self.stdin.write(text)
            self.stdin.close()
        said = rest_of(self, timeout)
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        return said

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(15)

    def kill(self) -> None:
        self.send_signal(9)


Started = Process | subprocess.Popen[str]
"""What :func:`start` has started."""


class _Forge:
    """The process that forks, and the socket that it reads requests from."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.forge_server", str(theirs.fileno()), *modules]
            self._process: Final = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._close)

    def _close(self) -> None:
        self._control.close()
        self._process.wait(_START_SECONDS)

    def start(self, request: dict[str, Any], streams: list[int]) -> socket.socket:
        ours, theirs = socket.socketpair()
        text = json.dumps(request).encode()
        assert len(text) < MAXIMUM_BYTES
        with theirs:
            socket.send_fds(self._control, [text], [theirs.fileno(), *streams])
        return ours


_forges: Final[dict[tuple[str, ...], _Forge]] = {}
_lock: Final = threading.Lock()


def _forge(modules: tuple[str, ...]) -> _Forge:
    with _lock:
        if modules not in _forges:
            _forges[modules] = _Forge(modules)
        return _forges[modules]


def start(
    command: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: "int | IO[Any]" = _PIPE,
    stderr: "int | IO[Any]" = _PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path = _ROOT,
    forked: bool = True,
    imported: tuple[str, ...] = SERVERS,
) -> Started:
    """Start ``PYTHON -m MODULE ARGUMENT...`` or ``PYTHON -c CODE ARGUMENT...`` with streams of text.

    It is forked from a process that has ``imported`` these modules, unless ``env`` has other values than this process
    for what is read before or during an import: the variables of Python and of OpenTelemetry.
    """
    environment = dict(os.environ if env is None else env)
    if (
        not forked
        or REAL in environment
        or not IS_USABLE
        or command[0] != sys.executable
        or _interpreter(environment) != _interpreter(os.environ)
    ):
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, cwd=cwd, text=True)
    sys.audit(EVENT, command)
    kept: list[IO[str] | None] = []
    given: list[int] = []
    opened: list[int] = []
    for number, stream in enumerate((stdin, stdout, stderr)):
        if stream == _PIPE:
            reading, writing = os.pipe()
            mine, its = (writing, reading) if number == 0 else (reading, writing)
            kept.append(os.fdopen(mine, "r" if number else "w"))
            opened.append(its)
            given.append(its)
        else:
            kept.append(None)
            if stream == subprocess.DEVNULL:
                opened.append(os.open(os.devnull, os.O_RDWR))
                given.append(opened[-1])
            else:
                given.append(stream if isinstance(stream, int) else stream.fileno())
    request = {"command": list(command[1:]), "environment": environment, "directory": str(cwd)}
    try:
        status = _forge(imported).start(request, given)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return Process(status, kept)


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a command of the package to its end, as ``subprocess.run`` would that captures its output."""
    with start(command, env=env) as process:
        try:
            said = process.communicate(timeout=timeout)
        finally:
            process.kill()
    assert process.returncode is not None
    return subprocess.CompletedProcess(command, process.returncode, *said)


_READ_EARLY: Final = ("PYTHON", "LANG", "LC_", "LD_", "OTEL_")


def _interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are read before or during imports."""
    early = {name: value for name, value in environment.items() if name.startswith(_READ_EARLY)}
    early.pop("PYTHONPATH", None)  # which the forge looks after itself
    return early
