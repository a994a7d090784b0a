"""HTTP connections of which one whole request has one deadline (decision 0032)."""

import contextlib
import errno
import http.client
import inspect
import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from math import inf
from time import monotonic
from typing import Any, Final, cast

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from failpath_otel.delivery.http import real_sockets
from failpath_otel.runtime.descriptors import OwnedFd
from failpath_otel.runtime.threads import is_gevent_patched


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
    """Give all reads and writes of this thread inside, on connections of :class:`BoundedAdapter`, one deadline.

    Beyond it they raise ``TimeoutError``, which ``requests`` shows as one of its own. ``None``: there is no deadline.
    """
    before = _send.deadline
    _send.deadline = None if seconds is None else monotonic() + seconds
    try:
        yield
    finally:
        _send.deadline = before


_SLICE: Final = 0.1
"""Seconds after which a thread that waits for the other end looks again whether the connection is still there."""


def _limit(connection: socket.socket) -> float:
    """Return the seconds until the deadline, or a slice of them, and have the socket keep to them."""
    if _let_go_if_foreign(connection):
        raise _not_ours()
    if _send.deadline is None:
        return _SLICE
    left = _send.deadline - monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    connection.settimeout(left)
    return min(left, _SLICE)


def _not_ours() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _await(connection: socket.socket, is_ready: Callable[[socket.socket, float], bool]) -> None:
    """Wait until something can be read or written.

    Not by the socket itself: while it waits, its descriptor may be closed, and it would go on with the file that comes
    in its place.
    """
    timeout = connection.gettimeout()
    until = inf if timeout is None else monotonic() + timeout
    while not is_ready(connection, _limit(connection)):
        if monotonic() >= until and _send.deadline is None:
            return  # its own time limit, which it raises itself
    _limit(connection)


_owned: Final[dict[int, OwnedFd]] = {}
"""The descriptors of sockets, by the `id` of these: what the garbage collector is about to end is in no weak table."""


def _let_go_if_foreign(connection: socket.socket, owned: dict[int, OwnedFd] = _owned) -> bool:
    """Forget a descriptor that something else has closed, and return whether it was: it may be the application's."""
    found = owned.get(id(connection))
    if found is None or connection.fileno() < 0 or found.is_valid():
        return False
    connection.detach()
    return True


def _end(connection: socket.socket, owned: dict[int, OwnedFd] = _owned) -> None:
    """Run at the last moment of a socket, which would close its descriptor."""
    try:
        _let_go_if_foreign(connection, owned)
    except Exception:  # noqa: BLE001 - at the end of the interpreter the modules have lost their names
        connection.detach()
    owned.pop(id(connection), None)


