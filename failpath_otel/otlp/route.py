"""The route of OTLP/HTTP for traces: checks, limits of bodies, and responses."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from math import ceil
from typing import Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.otlp.http_messages import (
    JSON,
    MEDIA_TYPES,
    PROTOBUF,
    ROUTE,
    TooManySpansError,
    refusal,
    response,
    spans_in,
)
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.reading import PLAIN, Reading, ReadSpan
from failpath_otel.serving.body import (
    BodyBudget,
    decompress,
    discard_body,
    is_gzipped,
    media_type,
    read_body,
    too_large_decompressed,
)
from failpath_otel.serving.refusals import FAULT, Refusal, Refused, refusal_of
from failpath_otel.serving.request_checks import refuse_web_pages
from failpath_otel.serving.threads import in_thread

MAX_BODY_BYTES: Final = 16 * 1_048_576
"""The most bytes of one request, decompressed."""

MAX_HELD_BYTES: Final = 4 * MAX_BODY_BYTES
"""The most bytes of all requests together, before decompression."""

_LARGE_BYTES: Final = 1_048_576
_LARGE_AT_A_TIME: Final = 2
_AT_A_TIME: Final = 32

Take = Callable[[Iterator[ReadSpan]], Receipt]
"""Takes the spans of one request, on a worker thread, or raises :class:`ServiceUnavailable`."""


class ServiceUnavailable(Refused):
    """Nothing more can be accepted now.

    Args:
        detail: what the response says.
        pause: seconds after which a retry makes sense.
        reason: the reason in a word, for counts.
    """

    def __init__(self, detail: str, pause: float, reason: str = "unavailable") -> None:
        # Not 429: older exporters of OpenTelemetry for Python do not retry after it.
        self.retry_after: Final = max(ceil(pause), 1)
        super().__init__(503, detail, {"Retry-After": str(self.retry_after)}, reason=reason)


@dataclass(eq=False)
class OtlpRoute:
    """Receives spans by OTLP/HTTP.

    Args:
        take: takes the spans.
        check: raises ``HTTPException``, such as :class:`ServiceUnavailable`, for a request before its body is read.
        reading: what is read of a request.
        on_request: called after each request with its receipt, or with the refusal.
    """

    take: Take
    _: KW_ONLY
    check: Callable[[Request], object] = lambda _: None
    reading: Reading = PLAIN
    on_request: Callable[[Receipt | Refusal], object] = lambda _: None

    def __post_init__(self) -> None:
        self._body_budget = BodyBudget(MAX_HELD_BYTES, lambda: ServiceUnavailable("too much at once", 1, "too_much"))
        # Decoded spans take several times the memory of the body.
        self._limiters: dict[int, anyio.CapacityLimiter] = {}

    async def receive(self, request: Request) -> Response:
        """Respond with an ``ExportTraceServiceResponse`` or a ``google.rpc.Status``, in the request's encoding."""
        return await answered(request, self._receive, self.on_request)

    async def _receive(self, request: Request, kind: str) -> Response:
        refuse_web_pages(request, "spans", remedy=True)
        self.check(request)
        receipt = await self._read(request, kind, gzipped=check_headers(request, kind))
        reply = Response(response(kind, receipt.rejected, receipt.reason), media_type=kind)
        self.on_request(receipt)
        return reply

    async def _read(self, request: Request, kind: str, *, gzipped: bool) -> Receipt:
        with self._body_budget.for_request() as take:
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
        """Read a body, of which at most ``most`` bytes are decompressed; return ``None`` if it has more."""
        limiter = self._limiters.get(at_a_time)
        if limiter is None:
            # Made on use: it belongs to the event loop.
            limiter = self._limiters[at_a_time] = anyio.CapacityLimiter(at_a_time)
        work = partial(self._take, body, kind, most)
        return await in_thread(work, limiter)

    def _take(self, body: bytes, kind: str, most: int | None) -> Receipt | None:
        if most is not None:
            decompressed = decompress(body, most)
            if decompressed is None:
                return None
            body = decompressed
        try:
            spans = spans_in(body, kind, self.reading)
        except TooManySpansError as error:
            raise HTTPException(413, str(error)) from None
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return self.take(spans)


async def answered(
    request: Request,
    handle: Callable[[Request, str], Awaitable[Response]],
    on_refusal: Callable[[Refusal], object],
) -> Response:
    """Return the response of ``handle`` to a request and its media type, or a ``google.rpc.Status`` where it raises.

    ``on_refusal`` is called for each request to which ``handle`` has not responded.
    """
    kind = media_type(request)
    try:
        return await handle(request, kind)
    except HTTPException as error:
        on_refusal(refusal_of(error))
        if "Connection" not in (error.headers or {}):
            await discard_body(request)
        return refused(kind, error.status_code, error.detail, error.headers)
    except CancelledError:
        # The grace period of the shutdown is over. The server would respond 500, after which senders do not retry.
        busy = ServiceUnavailable("this server is shutting down", 1, "shutting_down")
        on_refusal(refusal_of(busy))
        return refused(kind, busy.status_code, busy.detail, busy.headers)
    except BaseException:  # the server responds 500
        on_refusal(FAULT)
        raise


def check_headers(request: Request, kind: str) -> bool:
    """Return whether the body is gzipped. Raise ``HTTPException`` (415) for another media type, or coding."""
    if kind not in MEDIA_TYPES:
        raise HTTPException(415, f"expected a Content-Type of {PROTOBUF} or {JSON}")
    return is_gzipped(request)


def refused(kind: str, status_code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response that is no success, in the encoding ``kind`` or, if that is unknown, as JSON."""
    shown = kind if kind in MEDIA_TYPES else JSON
    return Response(refusal(shown, status_code, reason), status_code, headers, media_type=shown)


async def unknown_route(request: Request, error: HTTPException) -> Response:
    """Respond with a ``google.rpc.Status`` to a request for a route that does not exist, or by another method."""
    await discard_body(request)
    detail = f"there is nothing by {request.method} at this address: spans are taken by POST at {ROUTE}"
    return refused(media_type(request), error.status_code, detail, error.headers)
