"""OTLP/HTTP for traces as a route: who may send, what a body may be, and the answers."""

from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import ceil
from typing import Final

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.otlp.messages import JSON, MEDIA_TYPES, TooManySpans, refusal, response, spans_in
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.span import OtlpSpan
from failpath_otel.serving.access import refuse_web_pages
from failpath_otel.serving.body import (
    Room,
    decompress,
    discard_body,
    is_gzipped,
    media_type,
    read_body,
    too_large_decompressed,
)

MAX_BODY_BYTES: Final = 16 * 1_048_576
"""Of one request, decompressed."""

MAX_HELD_BYTES: Final = 4 * MAX_BODY_BYTES
"""Of all requests together, as they came."""

_LARGE_BYTES: Final = 1_048_576
_LARGE_AT_A_TIME: Final = 2
_AT_A_TIME: Final = 32

Take = Callable[[Iterator[OtlpSpan | None]], Receipt]
"""Takes the spans of one request, on a thread of its own, or raises :class:`Busy`."""


class Busy(HTTPException):
    """No more is taken now: the answer's reason, and the seconds after which it is worth another try."""

    def __init__(self, reason: str, pause: float) -> None:
        # No 429: OpenTelemetry's Python exporters have long taken that for final.
        self.retry_after: Final = max(ceil(pause), 1)
        super().__init__(503, reason, {"Retry-After": str(self.retry_after)})


class OtlpRoute:
    """Takes requests.

    Args:
        take: takes the spans.
        check: raises ``HTTPException`` for a request, as :class:`Busy` is one, before its body is decoded.
        every: spans without a step key may be steps as well.
        told: hears of each request: what it had, or ``None`` where it was refused.
    """

    def __init__(
        self,
        take: Take,
        *,
        check: Callable[[Request], object] = lambda _: None,
        every: bool = False,
        told: Callable[[Receipt | None], object] = lambda _: None,
    ) -> None:
        self._take_spans: Final = take
        self._check: Final = check
        self._every: Final = every
        self._told: Final = told
        self._room: Final = Room(MAX_HELD_BYTES, lambda: Busy("too much at once", 1))
        # What is decoded takes several times the room of what came.
        self._limiters: dict[int, anyio.CapacityLimiter] = {}

    async def receive(self, request: Request) -> Response:
        """Answers with an ``ExportTraceServiceResponse`` or a ``google.rpc.Status``, in the encoding of the request."""
        kind = media_type(request)
        try:
            receipt = await self._receive(request, kind)
        except HTTPException as error:
            self._told(None)
            if "Connection" not in (error.headers or {}):
                await discard_body(request)
            return refused(kind, error.status_code, error.detail, error.headers)
        except CancelledError:
            # The server ends, and has waited long enough. It would answer 500, which senders take for final.
            self._told(None)
            busy = Busy("this server is about to end", 1)
            return refused(kind, busy.status_code, busy.detail, busy.headers)
        except BaseException:  # whoever serves answers 500
            self._told(None)
            raise
        self._told(receipt)
        return Response(response(kind, receipt.rejected, receipt.reason), media_type=kind)

    async def _receive(self, request: Request, kind: str) -> Receipt:
        refuse_web_pages(request, "spans")
        self._check(request)
        if kind not in MEDIA_TYPES:
            raise HTTPException(415, f"expected a Content-Type of {' or '.join(MEDIA_TYPES)}")
        gzipped = is_gzipped(request)
        with self._room.of_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            if len(body) <= _LARGE_BYTES:
                receipt = await self._on_thread(body, kind, _AT_A_TIME, _LARGE_BYTES if gzipped else None)
                if receipt is not None:
                    return receipt
            receipt = await self._on_thread(body, kind, _LARGE_AT_A_TIME, MAX_BODY_BYTES if gzipped else None)
            if receipt is None:
                raise too_large_decompressed(MAX_BODY_BYTES)
            return receipt

    async def _on_thread(self, body: bytes, kind: str, at_a_time: int, most: int | None) -> Receipt | None:
        """What was in a body, of which no more than ``most`` bytes are decompressed; ``None`` for one that has more."""
        limiter = self._limiters.get(at_a_time)
        if limiter is None:
            # Not before there is an event loop, which it belongs to.
            limiter = self._limiters[at_a_time] = anyio.CapacityLimiter(at_a_time)
        work = partial(self._take, body, kind, most)
        return await anyio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)

    def _take(self, body: bytes, kind: str, most: int | None) -> Receipt | None:
        if most is not None:
            decompressed = decompress(body, most)
            if decompressed is None:
                return None
            body = decompressed
        try:
            spans = spans_in(body, kind, every=self._every)
        except TooManySpans as error:
            raise HTTPException(413, str(error)) from None
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return self._take_spans(spans)


def refused(kind: str, status_code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is no success, in the encoding ``kind`` or, where that is unknown, as JSON."""
    shown = kind if kind in MEDIA_TYPES else JSON
    return Response(refusal(shown, status_code, reason), status_code, headers, media_type=shown)
