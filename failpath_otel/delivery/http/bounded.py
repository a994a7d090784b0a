"""Sockets of which one whole request has one deadline, and that touch no other file (decision 0032)."""

import contextlib
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from math import inf
from time import monotonic
from typing import Any, Final

from failpath_otel.delivery.http import real_sockets
from failpath_otel.runtime.descriptors import SOCKETS_ARE_FILES, OwnedFd


class _Request(threading.local):
    deadline: float | None = None


_request: Final = _Request()


@contextmanager
def time_limit(seconds: float | None) -> Generator[None, None, None]:
    """Give all reads and writes of this thread inside, on sockets of this module, one deadline.

    Beyond it they raise ``TimeoutError``, which ``requests`` shows as one of its own. ``None``: there is no deadline.
    """
    before = _request.deadline
    _request.deadline = None if seconds is None else monotonic() + seconds
    try:
        yield
    finally:
        _request.deadline = before


_SLICE: Final = 0.1
"""Seconds after which a thread that waits for the other end looks again whether the connection is still there."""


def _left() -> float:
    """Return the seconds until the deadline."""
    if _request.deadline is None:
        return inf
    left = _request.deadline - monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _not_ours() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _await(connection: socket.socket, is_ready: Callable[[socket.socket, float], bool]) -> None:
    """Wait until something can be read or written.

    Not by the socket itself: while it waits, its descriptor may be closed, and it would go on with the file that comes
    in its place.
    """
    timeout = connection.gettimeout()
    until = inf if timeout is None else monotonic() + timeout
    while not is_ready(connection, min(_left(), _SLICE)):
        if _let_go_if_foreign(connection):
            raise _not_ours()
        if monotonic() >= until and _request.deadline is None:
            return  # its own time limit, which it raises itself
    if _request.deadline is not None:
        connection.settimeout(_left())
    elif _let_go_if_foreign(connection):
        raise _not_ours()


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
        _let_go_if_foreign(self)  # then this raises
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


KINDS: Final[set[type]] = {real_sockets.SOCKET, socket.socket, ssl.SSLSocket}
"""The classes of sockets that are bounded."""


@cache
def _bounded_class(kind: Any) -> type:  # noqa: ANN401 - one of those
    return type("BoundedSocket", (_Bounded, kind), {"__slots__": ()})


def bounded(connection: Any, owned: OwnedFd | None) -> Any:  # noqa: ANN401 - whatever kind of socket it is
    """Return the connection, which has the deadline of :func:`time_limit` from now on."""
    kind: Any = type(connection)
    # An object of a class gets a class that only adds methods; anything else, as TLS inside of TLS, stays as it is.
    with contextlib.suppress(TypeError):  # a class whose objects cannot get another one
        if kind in KINDS:
            connection.__class__ = _bounded_class(kind)
        if owned is not None and isinstance(connection, _Bounded):
            _owned[id(connection)] = owned
    return connection


def own_descriptor(connection: socket.socket, port: int | None) -> OwnedFd | None:
    """Return the descriptor of a connection that was just made, to ``port`` unless by way of SOCKS.

    ``None`` on Windows, where nothing that closes all files of a process closes its sockets.

    Raises:
        OSError: it belongs to another file by now.
    """
    if not SOCKETS_ARE_FILES:
        return None
    try:
        # Meanwhile it may have been closed, and another file have taken its place.
        owned = OwnedFd(connection.fileno())
        if type(connection) not in {socket.socket, real_sockets.SOCKET} or connection.getpeername()[1] == port:
            return owned
    except (OSError, IndexError):
        pass
    connection.detach()
    raise _not_ours()
