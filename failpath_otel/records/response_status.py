"""The answer to a call, by HTTP or gRPC, as instrumentations leave it on a span."""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel import semconv

_GRPC: Final = "grpc"
_GRPC_OK: Final = "OK"
_GRPC_CODES: Final = (
    _GRPC_OK,
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def is_grpc(attributes: Mapping[str, Any]) -> bool:
    """Whether a span with these attributes is a call by gRPC."""
    return semconv.RPC_GRPC_STATUS_CODE in attributes or any(
        attributes.get(name) == _GRPC for name in semconv.RPC_SYSTEMS
    )


def grpc_call_failed(span: ReadableSpan, attributes: Mapping[str, Any]) -> bool:
    """Whether a span of gRPC shows that its call has failed, where its status does not say.

    OpenTelemetry's instrumentation of servers leaves the status unset when a handler raises, and when one aborts with a
    code that it takes for the caller's fault.
    """
    return is_grpc(attributes) and (
        bool(_grpc_code(attributes)) or any(event.name == semconv.EXCEPTION_EVENT for event in span.events)
    )


def describe_failed_call(attributes: Mapping[str, Any]) -> str:
    """An answer that is an error, as a message: ``HTTP 402``, ``gRPC 5 NOT_FOUND``; empty where none is told."""
    code = _grpc_code(attributes)
    if code:
        return f"gRPC {code}"
    status = next((attributes[name] for name in semconv.HTTP_STATUS_CODES if name in attributes), None)
    return f"HTTP {status}" if type(status) is int else ""


def _grpc_code(attributes: Mapping[str, Any]) -> str:
    """The code of a call by gRPC that has failed; empty where none is told."""
    number = attributes.get(semconv.RPC_GRPC_STATUS_CODE)
    if type(number) is int and number != 0:
        return f"{number} {_GRPC_CODES[number]}" if 0 < number < len(_GRPC_CODES) else str(number)
    name = attributes.get(semconv.RPC_RESPONSE_STATUS_CODE)
    # The newer attribute has the codes of other systems as well.
    return name if type(name) is str and name != _GRPC_OK and is_grpc(attributes) else ""
