"""The adapter of ``requests`` for the way through a proxy, with sockets that heed :func:`bounded.time_limit`."""

import http.client
import inspect
import socket
import ssl
import sys
import threading
from functools import cache
from queue import Empty, Full
from typing import Any, Final, cast

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssltransport import SSLTransport

from failpath_otel.delivery.http import bounded, real_sockets
from failpath_otel.delivery.http.final_answer import FinalAnswer
from failpath_otel.runtime.threads import is_gevent_patched


class _Send(threading.local):
    headers: frozenset[str] = frozenset()


_send: Final = _Send()

_OF_HTTP: Final = frozenset(
    {"host", "accept-encoding", "content-length", "transfer-encoding", "connection", "proxy-authorization"}
)
"""Headers that the adapter and the connection add by themselves, beside those of the request."""


class _Idle:
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


class _Plain(http.client.HTTPConnection):
    """Below urllib3's connections: the methods of the standard library as they were before a tracer patched them.

    Deliveries are not the application's calls, and have no place in its traces.
    """

    response_class = FinalAnswer
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
        connection: socket.socket = _real_connection(self) if is_real else super()._new_conn()
        self._descriptor = bounded.own_descriptor(connection, self.port)
        return cast("socket.socket", bounded.bounded(connection, self._descriptor))


def _real_connection(connection: HTTPConnection) -> Any:  # noqa: ANN401 - a socket, see `real_sockets`
    """Return a socket of the operating system for ``connection``, or raise what urllib3 raises."""
    host = connection.host
    try:
        options = connection.socket_options or ()
        made = real_sockets.connect(host.strip("[]"), connection.port, connection.timeout, options)
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except TimeoutError as error:
        msg = f"Connection to {host} timed out. (connect timeout={connection.timeout})"
        raise ConnectTimeoutError(connection, msg) from error
    except OSError as error:
        msg = f"Failed to establish a new connection: {error}"
        raise NewConnectionError(connection, msg) from error
    sys.audit("http.client.connect", connection, host, connection.port)
    return made


@cache
def _tls_class(kind: Any) -> Any:  # noqa: ANN401 - gevent's
    class Context(kind):  # type: ignore[misc]
        def wrap_socket(self, sock: Any, *_: object, server_hostname: str | None = None, **__: object) -> SSLTransport:  # noqa: ANN401
            return SSLTransport(sock, self, server_hostname)

    return Context


def _tls_context() -> ssl.SSLContext:
    """Return the context that urllib3 would use, but for the sockets.

    Python's own class cannot be set up any more once gevent has put another in its place.
    """
    context: ssl.SSLContext = _tls_class(ssl.SSLContext)(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _TlsConnection(_Connection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    def connect(self) -> None:
        given: Any = self.ssl_context
        if given is None and self._direct and is_gevent_patched():
            self.ssl_context = _tls_context()
        super().connect()
        # Nothing was sent yet. A proxy that makes the connections itself has verified the other end.
        if not (self.proxy_is_verified if self.proxy_is_forwarding else self.is_verified):
            self.close()
            msg = "the certificate was not verified"
            raise ssl.SSLError(msg)
        self.sock = bounded.bounded(self.sock, self._descriptor)


_Pools = dict[str, type[HTTPConnectionPool | HTTPSConnectionPool]]


class _Pool(HTTPConnectionPool):
    QueueCls: Any = _Idle
    urlopen: Any = inspect.unwrap(HTTPConnectionPool.urlopen)
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - as urllib3's own class, it is not typed so


class _TlsPool(HTTPSConnectionPool):
    QueueCls: Any = _Idle
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

    bounded.KINDS.add(socks.socksocket)
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
