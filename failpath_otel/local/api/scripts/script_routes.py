"""The routes for scripts: runs with their steps, flows as seen in runs, changes, and the document of all routes."""

from functools import partial
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.cursor import cursor_in
from failpath_otel.local.api.openapi.openapi_route import openapi_route
from failpath_otel.local.api.parameters import MAX_LIMIT, limit_in
from failpath_otel.local.api.path_convertor import ANYTHING
from failpath_otel.local.api.responses import json_response
from failpath_otel.local.api.scripts.flow_views import flows_after
from failpath_otel.local.api.scripts.run_changes import changes_route
from failpath_otel.local.api.scripts.run_filter import filter_in
from failpath_otel.local.api.scripts.run_views import find_run, recent_runs
from failpath_otel.local.receiver import Receiver
from failpath_otel.serving.threads import in_thread

DEFAULT_LIMIT: Final = 50
"""The most runs of an answer, by default."""


def script_routes(receiver: Receiver) -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/runs", partial(_runs, receiver), methods=["GET"]),
        Route(f"/api/runs/{{run_id:{ANYTHING}}}", partial(_run, receiver), methods=["GET"]),
        Route("/api/flows", partial(_flows, receiver), methods=["GET"]),
        changes_route(receiver),
        openapi_route(),
    ]


async def _runs(receiver: Receiver, request: Request) -> Response:
    query = request.query_params
    limit, before = limit_in(query.get("limit"), DEFAULT_LIMIT), cursor_in(query.get("before"))
    return json_response(await in_thread(partial(recent_runs, receiver, limit, filter_in(query), before)))


async def _run(receiver: Receiver, request: Request) -> Response:
    run_id: str = request.path_params["run_id"]
    flow_key = request.query_params.get("flow")
    found = await in_thread(partial(find_run, receiver, run_id, flow_key=flow_key))
    if found is None:
        raise HTTPException(404, "no such run")
    return json_response(found)


async def _flows(receiver: Receiver, request: Request) -> Response:
    query = request.query_params
    limit = limit_in(query.get("limit"), MAX_LIMIT)
    return json_response(await in_thread(partial(flows_after, receiver, query.get("after") or "", limit)))
