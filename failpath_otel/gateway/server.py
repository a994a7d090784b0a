"""The gateway as a process: socket, pipeline, signals, and a shutdown that loses nothing."""

import gc
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.gateway.app import Gateway, create_app
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.options.options import Options
from failpath_otel.serving.log_format import announce
from failpath_otel.serving.other_signals import OtherSignals, Signal
from failpath_otel.serving.server import Server, address_of, allow_many_connections, listen

for _name in ("google.protobuf", "opentelemetry.proto", "prometheus_client"):
    # Loaded with the first request that needs it; said now if it is missing.
    if find_spec(_name) is None:
        raise ModuleNotFoundError(f"No module named {_name!r}", name=_name)

_GRACE_SECONDS: Final = 5
"""How long requests in progress may take at shutdown."""

_GC_THRESHOLD: Final = 50_000
"""New objects that start a garbage collection; a hundred spans reach Python's default of 700."""


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a user.

    Args:
        token: every sender must present it.
        origins: web pages of these origins may send.
        discarded: signals that are taken and discarded.
    """

    token: str | None = None
    origins: Collection[str] = ()
    discarded: Collection[Signal] = ()


def serve(port: int, host: str, settings: ServerSettings, options: Options) -> None:
    """Serve at an IP address until Ctrl-C or SIGTERM; print one line when ready. Main thread only.

    Port 0 picks a free one. At the end it finishes requests in progress, delivers for at most 5 s, and leaves the rest
    in the journal.

    Raises ``OSError`` if the port cannot be used, and ``ConfigurationError`` if delivery is turned off.
    """
    if not options.enabled:
        raise ConfigurationError("the gateway would deliver nothing: FAILPATH_ENABLED turns delivery off")
    allow_many_connections()
    with listen(host, port) as listener:
        forwarder = Forwarder(options)
        address = address_of(host, listener.getsockname()[1])
        gateway = Gateway(
            forwarder,
            settings.token,
            signals=OtherSignals(settings.discarded),
            origins=settings.origins,
            is_ending=lambda: server.should_exit,
        )
        server = Server(
            create_app(gateway),
            ready=lambda: _announce(address, options),
            ending=lambda: None,
            grace_seconds=_GRACE_SECONDS,
        )
        server.stop_on_signals()
        # What exists now stays, and requests leave no cycles behind: collections are rarely worth their time.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        try:
            server.run(sockets=[listener])
        finally:
            forwarder.pipeline.shutdown(limits.FLUSH_TIMEOUT)


def _announce(address: str, options: Options) -> None:
    """Print that the gateway is ready, and where."""
    journal = "no journal" if options.journal is None else f"journal: {options.journal}"
    announce(f"Failpath gateway at {address}/v1/traces to {options.endpoint} ({journal})")
