"""The services of OTLP over gRPC: spans are taken as those of OTLP over HTTP are, metrics and logs are not."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Final

import grpc
from starlette.exceptions import HTTPException

from failpath_otel.otlp.http_messages import PROTOBUF, response
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.requests.intake import Intake
from failpath_otel.serving.grpc.calls import Calls, Context, Handler, metadata_of, sender_of
from failpath_otel.serving.grpc.health import HealthService
from failpath_otel.serving.other_signals import GRPC_METHODS, OtherSignals, Signal

TRACES: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
EXPORT: Final = f"/{TRACES}/Export"

_GZIP: Final = b"\x1f\x8b"
"""How gzip begins. No message of protobuf does: there is no wire type 7."""

_UNIMPLEMENTED: Final = 501
_FAULT: Final = HTTPException(500, "internal error")
_CANCELLED: Final = HTTPException(503, "the call was cancelled")


@dataclass(eq=False)
class OtlpService(grpc.GenericRpcHandler):
    """Receives OTLP by gRPC.

    Args:
        calls: those of the server.
        intake: takes the bodies with spans.
        signals: decides on metrics and logs.
        check_sender: raises ``HTTPException`` for the text of ``authorization`` in the metadata of any call.
        check_room: raises it for a call with spans, before its message is read.
        on_traces: called after each request with spans, with its receipt or why it was refused.
        on_other: the same for the other signals; ``None`` stands for what was taken and discarded.
    """

    calls: Calls
    intake: Intake
    signals: OtherSignals
    _: KW_ONLY
    check_sender: Callable[[str], object] = lambda _: None
    check_room: Callable[[], object] = lambda: None
    on_traces: Callable[[Receipt | HTTPException], object] = lambda _: None
    on_other: Callable[[Signal, HTTPException | None], object] = lambda _, __: None

    def __post_init__(self) -> None:
        self._handlers: dict[str, Handler] = {EXPORT: self.calls.handler(self._export)}
        for signal, method in GRPC_METHODS.items():
            self._handlers[method] = self.calls.handler(partial(self._discard, signal))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401 - as it is declared
        """Return the handler of a method."""
        return self._handlers.get(handler_call_details.method)

    async def _export(self, context: Context) -> bytes:
        receipt = await _reported(self._receive(context), self.on_traces)
        self.on_traces(receipt)
        return response(PROTOBUF, receipt.rejected, receipt.reason)

    async def _receive(self, context: Context) -> Receipt:
        self._check(context)
        self.check_room()
        message = await self.calls.read(context)
        with self.intake.budget.for_request() as take:
            take(len(message))
            return await self.intake.receive(message, PROTOBUF, gzipped=message.startswith(_GZIP))

    async def _discard(self, signal: Signal, context: Context) -> bytes:
        await _reported(self._read_other(signal, context), partial(self.on_other, signal))
        self.on_other(signal, None)
        return b""

    async def _read_other(self, signal: Signal, context: Context) -> None:
        self._check(context)
        refusal = self.signals.refuse(signal, "grpc", sender_of(context))
        if refusal is not None:
            raise HTTPException(_UNIMPLEMENTED, refusal)
        await self.calls.read(context)
        self.signals.note_discarded(signal, "grpc")

    def _check(self, context: Context) -> None:
        self.calls.check()
        self.check_sender(metadata_of(context, "authorization"))


def otlp_services(service: OtlpService, takes_work: Callable[[], bool]) -> list[grpc.GenericRpcHandler]:
    """Return a service, and that of its health: whether requests would be accepted."""
    return [service, HealthService(service.calls, [TRACES], takes_work)]


async def _reported(request: Awaitable[Any], on_refusal: Callable[[HTTPException], object]) -> Any:  # noqa: ANN401
    """Return what a request does, having reported why, where it raises."""
    try:
        return await request
    except HTTPException as error:
        on_refusal(error)
        raise
    except CancelledError:  # by the sender, or because the server ends
        on_refusal(_CANCELLED)
        raise
    except BaseException:
        on_refusal(_FAULT)
        raise
