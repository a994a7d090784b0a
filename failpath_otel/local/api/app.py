"""The receiver as a web application: all routes, and the responses to failures."""

import logging
from functools import partial
from typing import Final

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from failpath_otel.local.api.assets import Assets
from failpath_otel.local.api.events import MAX_BODY_BYTES, Receipt, check_headers, read_events
from failpath_otel.local.api.guard import HEALTH, Access, guarded
from failpath_otel.local.api.page_api import PREFIX, PageApi
from failpath_otel.local.api.parameters import limit_in, status_in
from failpath_otel.local.api.path_convertor import ANYTHING
from failpath_otel.local.api.responses import failure, json_response
from failpath_otel.local.api.run_views import find_run, recent_runs
from failpath_otel.local.api.seen_spans import seen_spans_route
from failpath_otel.local.api.spans import ROUTE as SPANS
from failpath_otel.local.api.spans import span_route
from failpath_otel.local.api.stream import Stream
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.view import RunList
from failpath_otel.local.store.database import StoreError
from failpath_otel.otlp.route import MAX_HELD_BYTES, ServiceUnavailable
from failpath_otel.otlp.seen.ring import SeenSpans
from failpath_otel.records.request import ROUTE as EVENTS
from failpath_otel.serving.body import BodyBudget, decompress, discard_body, read_body, too_large_decompressed
from failpath_otel.serving.routes import UnknownRoutes
from failpath_otel.serving.threads import in_thread

DEFAULT_LIMIT: Final = 50
_NOT_FOUND: Final = 404

_SENDERS: Final = 4
"""Threads for events alone, so that no sender waits for readers."""

_log: Final = logging.getLogger(__name__)


class _Routes:
    """The routes for senders of events, and for scripts."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._senders: anyio.CapacityLimiter | None = None
        # As large as that of OTLP, and separate: one kind of sender does not use up the budget of the other.
        self._body_budget: Final = BodyBudget(MAX_HELD_BYTES, lambda: ServiceUnavailable("too much at once", 1))

    async def receive(self, request: Request) -> Response:
        try:
            receipt = await self._receive(request)
        except HTTPException as error:
            if "Connection" not in (error.headers or {}):
                await discard_body(request)
            raise
        return json_response(receipt, 202)

    async def _receive(self, request: Request) -> Receipt:
        gzipped = check_headers(request)
        if self._senders is None:
            # Made on use: it belongs to the event loop.
            self._senders = anyio.CapacityLimiter(_SENDERS)
        with self._body_budget.for_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            return await in_thread(partial(self._take, body, gzipped=gzipped), self._senders)

    async def runs(self, request: Request) -> Response:
        limit = limit_in(request.query_params.get("limit"), DEFAULT_LIMIT)
        flow_key = request.query_params.get("flow")
        status = status_in(request.query_params.get("status"))
        found = await in_thread(partial(recent_runs, self._receiver, limit, flow_key=flow_key, status=status))
        return json_response(RunList(found))

    async def run(self, request: Request) -> Response:
        run_id: str = request.path_params["run_id"]
        flow_key = request.query_params.get("flow")
        found = await in_thread(partial(find_run, self._receiver, run_id, flow_key=flow_key))
        if found is None:
            raise HTTPException(404, "no such run")
        return json_response(found)

    def _take(self, body: bytes, *, gzipped: bool) -> Receipt:
        content = decompress(body, MAX_BODY_BYTES) if gzipped else body
        if content is None:
            raise too_large_decompressed(MAX_BODY_BYTES)
        received_events, rejected = read_events(content)
        self._receiver.store.add(received_events, self._receiver.clock())
        return Receipt(accepted=len(received_events), rejected=rejected)


def create_app(receiver: Receiver, access: Access | None = None) -> ASGIApp:
    """Return the application over a receiver; ``access`` limits the clients, by default to this machine."""
    routes = _Routes(receiver)
    page = PageApi(receiver)
    assets = Assets()
    stream = Stream(receiver.store.runs, receiver.changes, page.row, receiver.clock)

    async def health(_request: Request) -> Response:
        return json_response({"status": "ok", "unknown_routes": unknown.requests})

    seen = SeenSpans()
    spans = span_route(receiver.store, receiver.clock, receiver.settings.rules, seen.watch)
    app = Starlette(
        routes=[
            Route(EVENTS, routes.receive, methods=["POST"]),
            Route(SPANS, spans.receive, methods=["POST"]),
            seen_spans_route(seen),
            Route(HEALTH, health, methods=["GET"]),
            Route("/api/runs", routes.runs, methods=["GET"]),
            Route(f"/api/runs/{{run_id:{ANYTHING}}}", routes.run, methods=["GET"]),
            Route(f"{PREFIX}/stream", stream.respond, methods=["GET"]),
            *page.routes,
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
    unknown = UnknownRoutes(app)
    return guarded(app, Access() if access is None else access)


def _refused(request: Request, error: Exception, assets: Assets) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == _NOT_FOUND and "text/html" in request.headers.get("accept", ""):
        # In a browser, the page says that there is no such address.
        return assets.shell(request, _NOT_FOUND)
    return failure(error.detail, error.status_code, error.headers)


def _unavailable(_request: Request, error: Exception) -> Response:
    """Respond 503, because the database is busy or full: the sender keeps the events and retries."""
    _log.error("%s", error)
    return failure(str(error), 503)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return failure("internal error", 500)
