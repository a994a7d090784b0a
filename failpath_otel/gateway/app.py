"""The gateway as a web application: the route of OTLP/HTTP, and its health."""

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.gateway.forward import Forwarder
from failpath_otel.otlp.http_messages import JSON, ROUTE
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.route import OtlpRoute, refused
from failpath_otel.serving.body import media_type
from failpath_otel.serving.other_signals import OtherSignals
from failpath_otel.serving.request_checks import check_bearer
from failpath_otel.serving.routes import UnknownRoutes

if TYPE_CHECKING:
    from failpath_otel.serving.grpc.server import GrpcServer

_log: Final = logging.getLogger(__name__)


class Counts(msgspec.Struct):
    """Counts since the start: accepted and refused requests, and the spans of the accepted ones."""

    requests: int = 0
    refused: int = 0
    received: int = 0
    steps: int = 0
    ignored: int = 0
    rejected: int = 0

    def count(self, receipt: Receipt | None) -> None:
        """Count a request; ``None`` stands for one that was refused."""
        if receipt is None:
            self.refused += 1
            return
        self.requests += 1
        self.received += receipt.received
        self.steps += receipt.steps
        self.ignored += receipt.ignored
        self.rejected += receipt.rejected


def create_app(forwarder: Forwarder, token: str | None = None, grpc: "GrpcServer | None" = None) -> Starlette:
    """Return the application; with a ``token``, every sender must present it.

    ``grpc`` gets the same as services.
    """
    counts = Counts()

    def check(request: Request) -> None:
        check_bearer(request.headers.get("authorization", ""), token)
        forwarder.check()

    async def health(_request: Request) -> Response:
        status = "failing" if forwarder.pipeline.stuck else "ok"
        records = forwarder.pipeline.stats()
        content = {"status": status, "spans": counts, "records": records, "unknown_routes": unknown.requests}
        return Response(msgspec.json.encode(content), media_type=JSON)

    route = OtlpRoute(forwarder.take, check=check, reading=forwarder.reading, on_request=counts.count)
    if grpc is not None:
        # Imported here, because it is an extra.
        from failpath_otel.otlp.grpc.service import OtlpService, otlp_services  # noqa: PLC0415

        service = OtlpService(
            grpc.calls,
            route.intake,
            OtherSignals(),
            check_sender=partial(check_bearer, token=token),
            check_room=forwarder.check,
            on_traces=lambda outcome: counts.count(outcome if isinstance(outcome, Receipt) else None),
        )
        grpc.add(*otlp_services(service, forwarder.has_room))
    app = Starlette(
        routes=[
            Route(ROUTE, route.receive, methods=["POST"]),
            Route("/healthz", health, methods=["GET"]),
            Route("/", health, methods=["GET"]),
        ],
        exception_handlers={Exception: _broken},
    )
    app.router.redirect_slashes = False
    unknown = UnknownRoutes(app)
    return app


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused(media_type(request), 500, "internal error")
