"""The receiver as a web application: all routes, and the responses to failures."""

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from failpath_otel.local.api.actions.run_files import RunFiles
from failpath_otel.local.api.assets.assets import Assets
from failpath_otel.local.api.events import MAX_BODY_BYTES, Receipt, check_headers, read_events
from failpath_otel.local.api.figures import Figures
from failpath_otel.local.api.guard import HEALTH, Access, guarded
from failpath_otel.local.api.logs import log_route
from failpath_otel.local.api.page.page_api import PageApi
from failpath_otel.local.api.page.route import PREFIX
from failpath_otel.local.api.read_only import ReadOnly
from failpath_otel.local.api.responses import failure, json_response
from failpath_otel.local.api.scripts.script_routes import script_routes
from failpath_otel.local.api.seen_spans import seen_spans_route
from failpath_otel.local.api.spans import ROUTE as SPANS
from failpath_otel.local.api.spans import span_route
from failpath_otel.local.api.store_log import log_failure
from failpath_otel.local.api.stream import Stream
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.database import StoreError
from failpath_otel.otlp.other_signal_route import other_signal_routes
from failpath_otel.otlp.requests.intake import MAX_HELD_BYTES, ServiceUnavailable
from failpath_otel.otlp.route import unknown_route
from failpath_otel.otlp.seen.ring import SeenSpans
from failpath_otel.records.request import ROUTE as EVENTS
from failpath_otel.serving.body import BodyBudget, decompress, discard_body, read_body, too_large_decompressed
from failpath_otel.serving.counts import ServerCounts
from failpath_otel.serving.other_signals import LOGS
from failpath_otel.serving.other_signals import ROUTES as OTHER_SIGNALS
from failpath_otel.serving.refusals import Refusal, refusal_of
from failpath_otel.serving.request_checks import check_bearer
from failpath_otel.serving.routes import UnknownRoutes
from failpath_otel.serving.threads import in_thread

if TYPE_CHECKING:
    from failpath_otel.serving.grpc.server import GrpcServer

_NOT_FOUND: Final = 404
_NO_ROUTE: Final = frozenset({_NOT_FOUND, 405})

_SENDERS: Final = 4
"""Threads for events alone, so that no sender waits for readers."""

_BUSY: Final = Refusal(503, "unavailable")

_log: Final = logging.getLogger(__name__)


class _Routes:
    """The route for senders of events."""

    def __init__(self, receiver: Receiver, counts: ServerCounts) -> None:
        self._receiver = receiver
        self._counts = counts
        self._senders: anyio.CapacityLimiter | None = None
        # As large as that of OTLP, and separate: one kind of sender does not use up the budget of the other.
        self._body_budget: Final = BodyBudget(
            MAX_HELD_BYTES, lambda: ServiceUnavailable("too much at once", 1, "too_much")
        )

    async def receive(self, request: Request) -> Response:
        try:
            receipt = await self._receive(request)
        except HTTPException as error:
            self._counts.count_refusal("events", "http", refusal_of(error))
            if "Connection" not in (error.headers or {}):
                await discard_body(request)
            raise
        except StoreError:
            self._counts.count_refusal("events", "http", _BUSY)
            raise
        self._counts.count_events(receipt.accepted, len(receipt.rejected))
        return json_response(receipt, 202)

    async def _receive(self, request: Request) -> Receipt:
        gzipped = check_headers(request)
        if self._senders is None:
            # Made on use: it belongs to the event loop.
            self._senders = anyio.CapacityLimiter(_SENDERS)
        with self._body_budget.for_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            return await in_thread(partial(self._take, body, gzipped=gzipped), self._senders)

    def _take(self, body: bytes, *, gzipped: bool) -> Receipt:
        content = decompress(body, MAX_BODY_BYTES) if gzipped else body
        if content is None:
            raise too_large_decompressed(MAX_BODY_BYTES)
        received_events, rejected = read_events(content)
        self._receiver.store.add(received_events, self._receiver.clock())
        return Receipt(accepted=len(received_events), rejected=rejected)


def create_app(
    receiver: Receiver,
    access: Access | None = None,
    figures: Figures | None = None,
    grpc: "GrpcServer | None" = None,
) -> ASGIApp:
    """Return the application over a receiver.

    Args:
        receiver: its store, and all that works on it.
        access: limits the clients, by default to this machine.
        figures: the counts of this server, also of other protocols, and whether it takes work.
        grpc: gets what it takes of OTLP as services.
    """
    access = Access() if access is None else access
    figures = figures or Figures(receiver)
    counts, signals = figures.counts, figures.signals
    routes = _Routes(receiver, counts)
    page = PageApi(receiver)
    assets = Assets()
    stream = Stream(receiver.store.runs, receiver.changes, page.row, receiver.clock)

    seen = SeenSpans()

    def watch(body: bytes, kind: str) -> None:
        seen.watch(body, kind)
        receiver.span_parents.watch(body, kind)

    spans = span_route(receiver.store, receiver.clock, receiver.settings.rules, counts, watch)
    logs = log_route(receiver.logs, counts)
    if grpc is not None:
        # Imported here, because it is an extra.
        from failpath_otel.otlp.grpc.service import OtlpService, otlp_services  # noqa: PLC0415

        check_sender = partial(check_bearer, token=access.token)
        service = OtlpService(grpc.calls, spans.intake, signals, counts, check_sender=check_sender, logs=logs)
        grpc.add(*otlp_services(service, figures.why_not_ready))
    app = Starlette(
        routes=[
            Route(EVENTS, routes.receive, methods=["POST"]),
            Route(SPANS, spans.receive, methods=["POST"]),
            Route(OTHER_SIGNALS[LOGS], logs.receive, methods=["POST"]),
            *other_signal_routes(signals, on_request=partial(counts.count_other, "http"), kept={LOGS}),
            *figures.routes(HEALTH),
            seen_spans_route(seen),
            *script_routes(receiver),
            Route(f"{PREFIX}/stream", stream.respond, methods=["GET"]),
            *page.routes,
            *RunFiles(receiver).routes,
            *assets.routes,
        ],
        exception_handlers={
            HTTPException: partial(_refused, assets=assets),
            StoreError: _unavailable,
            Exception: _broken,
        },
    )
    # A sender of the wire contract does not follow a redirect.
    app.router.redirect_slashes = False
    figures.unknown = UnknownRoutes(app)
    return guarded(ReadOnly(app, counts) if receiver.store.read_only else app, access, counts)


async def _refused(request: Request, error: Exception, assets: Assets) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in _NO_ROUTE and _is_of_otlp(request):
        return await unknown_route(request, error)
    if error.status_code == _NOT_FOUND and "text/html" in request.headers.get("accept", ""):
        # In a browser, the page says that there is no such address.
        return assets.shell(request, _NOT_FOUND)
    return failure(error.detail, error.status_code, error.headers)


def _is_of_otlp(request: Request) -> bool:
    """Return whether a sender of OTLP has probably sent a request that no route takes."""
    return request.method == "POST" and not request.url.path.startswith((EVENTS, "/api/"))


def _unavailable(_request: Request, error: Exception) -> Response:
    """Respond 503, because the database is busy or full: the sender keeps the events and retries."""
    assert isinstance(error, StoreError)
    log_failure(error)
    return failure(str(error), 503)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return failure("internal error", 500)
