"""Senders that speak gRPC to a port for HTTP/1.1: they are told so, and the log says what mends it."""

from collections.abc import Callable
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from failpath_otel.report import warn_once

_PREFACE: Final = ("PRI", "2.0")
"""How every connection by HTTP/2 begins (RFC 9113, 3.4): an HTTP/1.1 server takes it for a method and a version."""

_ANSWER: Final = "this port takes OTLP over HTTP/1.1, and no gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"


class GrpcTold:
    """``app``, but for connections that begin with HTTP/2 unasked, as those of gRPC do.

    Args:
        app: takes all other requests.
        address_of: makes the URL of a host and a port.
    """

    def __init__(self, app: ASGIApp, address_of: Callable[[str, int], str]) -> None:
        self._app: Final = app
        self._address_of: Final = address_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or (scope["method"], scope["http_version"]) != _PREFACE:
            await self._app(scope, receive, send)
            return
        host, port = scope.get("server") or ("127.0.0.1", 0)
        warn_once(
            "gRPC",
            "Failpath: a sender speaks gRPC to port %d, which takes OTLP over HTTP. Set OTEL_EXPORTER_OTLP_PROTOCOL="
            "http/protobuf and OTEL_EXPORTER_OTLP_ENDPOINT=%s for it. Further ones are not logged.",
            port,
            self._address_of(host, port),
        )
        # A client of gRPC shows what it gets in place of HTTP/2.
        await PlainTextResponse(_ANSWER, 400, {"Connection": "close"})(scope, receive, send)
