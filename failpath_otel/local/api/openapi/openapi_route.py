"""The route of the OpenAPI document."""

from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.openapi.document import document
from failpath_otel.local.api.openapi.operations import OPENAPI, OPERATIONS
from failpath_otel.serving.threads import in_thread


def openapi_route() -> Route:
    """Return the route."""

    async def answer(_request: Request) -> Response:
        return Response(await in_thread(_document), media_type="application/json")

    return Route(OPENAPI, answer, methods=["GET"])


@cache
def _document() -> bytes:
    # Made on use: the schemas of all answers take some milliseconds.
    return msgspec.json.encode(document(OPERATIONS))
