"""Refuses gRPC on a port for HTTP/1.1: the response and the log name the setting to change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from failpath_otel.addresses import LOOPBACK
from failpath_otel.report import warn_once

_PREFACE: Final = ("PRI", "2.0")
"""The start of every HTTP/2 connection (RFC 9113, 3.4), as an HTTP/1.1 server parses it: a method and a version."""

_ANSWER: Final = "this port takes OTLP over HTTP/1.1, and no gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"


@dataclass(eq=False)
class GrpcRefusal:
    """``app``, with a refusal of connections that begin with HTTP/2 without an upgrade, as those of gRPC do.

    Args:
        app: handles all other requests.
        address_of: makes the URL of a host and a port.
    """

    app: ASGIApp
    address_of: Callable[[str, int], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of ASGI."""
        if scope["type"] != "http" or (scope["method"], scope["http_version"]) != _PREFACE:
            await self.app(scope, receive, send)
            return
        host, port = scope.get("server") or (LOOPBACK, 0)
        warn_once(
            "gRPC",
            "Failpath: a sender speaks gRPC to port %d, which takes OTLP over HTTP. Set OTEL_EXPORTER_OTLP_PROTOCOL="
            "http/protobuf and OTEL_EXPORTER_OTLP_ENDPOINT=%s for it. Further ones are not logged.",
            port,
            self.address_of(host, port),
        )
        # A client of gRPC shows what it receives in place of HTTP/2.
        await PlainTextResponse(_ANSWER, 400, {"Connection": "close"})(scope, receive, send)
