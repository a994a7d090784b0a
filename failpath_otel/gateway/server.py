"""The gateway as a process: socket, pipeline, signals, and a shutdown that loses nothing."""

import gc
import sys
from importlib.util import find_spec
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.gateway.app import create_app
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.options.options import Options
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.serving.addresses import address_of, listen
from failpath_otel.serving.grpc.beside import GrpcSettings, and_grpc
from failpath_otel.serving.server import Server, allow_many_connections
from failpath_otel.serving.tls import Tls

for _name in ("google.protobuf", "opentelemetry.proto"):
    # Loaded with the first request in protobuf; said now if it is missing.
    if find_spec(_name) is None:
        raise ModuleNotFoundError(f"No module named {_name!r}", name=_name)

_GRACE_SECONDS: Final = 5
"""How long requests in progress may take at shutdown."""

_GC_THRESHOLD: Final = 50_000
"""New objects that start a garbage collection; a hundred spans reach Python's default of 700."""


def serve(
    port: int,
    host: str,
    token: str | None,
    options: Options,
    *,
    grpc: GrpcSettings | None = None,
    tls: Tls | None = None,
) -> None:
    """Serve at an IP address until Ctrl-C or SIGTERM; print one line when ready. Main thread only.

    Port 0 picks a free one; with a ``token``, every sender must present it. At the end it
    finishes requests in progress, delivers for at most 5 s, and leaves the rest in the journal.

    Raises ``OSError`` if the port cannot be used (:class:`GrpcPortError` if it is that of gRPC), and
    ``ConfigurationError`` if delivery is turned off, or gRPC is asked for and not installed.
    """
    if not options.enabled:
        raise ConfigurationError("the gateway would deliver nothing: FAILPATH_ENABLED turns delivery off")
    beside = None if grpc is None else grpc.server(host, tls, MAX_BODY_BYTES)
    allow_many_connections()
    with listen(host, port) as listener:
        forwarder = Forwarder(options)
        address = address_of(host, listener.getsockname()[1], is_secure=tls is not None)
        server = Server(
            create_app(forwarder, token, beside),
            ready=lambda: _announce(f"{address}/v1/traces{and_grpc(beside)}", options),
            ending=lambda: None,
            grace_seconds=_GRACE_SECONDS,
            tls=tls,
            grpc=beside,
        )
        server.stop_on_signals()
        # What exists now stays, and requests leave no cycles behind: collections are rarely worth their time.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        try:
            server.run(sockets=[listener])
        finally:
            forwarder.pipeline.shutdown(limits.FLUSH_TIMEOUT)


def _announce(addresses: str, options: Options) -> None:
    """Print that the gateway is ready, and where; unbuffered, because programs read the first line."""
    journal = "no journal" if options.journal is None else f"journal: {options.journal}"
    sys.stdout.write(f"Failpath gateway at {addresses} to {options.endpoint} ({journal})\n")
    sys.stdout.flush()
