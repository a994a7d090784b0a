"""The status of calls, tasks and workflows, as instrumentations leave it on a span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from failpath_otel import semconv

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_GRPC: Final = "grpc"
_GRPC_OK: Final = "OK"
_CELERY_RETRY: Final = "RETRY"
_GRPC_CODES: Final = (
    *(_GRPC_OK, "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


def is_grpc(attributes: Mapping[str, Any]) -> bool:
    """Return whether a span with these attributes is a gRPC call."""
    return semconv.RPC_GRPC_STATUS_CODE in attributes or any(
        attributes.get(name) == _GRPC for name in semconv.RPC_SYSTEMS
    )


def failed_without_status(span: ReadableSpan, attributes: Mapping[str, Any]) -> bool:
    """Return whether a span whose status is unset shows that what it stands for has failed.

    OpenTelemetry's instrumentation leaves the status unset if a handler of a gRPC server raises or aborts with a client
    error, and if a Celery task asks for another attempt; Temporal's interceptor does if a workflow fails.
    """
    if is_grpc(attributes):
        return bool(_grpc_code(attributes)) or _has_exception(span)
    return _is_retried_task(attributes) or (semconv.TEMPORAL_WORKFLOW_ID in attributes and _has_exception(span))


def _has_exception(span: ReadableSpan) -> bool:
    return any(event.name == semconv.EXCEPTION_EVENT for event in span.events)


def _is_retried_task(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(semconv.CELERY_STATE) == _CELERY_RETRY


def describe_failure(attributes: Mapping[str, Any]) -> str:
    """Return an error status as a message, as ``HTTP 402`` or ``gRPC 5 NOT_FOUND``; empty if there is none."""
    code = _grpc_code(attributes)
    if code:
        return f"gRPC {code}"
    if _is_retried_task(attributes):
        reason = attributes.get(semconv.CELERY_RETRY_REASON)
        return reason if isinstance(reason, str) else "Retry"
    status = next((attributes[name] for name in semconv.HTTP_STATUS_CODES if name in attributes), None)
    return f"HTTP {status}" if type(status) is int else ""


def _grpc_code(attributes: Mapping[str, Any]) -> str:
    """Return the code of a failed gRPC call; empty if there is none."""
    number = attributes.get(semconv.RPC_GRPC_STATUS_CODE)
    if type(number) is int and number != 0:
        return f"{number} {_GRPC_CODES[number]}" if 0 < number < len(_GRPC_CODES) else str(number)
    name = attributes.get(semconv.RPC_RESPONSE_STATUS_CODE)
    # The newer attribute is used by other RPC systems as well.
    return name if type(name) is str and name != _GRPC_OK and is_grpc(attributes) else ""
