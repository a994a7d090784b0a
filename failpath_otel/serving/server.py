"""A server as a process: socket, signals, and a shutdown with exit code 0."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Generator
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any, Final, Protocol

import uvicorn
from starlette.types import ASGIApp

from failpath_otel.serving.grpc_refusal import GrpcRefusal
from failpath_otel.serving.tls import Tls, keep_small_buffers

if sys.platform != "win32":
    import resource

_IDLE_SECONDS: Final = 20.0
"""How long a connection may stay without a complete request head, or one with TLS without a complete handshake; Uvicorn
has no such limit, and asyncio one of a minute."""

_UNKNOWN: Final = object()
_TICKS: Final = 10
"""A check each second: Uvicorn ticks ten times."""


class Beside(Protocol):
    """A server of gRPC, which is started before this one, and ends with it."""

    url: str | None
    """Where it serves; ``None`` while it does not."""

    async def start(self) -> None:
        """Begin to serve."""

    async def stop(self, grace_seconds: float) -> None:
        """End, and cancel after ``grace_seconds`` what is in progress."""


class Server(uvicorn.Server):
    """Uvicorn's server, with callbacks for start and shutdown, which ends on a signal without an error.

    Args:
        app: the application.
        ready: called when it accepts requests.
        ending: called before it waits for requests in progress, to end those that would not end by themselves.
        grace_seconds: how long requests in progress may take at shutdown.
        tls: by which clients are encrypted.
        grpc: the server of gRPC beside it, if there is one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ready: Callable[[], None],
        ending: Callable[[], None],
        grace_seconds: int,
        tls: Tls | None = None,
        grpc: Beside | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                GrpcRefusal(app, lambda: None if grpc is None else grpc.url),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                # The application logs its own failures; the rest are requests that the shutdown cut short.
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # Not the 5 s after which OpenTelemetry's exporters send again, to a closed connection.
                timeout_keep_alive=8,
                timeout_graceful_shutdown=grace_seconds,
                **({} if tls is None else tls.of_uvicorn()),
            )
        )
        if tls is not None:
            keep_small_buffers()
        self._grpc = grpc
        self._grace_seconds = grace_seconds
        self._ready = ready
        self._ending = ending
        self._idle: dict[Any, tuple[object, float]] = {}  # connections, with their last requests and since when

    def stop_on_signals(self) -> None:
        """Stop the server, not the process, on Ctrl-C and SIGTERM. Main thread only."""
        # Uvicorn handles both signals while it serves, and raises them again afterwards for these handlers.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, and call ``ready``."""
        if self._grpc is not None:
            await self._grpc.start()
        with contextlib.nullcontext() if self.config.ssl is None else _short_handshakes():
            await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Close idle connections."""
        if counter % _TICKS == 0:
            self._close_idle(monotonic())
        return await super().on_tick(counter)

    def _close_idle(self, now: float) -> None:
        before, self._idle = self._idle, {}
        for connection in tuple(getattr(self.server_state, "connections", ())):
            # Uvicorn documents none of these names. If one moves, its connections are left alone.
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
        """Accept no more requests, and wait for those in progress."""
        self._ending()
        if self._grpc is None:
            await super().shutdown(sockets)
        else:
            await asyncio.gather(super().shutdown(sockets), self._grpc.stop(self._grace_seconds))


@contextlib.contextmanager
def _short_handshakes() -> Generator[None, None, None]:
    """Have the servers that are made in the block wait no longer for a handshake, for which Uvicorn has no option."""
    loop = asyncio.get_running_loop()
    vars(loop)["create_server"] = partial(loop.create_server, ssl_handshake_timeout=_IDLE_SECONDS)
    try:
        yield
    finally:
        del vars(loop)["create_server"]


def allow_many_connections() -> None:
    """Raise the limit of open files to the hard one: each connection is a file, and so is each of the journal."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            with contextlib.suppress(ValueError, OSError):  # macOS accepts less than it reports
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
