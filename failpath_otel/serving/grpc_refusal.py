"""Refuses gRPC on a port for HTTP/1.1: the response and the log name the setting to change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from failpath_otel.addresses import LOOPBACK
from failpath_otel.report import warn_once
from failpath_otel.serving.addresses import address_of

_PREFACE: Final = ("PRI", "2.0")
"""The start of every HTTP/2 connection (RFC 9113, 3.4), as an HTTP/1.1 server parses it: a method and a version."""

_REMEDY: Final = "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and OTEL_EXPORTER_OTLP_ENDPOINT=%s for it"
_WITH_GRPC: Final = "set OTEL_EXPORTER_OTLP_ENDPOINT=%s for it, where gRPC is taken"
_EXTRA: Final = 'or gRPC by --grpc-port, which needs: pip install "failpath-otel[grpc]"'


@dataclass(eq=False)
class GrpcRefusal:
    """``app``, with a refusal of connections that begin with HTTP/2 without an upgrade, as those of gRPC do.

    Args:
        app: handles all other requests.
        grpc_url: returns where gRPC is served, if it is.
    """

    app: ASGIApp
    grpc_url: Callable[[], str | None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of ASGI."""
        if scope["type"] != "http" or (scope["method"], scope["http_version"]) != _PREFACE:
            await self.app(scope, receive, send)
            return
        host, port = scope.get("server") or (LOOPBACK, 0)
        grpc_url = self.grpc_url()
        remedy = f"{_REMEDY % address_of(host, port)}, {_EXTRA}" if grpc_url is None else _WITH_GRPC % grpc_url
        warn_once(
            "gRPC",
            "Failpath: a sender speaks gRPC to port %d, which accepts OTLP over HTTP: %s. Further cases are not"
            " logged.",
            port,
            remedy,
        )
        # A client of gRPC shows what it receives in place of HTTP/2.
        text = f"this port takes OTLP over HTTP/1.1, and no gRPC; of the sender, {remedy}\n"
        await PlainTextResponse(text, 400, {"Connection": "close"})(scope, receive, send)
