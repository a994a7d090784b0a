"""A Redis of its own for a test: on a free port of this machine, and nothing of it is kept."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.ports import unused_port
from tests.receiver import wait_for

REQUIRED: Final = "REDIS_REQUIRED"
"""With this variable a test that finds no Redis fails; without it, it is skipped."""

_HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 5
_SECONDS: Final = 10.0


@contextmanager
def open_redis(directory: Path) -> Iterator[str]:
    """Starts ``redis-server``, yields its URL, and ends it."""
    command = shutil.which("redis-server")
    if command is None:
        missing = "redis-server is not installed (on Debian and Ubuntu: apt-get install redis-server)"
        if os.environ.get(REQUIRED):
            pytest.fail(missing)
        pytest.skip(missing)
    process, port = _start(command, directory)
    try:
        yield f"redis://{_HOST}:{port}/0"
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _start(command: str, directory: Path) -> "tuple[subprocess.Popen[bytes], int]":
    log = directory / "redis.log"
    for _ in range(_ATTEMPTS):
        port = unused_port()
        # Somebody else may take the port before Redis does, which then ends at once.
        options = {"bind": _HOST, "port": str(port), "dir": str(directory), "save": "", "appendonly": "no"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        with log.open("wb") as output:
            process = subprocess.Popen([command, *arguments], stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(partial(_is_settled, process, port), _SECONDS)
        except AssertionError:
            process.kill()
            process.wait()
            raise
        if process.poll() is None:
            return process, port
    message = f"redis-server does not start: {log.read_text()}"
    raise AssertionError(message)


def _is_settled(process: "subprocess.Popen[bytes]", port: int) -> bool:
    return process.poll() is not None or _answers(port)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((_HOST, port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"
    return False
