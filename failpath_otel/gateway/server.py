"""The gateway as a process: socket, pipeline, signals, and a shutdown that loses nothing."""

import gc
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.gateway.app import Gateway, create_app
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.options.options import Options
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.serving.addresses import address_of, listen
from failpath_otel.serving.grpc.beside import GrpcSettings, and_grpc
from failpath_otel.serving.log_format import announce
from failpath_otel.serving.other_signals import OtherSignals, Signal
from failpath_otel.serving.server import Server, allow_many_connections
from failpath_otel.serving.tls import Tls

for _name in ("google.protobuf", "opentelemetry.proto", "prometheus_client"):
    # Loaded with the first request that needs it; said now if it is missing.
    if find_spec(_name) is None:
        raise ModuleNotFoundError(f"No module named {_name!r}", name=_name)

_GRACE_SECONDS: Final = 5
"""How long requests in progress may take at shutdown."""

_GC_THRESHOLD: Final = 50_000
"""New objects that start a garbage collection; a hundred spans reach Python's default of 700."""

_GC_THRESHOLD_WITH_TLS: Final = 5_000
"""The same with TLS: a handshake that fails leaves fifty objects in cycles, and with them 130 KiB."""


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a user.

    Args:
        token: every sender must present it.
        origins: web pages of these origins may send.
        discarded: signals that are taken and discarded.
        grpc: whether gRPC is served, and where.
        tls: by which senders are encrypted.
    """

    token: str | None = None
    origins: Collection[str] = ()
    discarded: Collection[Signal] = ()
    grpc: GrpcSettings = field(default_factory=GrpcSettings)
    tls: Tls | None = None


def serve(port: int, host: str, settings: ServerSettings, options: Options) -> None:
    """Serve at an IP address until Ctrl-C or SIGTERM; print one line when ready. Main thread only.

    Port 0 picks a free one. At the end it finishes requests in progress, delivers for at most 5 s, and leaves the rest
    in the journal.

    Raises ``OSError`` if the port cannot be used (``GrpcPortError`` if it is that of gRPC), and ``ConfigurationError``
    if delivery is turned off, or gRPC is asked for and not installed.
    """
    if not options.enabled:
        raise ConfigurationError("the gateway would deliver nothing: FAILPATH_ENABLED turns delivery off")
    tls = settings.tls
    grpc = settings.grpc.server(host, tls, MAX_BODY_BYTES, lambda: server.should_exit)
    allow_many_connections()
    with listen(host, port) as listener:
        forwarder = Forwarder(options)
        address = address_of(host, listener.getsockname()[1], is_secure=tls is not None)
        gateway = Gateway(
            forwarder,
            settings.token,
            signals=OtherSignals(settings.discarded),
            origins=settings.origins,
            is_ending=lambda: server.should_exit,
        )
        server = Server(
            create_app(gateway, grpc),
            ready=lambda: _announce(f"{address}/v1/traces{and_grpc(grpc)}", options),
            ending=lambda: None,
            grace_seconds=_GRACE_SECONDS,
            tls=tls,
            grpc=grpc,
        )
        server.stop_on_signals()
        # What exists now stays, and requests leave no cycles behind: collections are rarely worth their time.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD if tls is None else _GC_THRESHOLD_WITH_TLS)
        try:
            server.run(sockets=[listener])
        finally:
            forwarder.pipeline.shutdown(limits.FLUSH_TIMEOUT)


def _announce(addresses: str, options: Options) -> None:
    """Print that the gateway is ready, and where."""
    journal = "no journal" if options.journal is None else f"journal: {options.journal}"
    announce(f"Failpath gateway at {addresses} to {options.endpoint} ({journal})")
