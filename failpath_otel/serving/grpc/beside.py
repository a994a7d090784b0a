"""Whether a server has one of gRPC beside it: what the user asked for, and whether the extra is installed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

from failpath_otel.errors import ConfigurationError
from failpath_otel.serving.tls import Tls

if TYPE_CHECKING:
    from failpath_otel.serving.grpc.server import GrpcServer

DEFAULT_PORT: Final = 4317
"""That of OTLP over gRPC."""

GrpcPort = int | Literal["off"] | None
"""A port, of which 0 picks a free one; none; or none that was asked for."""


class GrpcPortError(OSError):
    """The port of gRPC cannot be used; it has ``errno`` and ``strerror`` of the cause."""


@dataclass(frozen=True)
class GrpcSettings:
    """What a user has asked for.

    Args:
        port: the port.
        default: the port that is served where none was asked for, the extra is installed and the port is free.
    """

    port: GrpcPort = None
    default: int | None = None

    def server(
        self, host: str, tls: Tls | None, max_message_bytes: int, is_ending: Callable[[], bool]
    ) -> "GrpcServer | None":
        """Return the server, not started; ``None`` for none. ``is_ending`` is that of the server beside it.

        Raises ``ConfigurationError`` if the extra is asked for and not installed.
        """
        is_required = self.port is not None
        port = self.port if is_required else self.default
        if port is None or port == "off":
            return None
        if find_spec("grpc") is None:
            if is_required:
                raise ConfigurationError('--grpc-port is an extra; install it with: pip install "failpath-otel[grpc]"')
            return None
        # Imported here, because it is an extra.
        from failpath_otel.serving.grpc.server import GrpcServer  # noqa: PLC0415

        return GrpcServer(
            host, port, is_required=is_required, max_message_bytes=max_message_bytes, is_ending=is_ending, tls=tls
        )


def and_grpc(server: "GrpcServer | None") -> str:
    """Return where a server serves gRPC, as the continuation of where it serves HTTP; empty if it does not."""
    return "" if server is None or server.url is None else f" and by gRPC at {server.url}"
