"""HTTP connections of which one whole request has one deadline.

``requests`` has a limit for each read and none for all of them: with ``timeout=1.0``, a server that sends a byte now
and then keeps a request open for as long as it likes. Here the socket itself asks, before every read and write, how
much time is left. That covers all but the look-up of the host's name, and the way to a host with several addresses of
which none answers, or through a SOCKS proxy: each of them has the whole time.
"""

import contextlib
import http.client
import inspect
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from time import monotonic
from typing import Any, Final
from weakref import WeakKeyDictionary

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from failpath_otel.export import real_sockets
from failpath_otel.journal.owned import Owned
from failpath_otel.threads import beside_gevent


class _Send(threading.local):
    deadline: float | None = None
    headers: frozenset[str] = frozenset()


_send: Final = _Send()

_OF_HTTP: Final = frozenset(
    {"host", "accept-encoding", "content-length", "transfer-encoding", "connection", "proxy-authorization"}
)
"""Headers that the adapter and the connection add by themselves, beside those of the request."""

_INTERIM: Final = frozenset(range(100, 200)) - {101}
_MAX_INTERIM: Final = 100
"""Interim answers that are waited for to end."""


@contextmanager
def time_limit(seconds: float | None) -> Generator[None, None, None]:
    """Gives all reads and writes that this thread does inside, on connections of :class:`BoundedAdapter`, one deadline.

    Beyond it they raise ``TimeoutError``, which ``requests`` shows as one of its own. ``None``: there is no deadline.
    """
    before = _send.deadline
    _send.deadline = None if seconds is None else monotonic() + seconds
    try:
        yield
    finally:
        _send.deadline = before


def _limit(connection: socket.socket) -> None:
    if _send.deadline is None:
        return
    left = _send.deadline - monotonic()
    if left <= 0:
        msg = "timed out"
        raise TimeoutError(msg)
    connection.settimeout(left)


_owned: Final["WeakKeyDictionary[socket.socket, Owned]"] = WeakKeyDictionary()


def _let_go_if_foreign(connection: socket.socket) -> None:
    """Forgets a descriptor that somebody else has closed: by now it may be a file of the application's."""
    owned = _owned.get(connection)
    try:
        if owned is not None and connection.fileno() >= 0:
            _ = owned.number
    except OSError:
        connection.detach()


