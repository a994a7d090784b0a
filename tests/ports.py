"""Ports of the tests' own, each of which is used by one server of one test.

The system gives a port to the next one soon after its server is gone, perhaps while a program of that server's test
still sends to it: what it sends would be in another test. And nobody may get the port of a server that is down, or is
not up yet.
"""

import itertools
import os
import random
import socket
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

HOST: Final = "127.0.0.1"

_ALL: Final = range(10_000, 32_000)
"""Outside of those from which the systems pick (Linux: 32768 to 60999, others: 49152 to 65535)."""


def _share() -> Iterator[int]:
    """The ports of this process among those that run tests, over and over, from a random one on."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = _ALL[worker::workers]
    first = random.SystemRandom().randrange(len(ports))  # the common one is seeded: every run would begin alike
    return itertools.cycle([*ports[first:], *ports[:first]])


_ports: Final = _share()
_lock: Final = threading.Lock()


def unused_port() -> int:
    """A port at which connections are refused, until the caller lets somebody listen there."""
    while True:
        with _lock:
            port = next(_ports)
        with socket.socket() as probe:
            if sys.platform != "win32":  # where it would take a port in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


@contextmanager
def default_grpc_port() -> Generator[bool]:
    """The port 4317, which no other test uses for the time of the block; yields whether it is free."""
    with Path(tempfile.gettempdir(), "failpath-otel-4317.lock").open("w") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, 4317))
            except OSError:
                free = False
            else:
                free = True
        yield free


def unused_url() -> str:
    """The URL of such a port."""
    return f"http://{HOST}:{unused_port()}"
