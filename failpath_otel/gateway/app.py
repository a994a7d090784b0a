"""The gateway as a web application: OTLP/HTTP in, and what has become of it."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.export.stats import Stats
from failpath_otel.gateway.forward import Busy, Forwarder, Receipt
from failpath_otel.gateway.otlp import JSON, MEDIA_TYPES, ROUTE, refusal, response, spans_in
from failpath_otel.serving.access import check_bearer, refuse_web_pages
from failpath_otel.serving.body import Room, decompress, is_gzipped, media_type, read_body

MAX_BODY_BYTES: Final = 16 * 1_048_576
"""Of one request, decompressed."""

MAX_HELD_BYTES: Final = 4 * MAX_BODY_BYTES
"""Of all requests together, as they came."""

_LARGE_BYTES: Final = 1_048_576
_LARGE_AT_A_TIME: Final = 2
_AT_A_TIME: Final = 32

_log: Final = logging.getLogger(__name__)


class Counts(msgspec.Struct):
    """What has come since the start: requests that were taken and that were not, and the spans of the former."""

    requests: int = 0
    refused: int = 0
    received: int = 0
    steps: int = 0
    ignored: int = 0
    rejected: int = 0


class _Health(msgspec.Struct):
    status: str
    spans: Counts
    records: Stats


class _Routes:
    def __init__(self, forwarder: Forwarder, token: str | None, *, every: bool) -> None:
        self._forwarder = forwarder
        self._token = token
        self._every = every
        self._counts = Counts()
        self._room = Room(MAX_HELD_BYTES, lambda: HTTPException(429, "too many requests at once", {"Retry-After": "1"}))
        # What is decoded takes several times the room of what came.
        self._large = anyio.CapacityLimiter(_LARGE_AT_A_TIME)
        self._small = anyio.CapacityLimiter(_AT_A_TIME)

    async def receive(self, request: Request) -> Response:
        kind = media_type(request)
        try:
            refuse_web_pages(request, "spans")
            check_bearer(request, self._token)
            if kind not in MEDIA_TYPES:
                raise HTTPException(415, f"expected a Content-Type of {' or '.join(MEDIA_TYPES)}")  # noqa: TRY301
            gzipped = is_gzipped(request)
            with self._room.of_request() as take:
                body = await read_body(request, MAX_BODY_BYTES, take)
                limiter = self._large if gzipped or len(body) > _LARGE_BYTES else self._small
                work = partial(self._take, body, kind, gzipped=gzipped)
                receipt = await anyio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
        except Busy as busy:
            self._counts.refused += 1
            return _refused(kind, busy.status_code, str(busy), {"Retry-After": str(busy.retry_after)})
        except HTTPException as error:
            self._counts.refused += 1
            return _refused(kind, error.status_code, error.detail, error.headers)
        self._count(receipt)
        content = response(kind, receipt.rejected, receipt.reason)
        return Response(content, media_type=kind)

    async def health(self, _request: Request) -> Response:
        stats = self._forwarder.pipeline.stats()
        return Response(msgspec.json.encode(_Health("ok", self._counts, stats)), media_type=JSON)

    def _take(self, body: bytes, kind: str, *, gzipped: bool) -> Receipt:
        self._forwarder.check()
        if gzipped:
            body = decompress(body, MAX_BODY_BYTES)
        try:
            spans = spans_in(body, kind, every=self._every)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return self._forwarder.take(spans)

    def _count(self, receipt: Receipt) -> None:
        counts = self._counts
        counts.requests += 1
        counts.received += receipt.received
        counts.steps += receipt.steps
        counts.ignored += receipt.ignored
        counts.rejected += receipt.rejected


def create_app(forwarder: Forwarder, token: str | None = None, *, every: bool = False) -> Starlette:
    """The application. ``token``: what every sender has to show; ``every``: spans without the contract may be steps."""
    routes = _Routes(forwarder, token, every=every)
    app = Starlette(
        routes=[
            Route(ROUTE, routes.receive, methods=["POST"]),
            Route("/healthz", routes.health, methods=["GET"]),
            Route("/", routes.health, methods=["GET"]),
        ],
        exception_handlers={Exception: _broken},
    )
    app.router.redirect_slashes = False
    return app


def _refused(kind: str, status_code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    shown = kind if kind in MEDIA_TYPES else JSON
    return Response(refusal(shown, status_code, reason), status_code, headers, media_type=shown)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _refused(media_type(request), 500, "internal error")
