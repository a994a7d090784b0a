"""More ways in which a server can fail, for :mod:`tests.fault_server`; those with a ``then`` go on as that does."""

import random
import socket
import struct
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, Final

from tests.fault_server import Behaviour, Exchange, accepted, head, json_answer, status

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def slow(seconds: float, then: Behaviour = accepted) -> Behaviour:
    """Thinks for so long first."""

    def behave(exchange: Exchange) -> bool:
        return not exchange.closing.wait(seconds) and then(exchange)

    return behave


def trickled_body(size: int, interval: float) -> Behaviour:
    """Sends the head of an answer at once, and its body one byte at a time."""

    def behave(exchange: Exchange) -> bool:
        exchange.send(head(200, size, {"Content-Type": "application/json"}))
        for _ in range(size):
            if exchange.closing.wait(interval):
                break
            exchange.send(b" ")
        return False

    return behave


def reset(*, reads: bool = True, takes: bool = False) -> Behaviour:
    """Resets the connection; with ``takes`` when the events are its own, without ``reads`` before it has their body."""

    def behave(exchange: Exchange) -> bool:
        if takes:
            exchange.take()
        exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return False

    behave.reads_body = reads  # type: ignore[attr-defined]
    return behave


def truncated(*, takes: bool = False) -> Behaviour:
    """Breaks off in the middle of an answer; with ``takes`` the events are its own by then."""

    def behave(exchange: Exchange) -> bool:
        if takes:
            exchange.take()
        exchange.send(head(202, 1000, {"Content-Type": "application/json"}) + b'{"rejected"')
        return False

    return behave


def asks_for_peace(code: int, seconds: int, *, as_date: bool = False) -> Behaviour:
    """A status with ``Retry-After``, which is a number or a date."""

    def behave(exchange: Exchange) -> bool:
        until = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        return status(code, Retry_After=format_datetime(until, usegmt=True) if as_date else str(seconds))(exchange)

    return behave


def too_large_beyond(size: int, then: Behaviour = accepted) -> Behaviour:
    """413 to any body of more bytes, and be it that of a single event."""

    def behave(exchange: Exchange) -> bool:
        return (status(413) if len(exchange.request.body) > size else then)(exchange)

    return behave


def rejecting_where(wrong: Callable[[dict[str, Any]], bool], reason: str = "unknown flow") -> Behaviour:
    """Takes all events but those that are ``wrong``."""

    def behave(exchange: Exchange) -> bool:
        indexes = [index for index, event in enumerate(exchange.request.events) if wrong(event)]
        entries = [{"index": index, "reason": reason} for index in indexes]
        return json_answer({"rejected": entries}, takes=indexes)(exchange)

    return behave


def knowing_key(key: str, then: Behaviour = accepted, code: int = 401) -> Behaviour:
    """Refuses all other project keys."""

    def behave(exchange: Exchange) -> bool:
        known = exchange.request.headers.get("authorization") == f"Bearer {key}"
        return (then if known else status(code))(exchange)

    return behave


STORM: Final[Sequence[Behaviour]] = (
    *(asks_for_peace(429, 1), asks_for_peace(429, 1, as_date=True), status(429)),
    *(asks_for_peace(503, 1), status(503), status(500)),
    *(reset(), reset(takes=True), truncated(), truncated(takes=True)),
    slow(0.3),
)
"""What a storm is made of. Without ``reset(reads=False)``, for which a server has to know beforehand what will come."""


def storm(seed: int, calm: float = 0.3, of: Sequence[Behaviour] = STORM) -> Behaviour:
    """One of many behaviours a request, the same ones for the same seed; ``calm`` is the part that is accepted."""
    chance = random.Random(seed)

    def behave(exchange: Exchange) -> bool:
        return (accepted if chance.random() < calm else chance.choice(of))(exchange)

    return behave
