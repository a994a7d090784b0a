"""Spans in OTLP over http/protobuf, as Logfire and Langfuse send them."""

import gzip
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.fault_server import Request
from tests.neighbours.seen import Seen

_OURS: Final = "failpath_otel"
_CHANGING: Final = ("code.", "thread.")


def decoded(request: Request) -> bytes:
    """A body without its compression."""
    return gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body


def read_otlp(requests: Sequence[Request]) -> list[Seen]:
    """All spans, but for those that say that another one has begun (Logfire's pending ones)."""
    return [
        Seen(
            span.name,
            span.span_id,
            span.parent_span_id,
            {"status": span.status.code, "events": len(span.events), **_plain(span.attributes)},
            ours=scope.scope.name == _OURS,
        )
        for request in requests
        if request.path.endswith("/v1/traces")
        for resource in ExportTraceServiceRequest.FromString(decoded(request)).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if _plain(span.attributes).get("logfire.span_type") != "pending_span"
    ]


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind)).strip()


def _plain(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {
        attribute.key: _text(attribute.value) for attribute in attributes if not attribute.key.startswith(_CHANGING)
    }
