"""The route for clients that watch which spans come, as ``failpath-otel rules try`` does."""

import re
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.responses import json_response
from failpath_otel.otlp.seen.ring import SeenSpans
from failpath_otel.serving.threads import in_thread

SEEN_SPANS: Final = "/api/seen-spans"


def seen_spans_route(seen: SeenSpans) -> Route:
    """Return the route; ``?after=`` is the ``next`` of the answer before."""

    async def answer(request: Request) -> Response:
        given = request.query_params.get("after", "")
        after = int(given) if re.fullmatch("[0-9]{1,18}", given) else 0
        return json_response(await in_thread(partial(seen.page, after)))

    return Route(SEEN_SPANS, answer, methods=["GET"])
