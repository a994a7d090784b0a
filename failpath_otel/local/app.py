"""The receiver as a web application: the wire contract in, pictures of runs out, JSON in both directions."""

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar, cast, get_args

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from failpath_otel.export import wire
from failpath_otel.export.record import Status
from failpath_otel.local.assets import Assets
from failpath_otel.local.guard import Access, guarded
from failpath_otel.local.ingest import Receipt, check_headers, decompress, read_body, read_events
from failpath_otel.local.runs import find_run, recent_runs
from failpath_otel.local.store import Store, StoreError
from failpath_otel.local.stream import Changes, Stream
from failpath_otel.local.view import RunList

EVENTS_PATH: Final = wire.ROUTE

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000

_STATUSES: Final = get_args(Status)

_log: Final = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Failure(msgspec.Struct, frozen=True):
    error: str


class _Routes:
    """What each route does with the store; ``clock`` says the time in microseconds since the epoch."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def receive(self, request: Request) -> Response:
        gzipped = check_headers(request)
        body = await read_body(request)
        return _json(await _in_thread(partial(self._take, body, gzipped=gzipped)), 202)

    async def runs(self, request: Request) -> Response:
        limit = _limit(request.query_params.get("limit"))
        flow_key = request.query_params.get("flow")
        status = _status(request.query_params.get("status"))
        found = await _in_thread(partial(recent_runs, self._store, limit, flow_key=flow_key, status=status))
        return _json(RunList(found))

    async def run(self, request: Request) -> Response:
        run_id: str = request.path_params["run_id"]
        flow_key = request.query_params.get("flow")
        found = await _in_thread(partial(find_run, self._store, run_id, flow_key=flow_key))
        if found is None:
            raise HTTPException(404, "no such run")
        return _json(found)

    def _take(self, body: bytes, *, gzipped: bool) -> Receipt:
        arrivals, rejected = read_events(decompress(body) if gzipped else body)
        self._store.add(arrivals, self._clock())
        return Receipt(accepted=len(arrivals), rejected=rejected)


def create_app(
    store: Store, clock: Callable[[], int], access: Access | None = None, changes: Changes | None = None
) -> ASGIApp:
    """The application over an open store; ``clock`` says the time in microseconds since the epoch."""
    routes = _Routes(store, clock)
    stream = Stream(store, changes or Changes(), lambda row: row, clock)
    app = Starlette(
        routes=[
            Route(EVENTS_PATH, routes.receive, methods=["POST"]),
            Route("/api/runs", routes.runs, methods=["GET"]),
            Route("/api/runs/{run_id:anything}", routes.run, methods=["GET"]),
            Route("/api/page/stream", stream.respond, methods=["GET"]),
            *Assets().routes,
        ],
        exception_handlers={HTTPException: _refused, StoreError: _unavailable, Exception: _broken},
    )
    # A redirect would be a final failure for a sender of the wire contract, and no JSON.
    app.router.redirect_slashes = False
    return guarded(app, access or Access())


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Runs what blocks off the event loop; a receiver that stops does not wait for it."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise HTTPException(400, f"expected a limit from 1 to {MAX_LIMIT}")
    return limit


def _status(text: str | None) -> Status | None:
    if text is None:
        return None
    if text in _STATUSES:
        return cast("Status", text)
    raise HTTPException(400, f"expected a status out of {', '.join(_STATUSES)}")


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json(_Failure(error.detail), error.status_code, error.headers)


def _unavailable(_request: Request, error: Exception) -> Response:
    """The database is busy or full: 503, so that the sender keeps the events and tries again."""
    _log.error("%s", error)
    return _json(_Failure(str(error)), 503)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _json(_Failure("internal error"), 500)


def _json(content: msgspec.Struct, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status_code, headers, media_type="application/json")
