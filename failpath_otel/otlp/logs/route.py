"""The route of OTLP/HTTP for logs where they are kept: the checks and limits of that for traces."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from starlette.requests import Request
from starlette.responses import Response

from failpath_otel.otlp.logs.messages import logs_response
from failpath_otel.otlp.logs.record import LogReceipt
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES, Intake
from failpath_otel.otlp.route import answered, check_headers
from failpath_otel.serving.body import read_body
from failpath_otel.serving.refusals import Refusal
from failpath_otel.serving.request_checks import refuse_web_pages


@dataclass(eq=False)
class LogRoute:
    """Receives logs by OTLP/HTTP.

    Args:
        intake: takes the bodies, also those that come by another protocol.
        on_request: called after each request with its receipt, or with the refusal.
    """

    intake: Intake[LogReceipt]
    _: KW_ONLY
    on_request: Callable[[LogReceipt | Refusal], object] = lambda _: None

    async def receive(self, request: Request) -> Response:
        """Respond with an ``ExportLogsServiceResponse`` or a ``google.rpc.Status``, in the request's encoding."""
        return await answered(request, self._receive, self.on_request)

    async def _receive(self, request: Request, kind: str) -> Response:
        refuse_web_pages(request, "logs", remedy=True)
        gzipped = check_headers(request, kind)
        with self.intake.budget.for_request() as take:
            body = await read_body(request, MAX_BODY_BYTES, take)
            receipt = await self.intake.receive(body, kind, gzipped=gzipped)
        self.on_request(receipt)
        return Response(logs_response(kind, receipt.rejected, receipt.reason), media_type=kind)
