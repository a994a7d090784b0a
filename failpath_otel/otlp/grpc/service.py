"""The services of OTLP over gRPC: what OTLP over HTTP takes is taken, the other signals are not."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Final, TypeVar

import grpc
from starlette.exceptions import HTTPException

from failpath_otel.otlp.http_messages import PROTOBUF, response
from failpath_otel.otlp.logs.messages import logs_response
from failpath_otel.otlp.logs.record import LogReceipt
from failpath_otel.otlp.logs.route import LogRoute
from failpath_otel.otlp.reader import Receipt
from failpath_otel.otlp.requests.intake import Intake
from failpath_otel.serving.counts import ServerCounts
from failpath_otel.serving.grpc.calls import Calls, Context, Handler, metadata_of, sender_of
from failpath_otel.serving.grpc.health import HealthService
from failpath_otel.serving.grpc.statuses import code_of
from failpath_otel.serving.other_signals import GRPC_METHODS, LOGS, OtherSignals, Protocol, Signal
from failpath_otel.serving.refusals import FAULT, Refused, refusal_of

TRACES: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
EXPORT: Final = f"/{TRACES}/Export"

_GZIP: Final = b"\x1f\x8b"
"""How gzip begins. No message of protobuf does: there is no wire type 7."""

_UNIMPLEMENTED: Final = 501
_PROTOCOL: Final[Protocol] = "grpc"
_OK: Final = "OK"
_T = TypeVar("_T")


@dataclass(eq=False)
class OtlpService(grpc.GenericRpcHandler):
    """Receives OTLP by gRPC.

    Args:
        calls: those of the server.
        intake: takes the bodies with spans.
        signals: decides on metrics and logs.
        counts: those of the server.
        check_sender: raises ``HTTPException`` for the text of ``authorization`` in the metadata of any call.
        check_room: raises it for a call with spans, before its message is read.
        logs: the route of logs, where they are kept; *signals* decides on them otherwise.
    """

    calls: Calls
    intake: Intake[Receipt]
    signals: OtherSignals
    counts: ServerCounts
    _: KW_ONLY
    check_sender: Callable[[str], object] = lambda _: None
    check_room: Callable[[], object] = lambda: None
    logs: LogRoute | None = None

    def __post_init__(self) -> None:
        self._handlers: dict[str, Handler] = {EXPORT: self.calls.handler(self._export)}
        for signal, method in GRPC_METHODS.items():
            self._handlers[method] = self.calls.handler(partial(self._discard, signal))
        if self.logs is not None:
            self._handlers[GRPC_METHODS[LOGS]] = self.calls.handler(partial(self._export_logs, self.logs))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401 - as it is declared
        """Return the handler of a method."""
        return self._handlers.get(handler_call_details.method)

    async def _export(self, context: Context) -> bytes:
        receipt: Receipt = await self._counted("traces", self._receive(context))
        self.counts.count_spans(receipt, _PROTOCOL, _OK)
        return response(PROTOBUF, receipt.rejected, receipt.reason)

    async def _export_logs(self, logs: LogRoute, context: Context) -> bytes:
        receipt = await self._counted(LOGS, self._receive_logs(logs.intake, context))
        self.counts.count_logs(receipt, _PROTOCOL, _OK)
        return logs_response(PROTOBUF, receipt.rejected, receipt.reason)

    async def _receive_logs(self, intake: Intake[LogReceipt], context: Context) -> LogReceipt:
        self._check(context)
        return await self.calls.complete(_take(intake, await self.calls.read(context)))

    async def _receive(self, context: Context) -> Receipt:
        self._check(context)
        self.check_room()
        return await self.calls.complete(_take(self.intake, await self.calls.read(context)))

    async def _discard(self, signal: Signal, context: Context) -> bytes:
        await self._counted(signal, self._read_other(signal, context))
        self.counts.count_request(signal, _PROTOCOL, _OK)
        return b""

    async def _read_other(self, signal: Signal, context: Context) -> None:
        self._check(context)
        refusal = self.signals.refuse(signal, _PROTOCOL, sender_of(context))
        if refusal is not None:
            raise Refused(_UNIMPLEMENTED, refusal, reason="other_signal")
        await self.calls.read(context)
        self.signals.note_discarded(signal, _PROTOCOL)

    def _check(self, context: Context) -> None:
        self.calls.check()
        self.check_sender(metadata_of(context, "authorization"))

    async def _counted(self, signal: str, request: Awaitable[_T]) -> _T:
        """Return what a request does, having counted it where it raises."""
        try:
            return await request
        except HTTPException as error:
            self.counts.count_request(signal, _PROTOCOL, code_of(error).name, refusal_of(error).reason)
            raise
        except CancelledError:  # by the sender, or because the server ends
            self.counts.count_request(signal, _PROTOCOL, grpc.StatusCode.CANCELLED.name, "cancelled")
            raise
        except BaseException:
            self.counts.count_request(signal, _PROTOCOL, grpc.StatusCode.INTERNAL.name, FAULT.reason)
            raise


async def _take(intake: Intake[_T], message: bytes) -> _T:
    with intake.budget.for_request() as take:
        take(len(message))
        return await intake.receive(message, PROTOBUF, gzipped=message.startswith(_GZIP))


def otlp_services(service: OtlpService, why_not_ready: Callable[[], str | None]) -> list[grpc.GenericRpcHandler]:
    """Return a service, and that of its health; ``why_not_ready`` says on a thread why it takes no work."""
    return [service, HealthService(service.calls, [TRACES], why_not_ready)]
