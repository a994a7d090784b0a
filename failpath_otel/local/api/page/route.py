"""A route of the page's API: a function of a request that returns the answer."""

from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.local.api.responses import json_response
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.serving.threads import in_thread

PREFIX: Final = "/api/page"

Handler = Callable[[Request], msgspec.Struct | dict[str, int]]


def route(path: str, handler: Handler, method: str = "GET", status_code: int = 200) -> Route:
    """Return the route of ``/api/page/{path}``, whose handler runs on a thread."""

    async def answer(request: Request) -> Response:
        return await in_thread(lambda: json_response(handler(request), status_code))

    return Route(f"{PREFIX}/{path}", answer, methods=[method])


def heading(receiver: Receiver) -> tuple[int, str]:
    """Return a revision that the answer is at least as new as, and the time; called before anything is read."""
    receiver.catch_up()
    return receiver.store.runs.revision(), to_rfc3339(receiver.clock())
