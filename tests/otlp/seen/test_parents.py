"""Which span lies below which is read of all spans while that is of use, and of the newest of them only."""

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from failpath_otel.otlp.seen import parents as module
from failpath_otel.otlp.seen.parents import SpanParents
from tests.gateway.requests import JSON, PROTOBUF, json_request, json_span
from tests.gateway.requests import body_of as body_of_spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN, PARENT = "b7ad6b7169203331", "00f067aa0ba902b7"


def body_of(span: Span) -> bytes:
    """A request with this span, as protobuf."""

    def message(field: int, content: bytes) -> bytes:
        return bytes([field << 3 | 2, len(content)]) + content

    return message(1, message(2, message(2, span.SerializeToString())))


def span_of(**fields: Any) -> Span:
    ids: dict[str, Any] = {
        "trace_id": bytes.fromhex(TRACE),
        "span_id": bytes.fromhex(SPAN),
        "parent_span_id": bytes.fromhex(PARENT),
    }
    return Span(**{**ids, **fields})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (body_of(span_of(name="query")), PROTOBUF),
        (body_of(span_of(name="query", trace_state="vendor=1")), PROTOBUF),
        (json_request(json_span(traceId=TRACE.upper(), spanId=SPAN, parentSpanId=PARENT)), JSON),
    ],
)
def test_the_parent_of_a_span_is_known_in_either_encoding(body: bytes, kind: str) -> None:
    parents = SpanParents(lambda: True)
    parents.watch(body, kind)
    assert parents.parent(TRACE, SPAN) == PARENT
    assert parents.parent(TRACE, PARENT) is None
    assert parents.parent("0" * 32, SPAN) is None


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_what_the_sdk_sends_is_read(kind: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("above") as above, tracer.start_as_current_span("below") as below:
        pass
    parents = SpanParents(lambda: True)
    parents.watch(body_of_spans(exporter.get_finished_spans(), kind), kind)
    trace = format_trace_id(above.get_span_context().trace_id)
    ids = [format_span_id(span.get_span_context().span_id) for span in (above, below)]
    assert (parents.parent(trace, ids[1]), parents.parent(trace, ids[0])) == (ids[0], None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (body_of(span_of(parent_span_id=b"")), PROTOBUF),
        (body_of(span_of(trace_id=b"short")), PROTOBUF),
        (body_of(span_of())[:-4], PROTOBUF),
        (b"\xff\xfe garbage", PROTOBUF),
        (b"{", JSON),
        (b'{"resourceSpans":7}', JSON),
        (b'{"resourceSpans":' + b"[" * 100_000, JSON),
        (json_request(json_span(parentSpanId="")), JSON),
        (json_request(json_span(parentSpanId="ab")), JSON),
        (json_request(json_span(traceId=TRACE + "0", spanId=SPAN, parentSpanId=PARENT)), JSON),
    ],
)
def test_what_says_nothing_of_a_parent_is_passed_over(body: bytes, kind: str) -> None:
    parents = SpanParents(lambda: True)
    parents.watch(body, kind)
    assert parents.parent(TRACE, SPAN) is None
    assert not parents._traces  # A long id would take as much memory as the request.


def test_nothing_is_read_while_no_logs_come() -> None:
    parents = SpanParents(lambda: False)
    parents.watch(body_of(span_of()), PROTOBUF)
    assert parents.parent(TRACE, SPAN) is None


def test_of_too_many_spans_those_of_the_oldest_traces_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SPANS_KEPT", 3)
    parents = SpanParents(lambda: True)
    for number in range(1, 6):
        for _ in range(2):  # one that comes twice is one
            parents.watch(body_of(span_of(trace_id=number.to_bytes(16, "big"))), PROTOBUF)
    known = [number for number in range(1, 6) if parents.parent(f"{number:032x}", SPAN)]
    assert known == [3, 4, 5]
