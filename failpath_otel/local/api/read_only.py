"""Refuses what would change a store that is open for reading only."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from failpath_otel.local.api.responses import failure
from failpath_otel.records.request import ROUTE as EVENTS
from failpath_otel.serving.body import discard_body
from failpath_otel.serving.counts import ServerCounts
from failpath_otel.serving.refusals import Refusal

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_EVENTS: Final = "this receiver is read-only and takes no events; keep them for another one"
_CHANGES: Final = "this receiver is read-only: nothing can be changed here"


@dataclass(eq=False)
class ReadOnly:
    """Responds in place of the application where a request is not for reading.

    Senders of events get 405, which is about the way to a receiver: they keep their records, and try again later, more
    slowly than after 503. What comes by OTLP goes on to the application, which finds that the store takes nothing and
    responds 503: those senders discard what any other refusal is about.
    """

    app: ASGIApp
    counts: ServerCounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond, or pass the request on."""
        is_changing = scope["type"] == "http" and scope["method"] not in _READING
        is_events = is_changing and scope["path"] == EVENTS
        if not is_events and not (is_changing and scope["path"].startswith("/api/")):
            await self.app(scope, receive, send)
            return
        if is_events:
            self.counts.count_refusal("events", "http", Refusal(405, "read_only"))
            response = failure(_EVENTS, 405, {"Allow": ""})
        else:
            response = failure(_CHANGES, 403)
        await discard_body(Request(scope, receive))
        await response(scope, receive, send)