class _Bounded:
    """Goes before a class of sockets, and adds methods alone: they heed the deadline, and touch no other file."""

    __slots__ = ()

    def __del__(self: Any, end: Callable[[Any], None] = _end) -> None:
        end(self)
        further = getattr(super(), "__del__", None)  # gevent's sockets have none
        if further is not None:
            further()

    def close(self: Any) -> None:
        _let_go_if_foreign(self)
        super().close()  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]

    def settimeout(self: Any, value: float | None) -> None:
        _let_go_if_foreign(self)
        super().settimeout(value)  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]

    def recv(self: Any, *args: Any, **kwargs: Any) -> bytes:  # noqa: ANN401 - passed on
        _await_bytes(self)
        return super().recv(*args, **kwargs)  # type: ignore[misc, no-any-return] # pyright: ignore[reportAttributeAccessIssue]

    def recv_into(self: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on
        _await_bytes(self)
        return super().recv_into(*args, **kwargs)  # type: ignore[misc, no-any-return] # pyright: ignore[reportAttributeAccessIssue]

    def send(self: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - passed on
        _await(self, real_sockets.is_writable)
        return super().send(*args, **kwargs)  # type: ignore[misc, no-any-return] # pyright: ignore[reportAttributeAccessIssue]

    def sendall(self: Any, data: Any, flags: int = 0) -> None:  # noqa: ANN401 - passed on
        with memoryview(data) as view, view.cast("B") as left:
            sent = 0
            while sent < len(left):
                sent += self.send(left[sent:], flags)


def _await_bytes(connection: Any) -> None:  # noqa: ANN401 - a bounded one
    if not getattr(connection, "pending", int)():  # bytes that TLS has decrypted already
        _await(connection, real_sockets.is_readable)


_KINDS: Final[set[type]] = {real_sockets.SOCKET, socket.socket, ssl.SSLSocket}
"""The classes of sockets that are bounded."""


@cache
def _bounded_class(kind: Any) -> type:  # noqa: ANN401 - one of those
    return type("BoundedSocket", (_Bounded, kind), {"__slots__": ()})


def _bounded(connection: Any, owned: OwnedFd) -> Any:  # noqa: ANN401 - whatever kind of socket urllib3 has made
    kind: Any = type(connection)
    # An object of a class gets a class that only adds methods; anything else, as TLS inside of TLS, stays as it is.
    with contextlib.suppress(TypeError):  # a class whose objects cannot get another one
        if kind in _KINDS:
            connection.__class__ = _bounded_class(kind)
        if isinstance(connection, _Bounded):
            _owned[id(connection)] = owned
    return connection


def _connected(connection: socket.socket, port: int | None) -> OwnedFd:
    """Return the descriptor of a connection that was just made, to ``port`` unless by way of SOCKS."""
    try:
        # Meanwhile it may have been closed, and another file have taken its place.
        owned = OwnedFd(connection.fileno())
        if type(connection) not in {socket.socket, real_sockets.SOCKET} or connection.getpeername()[1] == port:
            return owned
    except (OSError, IndexError):
        pass
    connection.detach()
    raise _not_ours()


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
        if not is_gevent_patched():
            return super().is_connected
        return self.sock is not None and not real_sockets.is_readable(self.sock)

    def putheader(self, header: Any, *values: Any) -> None:  # noqa: ANN401 - passed on
        # A header that a tracer has added would show the application's traces to Failpath.
        if header.lower() in _send.headers or header.lower() in _OF_HTTP:
            super().putheader(header, *values)

    def _new_conn(self) -> socket.socket:  # private of urllib3: a proxy's tunnel is dug before `connect` returns
        is_real = self._direct and is_gevent_patched()
        connection: socket.socket = real_sockets.connect(self) if is_real else super()._new_conn()
        self._descriptor = _connected(connection, self.port)
        return cast("socket.socket", _bounded(connection, self._descriptor))


class _TlsConnection(_Connection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    def connect(self) -> None:
        given: Any = self.ssl_context
        if given is None and self._direct and is_gevent_patched():
            self.ssl_context = real_sockets.tls_context()
        super().connect()
        # Nothing was sent yet. A proxy that makes the connections itself has verified the other end.
        if not (self.proxy_is_verified if self.proxy_is_forwarding else self.is_verified):
            self.close()
            msg = "the certificate was not verified"
            raise ssl.SSLError(msg)
        self.sock = _bounded(self.sock, self._descriptor)


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
    """Return the pools behind a SOCKS proxy; made where there is one, because they need PySocks."""
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

    _KINDS.add(socks.socksocket)
    return {"http": _SocksPool, "https": _SocksTlsPool}


class BoundedAdapter(HTTPAdapter):
    """The adapter of ``requests``, with connections that heed :func:`time_limit` and that no tracer has patched."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - passed on
        """Send the request, with the headers that it has and no others."""
        _send.headers = frozenset(name.lower() for name in request.headers)
        return super().send(request, *args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        """Make the pools; called by ``requests``."""
        super().init_poolmanager(*args, **kwargs)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        """Make the pools behind a proxy; called by ``requests``."""
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
