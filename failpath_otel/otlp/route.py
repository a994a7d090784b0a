"""The route of OTLP/HTTP for traces: checks, limits of bodies, and responses."""

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.otlp.http_messages import JSON, MEDIA_TYPES, refusal, response
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.reading import PLAIN, Reading
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES, Intake, ServiceUnavailable, Take
from failpath_otel.serving.body import discard_body, is_gzipped, media_type, read_body
from failpath_otel.serving.request_checks import refuse_web_pages


@dataclass(eq=False)
class OtlpRoute:
    """Receives spans by OTLP/HTTP.

    Args:
        take: takes the spans.
        check: raises ``HTTPException``, such as :class:`ServiceUnavailable`, for a request before its body is read.
        reading: what is read of a request.
        on_request: called after each request with its receipt, or with ``None`` if it was refused.
    """

    take: Take
    _: KW_ONLY
    check: Callable[[Request], object] = lambda _: None
    reading: Reading = PLAIN
    on_request: Callable[[Receipt | None], object] = lambda _: None

    def __post_init__(self) -> None:
        self.intake = Intake(self.take, self.reading)
        """What takes the bodies, also those that come by another protocol."""

    async def receive(self, request: Request) -> Response:
        """Respond with an ``ExportTraceServiceResponse`` or a ``google.rpc.Status``, in the request's encoding."""
        kind = media_type(request)
        try:
            receipt = await self._receive(request, kind)
        except HTTPException as error:
            self.on_request(None)
            if "Connection" not in (error.headers or {}):
                await discard_body(request)
            return refused(kind, error.status_code, error.detail, error.headers)
        except CancelledError:
            # The grace period of the shutdown is over. The server would respond 500, after which senders do not retry.
            self.on_request(None)
            busy = ServiceUnavailable("this server is shutting down", 1)
            return refused(kind, busy.status_code, busy.detail, busy.headers)
        except BaseException:  # the server responds 500
            self.on_request(None)
            raise
        self.on_request(receipt)
        return Response(response(kind, receipt.rejected, receipt.reason), media_type=kind)

    async def _receive(self, request: Request, kind: str) -> Receipt:
        refuse_web_pages(request, "spans")
        self.check(request)
        if kind not in MEDIA_TYPES:
            raise HTTPException(415, f"expected a Content-Type of {' or '.join(MEDIA_TYPES)}")
        gzipped = is_gzipped(request)
        with self.intake.budget.for_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            return await self.intake.receive(body, kind, gzipped=gzipped)


def refused(kind: str, status_code: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response that is no success, in the encoding ``kind`` or, if that is unknown, as JSON."""
    shown = kind if kind in MEDIA_TYPES else JSON
    return Response(refusal(shown, status_code, reason), status_code, headers, media_type=shown)
