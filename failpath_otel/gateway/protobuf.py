"""OTLP as protobuf."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from failpath_otel.export.record import ProcessInfo
from failpath_otel.gateway.span import (
    EVENTS_READ,
    NO_IDS,
    UNSET,
    OtlpSpan,
    Scope,
    SpanEvent,
    SpanIds,
    problem_of,
    process_of,
    status_of,
)
from failpath_otel.semconv import STEP_KEY

_MAX_DEPTH: Final = 32


def parse(body: bytes) -> list[ResourceSpans]:
    """The spans of a request, as they came. Raises ``ValueError`` where it is no such message."""
    try:
        return list(ExportTraceServiceRequest.FromString(body).resource_spans)
    except DecodeError:
        msg = "the body is no ExportTraceServiceRequest"
        raise ValueError(msg) from None


def read(groups: Iterable[ResourceSpans], *, every: bool) -> Iterator[OtlpSpan | None]:
    """The spans in their order; ``None`` for one without a step key, unless ``every`` span is asked for."""
    for group in groups:
        process = process_of(_attributes(group.resource.attributes))
        for spans in group.scope_spans:
            scope = Scope(spans.scope.name)
            for span in spans.spans:
                # Most spans are no steps; of those that are, the key is among the first attributes.
                if every or any(pair.key == STEP_KEY for pair in span.attributes):
                    yield _span(span, scope, process)
                else:
                    yield None


def _span(span: Span, scope: Scope, process: ProcessInfo | None) -> OtlpSpan:
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    start_time = span.start_time_unix_nano
    problem = problem_of(trace_id, span_id, start_time)
    status = span.status
    code = status.code
    trace_number = 0 if problem else int.from_bytes(trace_id, "big")
    return OtlpSpan(
        span.name,
        NO_IDS if problem else SpanIds(trace_number, int.from_bytes(span_id, "big")),
        SpanIds(trace_number, int.from_bytes(parent_id, "big")) if parent_id else None,
        start_time,
        span.end_time_unix_nano or None,
        _attributes(span.attributes),
        [SpanEvent(event.name, _attributes(event.attributes)) for event in span.events if event.name in EVENTS_READ],
        status_of(code, status.message) if code else UNSET,
        span.dropped_events_count,
        scope,
        process,
        problem,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Nearly all are texts; asking which kind a value is takes longer.
        found[pair.key] = value.string_value or _value(value, 0)
    return found


def _value(value: AnyValue, depth: int) -> Any:  # noqa: ANN401 - what an attribute can be
    kind = value.WhichOneof("value")
    if kind is None or depth > _MAX_DEPTH:
        return None
    if kind == "array_value":
        return tuple(_value(each, depth + 1) for each in value.array_value.values)
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return getattr(value, kind)
