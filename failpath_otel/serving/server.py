"""A server as a process: a socket, signals, and an end that is a success."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from time import monotonic
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from failpath_otel.serving.grpc import GrpcTold

if sys.platform != "win32":
    import resource

LOOPBACK: Final = "127.0.0.1"
_IPV4: Final = 4

_IDLE_SECONDS: Final = 20.0
"""How long a connection may be there without a whole head of a request: Uvicorn would wait for one without end."""

_UNKNOWN: Final = object()
_TICKS: Final = 10
"""One look a second: Uvicorn ticks ten times."""


class Server(uvicorn.Server):
    """Uvicorn's server, which says when it is ready and ends a process that was asked to end as a success.

    Args:
        app: what it serves.
        ready: called when it takes requests.
        ending: called before it waits for the requests that are under way: some of them end for nothing else.
        grace_seconds: how long requests that are under way at the end may take.
    """

    def __init__(
        self, app: ASGIApp, *, ready: Callable[[], None], ending: Callable[[], None], grace_seconds: int
    ) -> None:
        super().__init__(
            uvicorn.Config(
                GrpcTold(app, address_of),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                # The application logs its own failures; what is left are requests that the end cut short.
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # Not the 5 s after which OpenTelemetry's exporters send again: their request would meet the end.
                timeout_keep_alive=8,
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self._ready = ready
        self._ending = ending
        self._idle: dict[Any, tuple[object, float]] = {}  # connections, their last requests, and since when

    def stop_on_signals(self) -> None:
        """Lets Ctrl-C and SIGTERM end it, and the process go on. Main thread only."""
        # Uvicorn handles both signals while it serves, and afterwards raises them again for these handlers.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, and says so."""
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Closes connections on which nothing comes."""
        if counter % _TICKS == 0:
            self._close_idle(monotonic())
        return await super().on_tick(counter)

    def _close_idle(self, now: float) -> None:
        before, self._idle = self._idle, {}
        for connection in tuple(getattr(self.server_state, "connections", ())):
            # Uvicorn documents none of these names. Where one has moved, its connections are left alone.
            cycle = getattr(connection, "cycle", _UNKNOWN)
            transport = getattr(connection, "transport", None)
            if transport is None or not (cycle is None or getattr(cycle, "response_complete", False)):
                continue
            known, since = before.get(connection, (cycle, now))
            if known is not cycle:
                since = now
            if now - since < _IDLE_SECONDS:
                self._idle[connection] = cycle, since
            else:
                transport.abort()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no more requests, and waits for those that are under way."""
        self._ending()
        await super().shutdown(sockets)


def allow_many_connections() -> None:
    """Lets this process have as many files open as it may: each connection is one, and so are the journal's."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS takes less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def address_of(host: str, port: int) -> str:
    """The URL as this machine sees it; an address that stands for all of a machine's is none to go to."""
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address(LOOPBACK if address.version == _IPV4 else "::1")
    return f"http://{address}:{port}" if address.version == _IPV4 else f"http://[{address}]:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an IP address; port 0 picks a free one. Raises ``OSError``."""
    listener = socket.socket(socket.AF_INET if ip_address(host).version == _IPV4 else socket.AF_INET6)
    try:
        if os.name == "posix":
            # A port that was in use until a moment ago is free; on Windows the option would take it from its owner.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
