"""The gateway as a process: a socket, a pipeline, signals, and an end that loses nothing."""

import gc
import sys
from dataclasses import dataclass
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.gateway.app import create_app
from failpath_otel.gateway.forward import Forwarder
from failpath_otel.options.options import Options
from failpath_otel.otlp import protobuf as protobuf  # now, so that it is said at the start if it is missing
from failpath_otel.serving.server import LOOPBACK, Server, address_of, allow_many_connections, listen

DEFAULT_PORT: Final = 4318

_GRACE_SECONDS: Final = 5
"""How long requests that are under way at the end may take."""


_GC_THRESHOLD: Final = 50_000
"""Objects after which the garbage collector looks for cycles; Python's 700 are there after a hundred spans."""


@dataclass(frozen=True)
class Place:
    """Where a gateway listens, and the token that senders have to show, if there is one; port 0 picks a free one."""

    port: int = DEFAULT_PORT
    host: str = LOOPBACK
    token: str | None = None


def serve(place: Place, options: Options) -> None:
    """Serves until Ctrl-C or SIGTERM; prints one line when it is ready. Main thread only.

    Then it takes no more, finishes what is under way, delivers for at most 5 s, and leaves the rest in the journal.

    Raises ``OSError`` if the port cannot be had, and ``ConfigurationError`` where delivery is turned off.
    """
    if not options.enabled:
        msg = "the gateway would deliver nothing: FAILPATH_ENABLED turns delivery off"
        raise ConfigurationError(msg)
    allow_many_connections()
    with listen(place.host, place.port) as listener:
        forwarder = Forwarder(options)
        address = address_of(place.host, listener.getsockname()[1])
        server = Server(
            create_app(forwarder, place.token),
            ready=lambda: _tell(address, options),
            ending=lambda: None,
            grace_seconds=_GRACE_SECONDS,
        )
        server.stop_on_signals()
        # What is there now stays; and what a request leaves has no cycles, so there is no hurry to look for them.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        try:
            server.run(sockets=[listener])
        finally:
            forwarder.pipeline.shutdown(limits.FLUSH_TIMEOUT)


def _tell(address: str, options: Options) -> None:
    """Says that the gateway is ready, and where; programs read the first line, so it is there at once."""
    journal = "no journal" if options.journal is None else f"journal: {options.journal}"
    sys.stdout.write(f"Failpath gateway at {address}/v1/traces to {options.endpoint} ({journal})\n")
    sys.stdout.flush()
