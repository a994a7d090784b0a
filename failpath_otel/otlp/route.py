"""The route of OTLP/HTTP for traces: checks, limits of bodies, and responses."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.otlp.http_messages import JSON, MEDIA_TYPES, PROTOBUF, ROUTE, refusal, response, spans_in
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.reading import PLAIN, Reading
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES, Intake, ServiceUnavailable, Take
from failpath_otel.serving.body import discard_body, is_gzipped, media_type, read_body
from failpath_otel.serving.refusals import FAULT, Refusal, refusal_of
from failpath_otel.serving.request_checks import refuse_web_pages


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
        self.intake = Intake(partial(spans_in, reading=self.reading), self.take)
        """What takes the bodies, also those that come by another protocol."""

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
        with self.intake.budget.for_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            return await self.intake.receive(body, kind, gzipped=gzipped)


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