class _Bounded:
    """Goes before a class of sockets, and adds methods alone."""

    __slots__ = ()

    def close(self: Any) -> None:
        _let_go_if_foreign(self)
        super().close()  # type: ignore[misc]

    def recv_into(self: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on
        _limit(self)
        read: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        return read


class _BoundedSocket(_Bounded):
    __slots__ = ()

    def recv(self: Any, *args: Any, **kwargs: Any) -> bytes:  # noqa: ANN401 - passed on
        _limit(self)
        read: bytes = super().recv(*args, **kwargs)  # type: ignore[misc]
        return read

    def sendall(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        _limit(self)
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class _BoundedTlsSocket(_Bounded):
    __slots__ = ()

    def send(self: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on; `sendall` calls it piece by piece
        _limit(self)
        sent: int = super().send(*args, **kwargs)  # type: ignore[misc]
        return sent


_KINDS: Final[dict[type, type[_Bounded]]] = {
    real_sockets.SOCKET: _BoundedSocket,
    socket.socket: _BoundedSocket,
    ssl.SSLSocket: _BoundedTlsSocket,
}
"""The classes of sockets that are bounded, and what goes before them."""


@cache
def _bounded_class(kind: Any) -> type:  # noqa: ANN401 - one of those
    return type(_KINDS[kind].__name__, (_KINDS[kind], kind), {"__slots__": ()})


def _bounded(connection: Any) -> Any:  # noqa: ANN401 - whatever kind of socket urllib3 has made
    kind: Any = type(connection)
    # An object of a class gets a class that only adds methods; anything else, as TLS inside of TLS, stays as it is.
    with contextlib.suppress(TypeError):  # a class whose objects cannot get another one
        if kind in _KINDS:
            connection.__class__ = _bounded_class(kind)
        if issubclass(type(connection), _Bounded):
            _owned[connection] = Owned(connection.fileno())
    return connection


class _FinalAnswer(http.client.HTTPResponse):
    """The answer that counts: interim ones (103 Early Hints) are read over, of which `http.client` knows only 100."""

    def begin(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().begin(*args, **kwargs)
        for _ in range(_MAX_INTERIM):
            if self.status not in _INTERIM:
                break
            self.headers = self.msg = None  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
            super().begin(*args, **kwargs)


class _Plain(http.client.HTTPConnection):
    """Below urllib3's connections: the methods of the standard library as they were before a tracer patched them.

    Deliveries are not the application's calls, and have no place in its traces.
    """

    response_class = _FinalAnswer
    request: Any = inspect.unwrap(http.client.HTTPConnection.request)
    putrequest: Any = inspect.unwrap(http.client.HTTPConnection.putrequest)
    getresponse: Any = inspect.unwrap(http.client.HTTPConnection.getresponse)


class _Connection(HTTPConnection, _Plain):  # pyright: ignore[reportIncompatibleVariableOverride] - `host`
    _direct: bool = True

    @property
    def is_connected(self) -> bool:
        return _is_connected(self) if beside_gevent() else super().is_connected

    def putheader(self, header: Any, *values: Any) -> None:  # noqa: ANN401 - passed on
        if _is_ours(header):
            super().putheader(header, *values)

    def _new_conn(self) -> socket.socket:  # private of urllib3: a proxy's tunnel is dug before `connect` returns
        is_real = self._direct and beside_gevent()
        connection: socket.socket = _bounded(real_sockets.connect(self) if is_real else super()._new_conn())
        return connection


class _TlsConnection(HTTPSConnection, _Plain):  # pyright: ignore[reportIncompatibleVariableOverride]
    _direct: bool = True

    @property
    def is_connected(self) -> bool:
        return _is_connected(self) if beside_gevent() else super().is_connected

    def putheader(self, header: Any, *values: Any) -> None:  # noqa: ANN401 - passed on
        if _is_ours(header):
            super().putheader(header, *values)

    def _new_conn(self) -> socket.socket:
        is_real = self._direct and beside_gevent()
        connection: socket.socket = _bounded(real_sockets.connect(self) if is_real else super()._new_conn())
        return connection

    def connect(self) -> None:
        given: Any = self.ssl_context
        if given is None and self._direct and beside_gevent():
            self.ssl_context = real_sockets.tls_context()
        super().connect()
        # Nothing was sent yet. A proxy that makes the connections itself has verified the other end.
        # (Before 2.2, urllib3 says of such a connection that it is verified, and has no name for it.)
        forwarding = getattr(self, "proxy_is_forwarding", False)
        if not (self.proxy_is_verified if forwarding else self.is_verified):
            self.close()
            msg = "the certificate was not verified"
            raise ssl.SSLError(msg)
        self.sock = _bounded(self.sock)


def _is_connected(connection: HTTPConnection) -> bool:
    return connection.sock is not None and not real_sockets.is_readable(connection.sock)


def _is_ours(header: str) -> bool:
    """Whether no tracer has added this header, which would tell Failpath of the application's traces."""
    return header.lower() in _send.headers or header.lower() in _OF_HTTP


_Pools = dict[str, type[HTTPConnectionPool | HTTPSConnectionPool]]


class _Pool(HTTPConnectionPool):
    QueueCls: Any = real_sockets.Idle
    urlopen: Any = inspect.unwrap(HTTPConnectionPool.urlopen)
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - as urllib3's own class, it is not typed so


class _TlsPool(HTTPSConnectionPool):
    QueueCls: Any = real_sockets.Idle
    urlopen: Any = inspect.unwrap(HTTPSConnectionPool.urlopen)
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


@cache
def _socks_pools() -> _Pools:
    """The pools behind a SOCKS proxy; made where there is one, because they need PySocks."""
    import socks  # type: ignore[import-untyped] # noqa: PLC0415
    from urllib3.contrib import socks as pools  # noqa: PLC0415

    class _SocksConnection(_Connection, pools.SOCKSConnection):  # pyright: ignore[reportIncompatibleMethodOverride]
        _direct = False

    class _SocksTlsConnection(_TlsConnection, pools.SOCKSHTTPSConnection):  # pyright: ignore[reportIncompatibleMethodOverride]
        _direct = False

    class _SocksPool(_Pool, pools.SOCKSHTTPConnectionPool):
        ConnectionCls: Any = _SocksConnection

    class _SocksTlsPool(_TlsPool, pools.SOCKSHTTPSConnectionPool):
        ConnectionCls: Any = _SocksTlsConnection

    _KINDS[socks.socksocket] = _BoundedSocket
    return {"http": _SocksPool, "https": _SocksTlsPool}


class BoundedAdapter(HTTPAdapter):
    """The adapter of ``requests``, with connections that heed :func:`time_limit` and that no tracer has patched."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - passed on
        """Sends the request, with the headers that it has and no others."""
        _send.headers = frozenset(name.lower() for name in request.headers)
        return super().send(request, *args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Makes the pools; called by ``requests``."""
        super().init_poolmanager(*args, **kwargs)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        """Makes the pools behind a proxy; called by ``requests``."""
        manager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, ProxyManager):
            self._bind(manager)
        else:
            manager.pool_classes_by_scheme = _socks_pools()
        return manager

    @staticmethod
    def _bind(manager: PoolManager) -> None:
        pools: _Pools = {"http": _Pool, "https": _TlsPool}
        manager.pool_classes_by_scheme = pools
