"""The routes of OTLP/HTTP for metrics and logs, which are refused, or read and discarded."""

from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failpath_otel.otlp.http_messages import response
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.otlp.route import answered, check_headers
from failpath_otel.serving.body import read_body
from failpath_otel.serving.other_signals import HTTP_STATUS, ROUTES, OtherSignals, Signal
from failpath_otel.serving.refusals import Refusal, Refused
from failpath_otel.serving.request_checks import refuse_web_pages


@dataclass(eq=False)
class OtherSignalRoute:
    """Receives one of the other signals by OTLP/HTTP.

    Args:
        signal: the signal.
        signals: decides what becomes of it, and counts the requests.
        check: raises ``HTTPException`` for a request before its body is read.
        on_request: called after each request with the signal and the refusal, if it was refused.
    """

    signal: Signal
    signals: OtherSignals
    _: KW_ONLY
    check: Callable[[Request], object] = lambda _: None
    on_request: Callable[[Signal, Refusal | None], object] = lambda _, __: None

    async def receive(self, request: Request) -> Response:
        """Respond with an empty ``Export…ServiceResponse`` or a ``google.rpc.Status``, in the request's encoding."""
        return await answered(request, self._receive, partial(self.on_request, self.signal))

    async def _receive(self, request: Request, kind: str) -> Response:
        refuse_web_pages(request, self.signal, remedy=True)
        self.check(request)
        refusal = self.signals.refuse(self.signal, "http", "" if request.client is None else request.client.host)
        if refusal is not None:
            raise Refused(HTTP_STATUS, refusal, reason="other_signal")
        check_headers(request, kind)
        # What is in it does not matter, and so it is not decompressed.
        await read_body(request, MAX_BODY_BYTES, keep=False)
        self.signals.note_discarded(self.signal, "http")
        self.on_request(self.signal, None)
        # That of traces is empty too, where there is nothing to report.
        return Response(response(kind), media_type=kind)


def other_signal_routes(
    signals: OtherSignals,
    check: Callable[[Request], object] = lambda _: None,
    on_request: Callable[[Signal, Refusal | None], object] = lambda _, __: None,
    kept: Collection[Signal] = (),
) -> list[Route]:
    """Return the routes of all other signals but those that the server keeps, which have routes of their own."""
    return [
        Route(
            path,
            OtherSignalRoute(signal, signals, check=check, on_request=on_request).receive,
            methods=["POST"],
        )
        for signal, path in ROUTES.items()
        if signal not in kept
    ]
