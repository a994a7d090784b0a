"""Ports that nobody listens on, for servers that are down, not up yet, or about to come back."""

import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"

_PORTS: Final = range(20_000, 30_000)
"""Outside of those from which the systems pick (Linux: 32768 to 60999, others: 49152 to 65535).

A port of theirs may be anybody's a moment after it was seen unused, and then what a test sends to nobody reaches a
server of another test.
"""

_random: Final = (
    random.SystemRandom()
)  # the tests seed the common one: every process of theirs would pick the same port


def unused_port() -> int:
    """A port at which connections are refused, until the caller lets somebody listen there."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return port


def unused_url() -> str:
    """The URL of such a port."""
    return f"http://{HOST}:{unused_port()}"
