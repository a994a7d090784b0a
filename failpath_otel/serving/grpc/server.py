"""The server of gRPC: its port, its limits, its start and its end (decision 0024)."""

import errno
import os
from collections.abc import Callable
from typing import Final

# Before it is loaded: its core writes to stderr by itself, as about each scan of the port.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import anyio
import grpc
import grpc.aio

from failpath_otel.report import warn
from failpath_otel.serving.addresses import address_of, authority_of, listen
from failpath_otel.serving.grpc.beside import GrpcPortError
from failpath_otel.serving.grpc.calls import Calls
from failpath_otel.serving.tls import Tls

_END_SECONDS: Final = 1.0
"""How long the last responses may take to leave, when all calls have ended."""

_OPTIONS: Final = (
    # A port that is taken is an error, and not shared.
    ("grpc.so_reuseport", 0),
    # Decompressed here, within our own limits: older versions decompress without any.
    ("grpc.per_message_decompression", 0),
    # Identity and gzip.
    ("grpc.compression_enabled_algorithms_bitset", 0b101),
    ("grpc.max_concurrent_streams", 128),
    # Clients may ping every 10 s, as those of Go do at most, also without a call: by default they are cut off for it.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer that is gone is noticed; connections that are not used, or never get to speak HTTP/2, are closed.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.server_handshake_timeout_ms", 20_000),
)


class GrpcServer:
    """Serves services of gRPC at an IP address, in the event loop that it is started in.

    Args:
        host: the IP address.
        port: 0 picks a free one.
        is_required: whether a port that cannot be used is an error, or a warning.
        max_message_bytes: the most bytes of a message, as it comes.
        is_ending: whether the server beside it is about to end.
        tls: by which senders are encrypted.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        is_required: bool,
        max_message_bytes: int,
        is_ending: Callable[[], bool],
        tls: Tls | None = None,
    ) -> None:
        self.calls: Final = Calls(is_ending)
        """Those of all services."""
        self.url: str | None = None
        """Where it serves, as senders name it; ``None`` while it does not."""
        self._host: Final = host
        self._port: Final = port
        self._is_required: Final = is_required
        self._max_message_bytes: Final = max_message_bytes
        self._tls: Final = tls
        self._handlers: Final[list[grpc.GenericRpcHandler]] = []
        self._server: grpc.aio.Server | None = None

    def add(self, *handlers: grpc.GenericRpcHandler) -> None:
        """Add services, before the start."""
        self._handlers.extend(handlers)

    async def start(self) -> None:
        """Begin to serve. Raise :class:`GrpcPortError`, or where the port is not required, warn."""
        options = [*_OPTIONS, ("grpc.max_receive_message_length", self._max_message_bytes)]
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers(self._handlers)
        try:
            port = self._bind(server)
        except GrpcPortError as error:
            if self._is_required:
                raise
            warn(
                "Failpath: gRPC is not served, because port %d cannot be used: %s. HTTP is served. Choose another port"
                " with --grpc-port, or turn gRPC off with --grpc-port off.",
                self._port,
                error.strerror,
            )
            return
        await server.start()
        self._server = server
        self.url = address_of(self._host, port, is_secure=self._tls is not None)

    def _bind(self, server: grpc.aio.Server) -> int:
        try:
            if self._port:
                # gRPC does not say why it cannot.
                listen(self._host, self._port).close()
            authority = authority_of(self._host, self._port)
            if self._tls is None:
                return server.add_insecure_port(authority)
            return server.add_secure_port(authority, _credentials(self._tls))
        except RuntimeError:
            raise GrpcPortError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
        except OSError as error:
            raise GrpcPortError(error.errno, error.strerror) from None

    async def stop(self, grace_seconds: float) -> None:
        """End: refuse new calls, and cancel those that are in progress after ``grace_seconds``."""
        await self.calls.drain(grace_seconds)
        if self._server is not None:
            # It cancels the calls in time, and then waits for connections, which a peer can make it do for long.
            with anyio.move_on_after(2 * _END_SECONDS):
                await self._server.stop(_END_SECONDS)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    client_ca = None if tls.client_ca is None else tls.client_ca.read_bytes()
    pair = tls.key.read_bytes(), tls.certificate.read_bytes()
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)
