"""Requests of OTLP, made of SDK spans by OpenTelemetry's own encoder, as protobuf and as JSON."""

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel.otlp.http_messages import spans_in
from failpath_otel.otlp.reader import Receipt, SpanReader
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


class _Attributes(dict[str, Any]):
    dropped = 0


def _encode(spans: Sequence[ReadableSpan]) -> Any:
    for span in spans:
        for event in span.events:
            # Older encoders ask for what the attributes of an event of the SDK's own making have.
            event._attributes = _Attributes(event.attributes or {})
    return encode_spans(spans)


def records_in(body: bytes, kind: str, content: RecordContent) -> tuple[list[Record], Receipt]:
    """All records of a request, and the receipt that counts its spans."""
    receipt = Receipt()
    reader = SpanReader(content)
    found = [data for records in reader.read(spans_in(body, kind, reader.reading), receipt) for data in records]
    return [msgspec.json.decode(data, type=Record) for data in found], receipt


def protobuf_of(spans: Sequence[ReadableSpan]) -> bytes:
    body: bytes = _encode(spans).SerializeToString()
    return body


def json_of(spans: Sequence[ReadableSpan]) -> bytes:
    message = MessageToDict(_encode(spans), use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(message)).encode()


def body_of(spans: Sequence[ReadableSpan], kind: str) -> bytes:
    return json_of(spans) if kind == JSON else protobuf_of(spans)


def json_span(**fields: Any) -> dict[str, Any]:
    """A step as a JSON span; ``fields`` change or add some, and ``None`` takes one away."""
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b7",
        "name": "charge-card",
        "startTimeUnixNano": "1700000000123456789",
        "endTimeUnixNano": "1700000001358024679",
        "attributes": [attribute("failpath.flow.key", "checkout"), attribute("failpath.step.key", "charge-card")],
        **fields,
    }
    return {name: value for name, value in span.items() if value is not None}


def attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def json_request(*spans: dict[str, Any], resource: Sequence[dict[str, Any]] = ()) -> bytes:
    group = {"resource": {"attributes": list(resource)}, "scopeSpans": [{"scope": {"name": "shop"}, "spans": spans}]}
    return json.dumps({"resourceSpans": [group]}).encode()


def _with_hex_ids(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _with_hex_ids(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_hex_ids(each) for each in value]
    return base64.b64decode(value).hex() if name in _IDS else value
