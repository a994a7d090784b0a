"""The receiver as a web application: the wire contract in, pictures of runs out, and the page."""

import logging
from functools import partial
from typing import Final

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from failpath_otel.local.api.assets import Assets
from failpath_otel.local.api.guard import HEALTH, Access, guarded
from failpath_otel.local.api.ingest import MAX_BODY_BYTES, Receipt, check_headers, read_events
from failpath_otel.local.api.page_api import PREFIX, PageApi
from failpath_otel.local.api.paths import ANYTHING
from failpath_otel.local.api.replies import in_thread, json_reply, limit_in, status_in
from failpath_otel.local.api.runs import find_run, recent_runs
from failpath_otel.local.api.spans import ROUTE as SPANS
from failpath_otel.local.api.spans import span_route
from failpath_otel.local.api.stream import Stream
from failpath_otel.local.receiver import Parts
from failpath_otel.local.runs.view import RunList
from failpath_otel.local.store.database import StoreError
from failpath_otel.otlp.route import MAX_HELD_BYTES, Busy
from failpath_otel.records import wire
from failpath_otel.serving.body import Room, decompress, discard_body, read_body, too_large_decompressed
from failpath_otel.serving.routes import UnknownRoutes

DEFAULT_LIMIT: Final = 50
_NOT_FOUND: Final = 404

_SENDERS: Final = 4
"""Threads that take events and do nothing else, so that no sender waits for those who read."""

_log: Final = logging.getLogger(__name__)


class _Failure(msgspec.Struct, frozen=True):
    error: str


class _Health(msgspec.Struct, frozen=True):
    status: str
    unknown_routes: int


class _Routes:
    """What is there for senders and for scripts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._senders: anyio.CapacityLimiter | None = None
        # As large as that of OTLP, and apart from it: one kind of sender does not take the room of the other.
        self._room: Final = Room(MAX_HELD_BYTES, lambda: Busy("too much at once", 1))

    async def receive(self, request: Request) -> Response:
        try:
            receipt = await self._receive(request)
        except HTTPException as error:
            if "Connection" not in (error.headers or {}):
                await discard_body(request)
            raise
        return json_reply(receipt, 202)

    async def _receive(self, request: Request) -> Receipt:
        gzipped = check_headers(request)
        if self._senders is None:
            # Not before there is an event loop, which it belongs to.
            self._senders = anyio.CapacityLimiter(_SENDERS)
        with self._room.of_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            return await in_thread(partial(self._take, body, gzipped=gzipped), self._senders)

    async def runs(self, request: Request) -> Response:
        limit = limit_in(request.query_params.get("limit"), DEFAULT_LIMIT)
        flow_key = request.query_params.get("flow")
        status = status_in(request.query_params.get("status"))
        found = await in_thread(partial(recent_runs, self._parts, limit, flow_key=flow_key, status=status))
        return json_reply(RunList(found))

    async def run(self, request: Request) -> Response:
        run_id: str = request.path_params["run_id"]
        flow_key = request.query_params.get("flow")
        found = await in_thread(partial(find_run, self._parts, run_id, flow_key=flow_key))
        if found is None:
            raise HTTPException(404, "no such run")
        return json_reply(found)

    def _take(self, body: bytes, *, gzipped: bool) -> Receipt:
        content = decompress(body, MAX_BODY_BYTES) if gzipped else body
        if content is None:
            raise too_large_decompressed(MAX_BODY_BYTES)
        arrivals, rejected = read_events(content)
        self._parts.store.add(arrivals, self._parts.clock())
        return Receipt(accepted=len(arrivals), rejected=rejected)


def create_app(parts: Parts, access: Access | None = None) -> ASGIApp:
    """The application over its parts; ``access`` says who may ask, by default this machine alone."""
    routes = _Routes(parts)
    page = PageApi(parts)
    assets = Assets()
    stream = Stream(parts.store, parts.changes, page.row, parts.clock)

    async def health(_request: Request) -> Response:
        return json_reply(_Health("ok", unknown.requests))

    app = Starlette(
        routes=[
            Route(wire.ROUTE, routes.receive, methods=["POST"]),
            Route(SPANS, span_route(parts.store, parts.clock, parts.settings.rules).receive, methods=["POST"]),
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
    # A redirect would be a final failure for a sender of the wire contract, and no JSON.
    app.router.redirect_slashes = False
    unknown = UnknownRoutes(app)
    return guarded(app, Access() if access is None else access)


def _refused(request: Request, error: Exception, assets: Assets) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == _NOT_FOUND and "text/html" in request.headers.get("accept", ""):
        # A person who has mistyped an address is told by the page.
        return assets.shell(request, _NOT_FOUND)
    return json_reply(_Failure(error.detail), error.status_code, error.headers)


def _unavailable(_request: Request, error: Exception) -> Response:
    """The database is busy or full: 503, so that the sender keeps the events and tries again."""
    _log.error("%s", error)
    return json_reply(_Failure(str(error)), 503)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_reply(_Failure("internal error"), 500)
