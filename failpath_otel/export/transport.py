"""HTTP connections of which one whole request has one deadline.

``requests`` has a limit for each read and none for all of them: with ``timeout=1.0``, a server that sends a byte now
and then keeps a request open for as long as it likes. Here the socket itself asks, before every read and write, how
much time is left. That covers all but the look-up of the host's name.
"""

import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Deadline(threading.local):
    at: float | None = None


_deadline: Final = _Deadline()


@contextmanager
def time_limit(seconds: float | None) -> Generator[None, None, None]:
    """Gives all reads and writes that this thread does inside, on connections of :class:`BoundedAdapter`, one deadline.

    Beyond it they raise ``TimeoutError``, which ``requests`` shows as one of its own. ``None``: there is no deadline.
    """
    before = _deadline.at
    _deadline.at = None if seconds is None else monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = before


def _limit(connection: socket.socket) -> None:
    if _deadline.at is None:
        return
    left = _deadline.at - monotonic()
    if left <= 0:
        msg = "timed out"
        raise TimeoutError(msg)
    connection.settimeout(left)


class _BoundedSocket(socket.socket):
    __slots__ = ()

    def recv_into(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on
        _limit(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        _limit(self)
        super().sendall(*args, **kwargs)


class _BoundedTlsSocket(ssl.SSLSocket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on
        _limit(self)
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on; `sendall` calls it piece by piece
        _limit(self)
        return super().send(*args, **kwargs)


def _bounded(connection: Any) -> Any:  # noqa: ANN401 - whatever kind of socket urllib3 has made
    # An object of a class gets a class that only adds methods; anything else, as TLS inside of TLS, stays as it is.
    if type(connection) is socket.socket:
        connection.__class__ = _BoundedSocket
    elif type(connection) is ssl.SSLSocket:
        connection.__class__ = _BoundedTlsSocket
    return connection


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _bounded(self.sock)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _bounded(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - as urllib3's own class, it is not typed so


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


class BoundedAdapter(HTTPAdapter):
    """The adapter of ``requests``, with connections that heed :func:`time_limit`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Makes the pools; called by ``requests``."""
        super().init_poolmanager(*args, **kwargs)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        """Makes the pools behind a proxy; called by ``requests``."""
        manager = super().proxy_manager_for(*args, **kwargs)
        self._bind(manager)
        return manager

    @staticmethod
    def _bind(manager: PoolManager) -> None:
        pools: dict[str, type[HTTPConnectionPool | HTTPSConnectionPool]] = {"http": _Pool, "https": _TlsPool}
        manager.pool_classes_by_scheme = pools
