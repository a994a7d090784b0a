"""Connections by the sockets of the operating system where gevent has patched them.

Requests are sent on real threads. gevent's sockets would make an event loop for each, with threads and descriptors of
its own, and a process with such a loop may end by a segmentation fault.
"""

import select
import ssl
import sys
from functools import cache
from queue import Empty, Full
from typing import Any, Final

from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssltransport import SSLTransport

from failpath_otel.runtime.threads import unpatched

SOCKET: Final = unpatched("socket", "socket")
_getaddrinfo: Final = unpatched("socket", "getaddrinfo")
_gaierror: Final = unpatched("socket", "gaierror")
_STREAM: Final = unpatched("socket", "SOCK_STREAM")


class Idle:
    """The connections of a pool that are not in use: Python's ``LifoQueue`` without the locks, which gevent patches.

    It is used by one thread at a time, and pools of ``requests`` wait for no connection.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize: Final = maxsize
        self._items: Final[list[Any]] = []

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - as there
        """Put one more, if there is room."""
        if len(self._items) >= self._maxsize > 0:
            raise Full
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002, ANN401, FBT001, FBT002 - as there
        """Return the one that came last."""
        if not self._items:
            raise Empty
        return self._items.pop()

    def qsize(self) -> int:
        """Return how many there are."""
        return len(self._items)


def connect(connection: HTTPConnection) -> Any:  # noqa: ANN401 - a socket of a class that type checkers take for another
    """Return a socket for ``connection``, made as urllib3 makes it.

    Raises:
        HTTPError: one of urllib3's own; there is none.
    """
    host = connection.host
    try:
        made = _connect(connection)
    except _gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except TimeoutError as error:
        msg = f"Connection to {host} timed out. (connect timeout={connection.timeout})"
        raise ConnectTimeoutError(connection, msg) from error
    except OSError as error:
        msg = f"Failed to establish a new connection: {error}"
        raise NewConnectionError(connection, msg) from error
    sys.audit("http.client.connect", connection, host, connection.port)
    return made


def _connect(connection: HTTPConnection) -> Any:  # noqa: ANN401 - as above
    failure = OSError("the host has no address")
    host = connection.host.strip("[]")
    for family, kind, protocol, _, address in _getaddrinfo(host, connection.port, 0, _STREAM):
        made = SOCKET(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                made.setsockopt(*option)
            made.settimeout(connection.timeout)
            made.connect(address)
        except OSError as error:
            failure = error
            made.close()
        else:
            return made
    raise failure


def is_readable(connected: Any, seconds: float = 0.0) -> bool:  # noqa: ANN401 - as above
    """Return whether within so many seconds something can be read, or the other end has closed the connection."""
    return _is_ready(connected, select.POLLIN, seconds)


def is_writable(connected: Any, seconds: float) -> bool:  # noqa: ANN401 - as above
    """Return whether within so many seconds something can be written, or the other end has closed the connection."""
    return _is_ready(connected, select.POLLOUT, seconds)


def _is_ready(connected: Any, events: int, seconds: float) -> bool:  # noqa: ANN401 - as above
    poll = unpatched("select", "poll")()
    poll.register(connected, events)
    return bool(poll.poll(seconds * 1000))


def tls_context() -> ssl.SSLContext:
    """Return the context that urllib3 would use, but for the sockets.

    Python's own class cannot be set up any more once gevent has put another in its place.
    """
    context: ssl.SSLContext = _tls_class(ssl.SSLContext)(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@cache
def _tls_class(kind: Any) -> Any:  # noqa: ANN401 - gevent's
    class Context(kind):  # type: ignore[misc]
        def wrap_socket(self, sock: Any, *_: object, server_hostname: str | None = None, **__: object) -> SSLTransport:  # noqa: ANN401
            return SSLTransport(sock, self, server_hostname)

    return Context
