"""Connections by the sockets of the operating system where gevent has patched them.

Requests are sent on real threads. gevent's sockets would make an event loop for each, with threads and descriptors of
its own, and a process with such a loop may end by a segmentation fault.
"""

import select
import sys
from collections.abc import Iterable
from typing import Any, Final

from failpath_otel.runtime.threads import unpatched

SOCKET: Final = unpatched("socket", "socket")
_STREAM: Final = unpatched("socket", "SOCK_STREAM")
_poll: Final[Any] = unpatched("select", "poll") if hasattr(select, "poll") else None  # eventlet has taken it away


def connect(host: str, port: int, timeout: float | None, options: Iterable[Any]) -> Any:  # noqa: ANN401 - a socket of a class that type checkers take for another
    """Return a socket that is connected to the first address of a host that answers.

    Raises:
        OSError: there is none.
    """
    failure = OSError("the host has no address")
    for family, kind, protocol, _, address in unpatched("socket", "getaddrinfo")(host, port, 0, _STREAM):
        made = unpatched("socket", "socket")(family, kind, protocol)
        try:
            for option in options:
                made.setsockopt(*option)
            made.settimeout(timeout)
            made.connect(address)
        except OSError as error:
            failure = error
            made.close()
        else:
            return made
    raise failure


def is_readable(connected: Any, seconds: float = 0.0) -> bool:  # noqa: ANN401 - as above
    """Return whether within so many seconds something can be read, or the other end has closed the connection."""
    if sys.platform == "win32" or _poll is None:
        return bool(select.select([connected], [], [], seconds)[0])
    return _polled(connected, select.POLLIN, seconds)


def is_writable(connected: Any, seconds: float) -> bool:  # noqa: ANN401 - as above
    """Return whether within so many seconds something can be written, or the other end has closed the connection."""
    if sys.platform == "win32" or _poll is None:
        return bool(select.select([], [connected], [], seconds)[1])
    return _polled(connected, select.POLLOUT, seconds)


def _polled(connected: Any, events: int, seconds: float) -> bool:  # noqa: ANN401 - as above
    poll = _poll()
    poll.register(connected, events)
    return bool(poll.poll(seconds * 1000))
