"""The gateway as a web application: the routes of OTLP/HTTP, its health, and its metrics."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from failpath_otel.gateway.forward import Forwarder
from failpath_otel.gateway.metrics import gateway_metrics
from failpath_otel.otlp.http_messages import JSON, ROUTE
from failpath_otel.otlp.other_signal_route import other_signal_routes
from failpath_otel.otlp.route import OtlpRoute, refused, unknown_route
from failpath_otel.serving.body import media_type
from failpath_otel.serving.counts import ServerCounts
from failpath_otel.serving.metrics import METRICS_ROUTE, READY_ROUTE, Exposition, readiness, server_metrics
from failpath_otel.serving.origins import with_origins
from failpath_otel.serving.other_signals import ROUTES, OtherSignals
from failpath_otel.serving.request_checks import check_bearer
from failpath_otel.serving.routes import UnknownRoutes
from failpath_otel.serving.threads import in_thread

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from failpath_otel.serving.grpc.server import GrpcServer

_log: Final = logging.getLogger(__name__)


@dataclass(eq=False)
class Gateway:
    """What the routes of a gateway share.

    Args:
        forwarder: accepts the spans.
        token: every sender must present it.
        counts: the counts of this server, also of other protocols.
        signals: decides on metrics and logs.
        origins: web pages of these origins may send.
        is_ending: whether the server is about to end, and takes no more work.
    """

    forwarder: Forwarder
    token: str | None = None
    _: KW_ONLY
    counts: ServerCounts = field(default_factory=ServerCounts)
    signals: OtherSignals = field(default_factory=OtherSignals)
    origins: Collection[str] = ()
    is_ending: Callable[[], bool] = lambda: False

    def check_token(self, request: Request) -> None:
        """Raise ``HTTPException`` for a request without the token."""
        check_bearer(request.headers.get("authorization", ""), self.token)

    def check(self, request: Request) -> None:
        """Raise ``HTTPException`` for a request with spans that cannot be accepted."""
        self.check_token(request)
        self.forwarder.check()

    def why_not_ready(self) -> str | None:
        """Return why the gateway takes no work; ``None`` if it does. Takes the lock of the queue."""
        if self.is_ending():
            return "this gateway is shutting down"
        refusal = self.forwarder.refusal()
        return None if refusal is None else refusal.detail


def create_app(gateway: Gateway, grpc: "GrpcServer | None" = None) -> ASGIApp:
    """Return the application; ``grpc`` gets the same as services."""
    forwarder, counts, signals = gateway.forwarder, gateway.counts, gateway.signals
    route = OtlpRoute(
        forwarder.take, check=gateway.check, reading=forwarder.reading, on_request=partial(counts.count_traces, "http")
    )
    if grpc is not None:
        # Imported here, because it is an extra.
        from failpath_otel.otlp.grpc.service import OtlpService, otlp_services  # noqa: PLC0415

        check_sender = partial(check_bearer, token=gateway.token)
        service = OtlpService(
            grpc.calls, route.intake, signals, counts, check_sender=check_sender, check_room=forwarder.check
        )
        grpc.add(*otlp_services(service, gateway.why_not_ready))
    reports = _Reports(gateway)
    app = Starlette(
        routes=[
            Route(ROUTE, route.receive, methods=["POST"]),
            *other_signal_routes(signals, gateway.check_token, partial(counts.count_other, "http")),
            Route("/healthz", reports.health, methods=["GET"]),
            Route("/", reports.health, methods=["GET"]),
            Route(READY_ROUTE, reports.ready, methods=["GET"]),
            Route(METRICS_ROUTE, reports.metrics, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refused, Exception: _broken},
    )
    app.router.redirect_slashes = False
    reports.unknown = UnknownRoutes(app)
    return with_origins(app, gateway.origins, (ROUTE, *ROUTES.values()), has_token=gateway.token is not None)


class _Reports:
    """The routes that say how the gateway is."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway: Final = gateway
        self.unknown: UnknownRoutes | None = None
        self._exposition: Final = Exposition("gateway", gateway.counts, gateway.signals, self._more)

    @property
    def _unknown_requests(self) -> int:
        return 0 if self.unknown is None else self.unknown.requests

    def _more(self) -> Iterator["Metric"]:
        yield from server_metrics(is_ready=self._gateway.why_not_ready() is None, unknown_routes=self._unknown_requests)
        yield from gateway_metrics(self._gateway.forwarder.pipeline)

    async def health(self, request: Request) -> Response:
        """Respond that the process serves; with figures, if the request may see them."""
        gateway, pipeline = self._gateway, self._gateway.forwarder.pipeline
        content: dict[str, object] = {"status": "failing" if pipeline.stuck else "ok"}
        with suppress(HTTPException):  # a probe has no token, and needs no figures
            gateway.check_token(request)
            content |= {
                "spans": gateway.counts.totals(),
                "records": await in_thread(pipeline.stats),
                "other_signals": gateway.signals.totals(),
                "unknown_routes": self._unknown_requests,
            }
        return Response(msgspec.json.encode(content), media_type=JSON)

    async def ready(self, request: Request) -> Response:
        """Respond 200 if the gateway takes work, else 503 with the reason."""
        self._gateway.check_token(request)
        return readiness(await in_thread(self._gateway.why_not_ready))

    async def metrics(self, request: Request) -> Response:
        """Respond with the metrics in a format of Prometheus."""
        self._gateway.check_token(request)
        return await self._exposition.respond(request)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in {404, 405}:
        return await unknown_route(request, error)
    return refused(media_type(request), error.status_code, error.detail, error.headers)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused(media_type(request), 500, "internal error")
