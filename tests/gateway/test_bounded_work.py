"""What reading a request costs is bounded, however many messages fit into its bytes: counted, and not timed."""

import base64
import contextlib
import gzip
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from failpath_otel import limits
from failpath_otel.otlp.reader import Receipt
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record
from failpath_otel.records.rules import StepRule
from tests.gateway.gateways import Gateway
from tests.gateway.requests import JSON, PROTOBUF, attribute, json_request, json_span, records_in
from tests.opcodes import trace_opcodes

SPAN_PARTS: Final = 500
REQUEST_PARTS: Final = 4_000
PARTS: Final = 100_000
"""Of each body below."""

PER_PART: Final = 60
"""Instructions of Python's interpreter that one part may cost."""

FOR_ALL_ELSE: Final = 100_000


class TooMuchWorkError(Exception):
    pass


def instructions(work: Callable[[], object], most: int) -> int:
    """How many of the interpreter's instructions ``work`` takes. Raises :class:`TooMuchWorkError` beyond ``most``."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count > most:
                msg = f"more than {most} instructions"
                raise TooMuchWorkError(msg)
        return trace

    before = sys.gettrace()
    trace_opcodes(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def read(body: bytes, kind: str, content: RecordContent | None = None) -> tuple[list[Record], Receipt]:
    content = content or RecordContent()
    return records_in(body, kind, content)


def message(field: int, content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + content


def key_value(value: bytes, key: bytes = b"failpath.metadata.x") -> bytes:
    return message(9, message(1, key) + message(2, value))


# A step of which any field can be repeated at its end: a body is `resource_spans { scope_spans { span } }`.
STEP: Final = message(1, b"\1" * 16) + message(2, b"\2" * 8) + b"\x39" + (10**18).to_bytes(8, "little")
STEP_SPAN: Final = (
    STEP
    + message(5, b"charge-card")
    + key_value(message(1, b"checkout"), b"failpath.flow.key")
    + key_value(message(1, b"charge-card"), b"failpath.step.key")
)


def spans_with(extra: bytes, spans: int = 1, resource: bytes = b"") -> bytes:
    return message(1, resource + message(2, message(2, STEP_SPAN + extra) * spans))


EMPTY: Final = b"\x0a\x00"
LISTS: Final = message(5, message(1, message(5, EMPTY * 100)) * (PARTS // 100))
"""A list of lists: each has few values."""

IN_PROTOBUF: Final[dict[str, bytes]] = {
    "attributes": spans_with(b"\x4a\x00" * PARTS),
    "attributes of many spans": spans_with(b"\x4a\x00" * (SPAN_PARTS - 10), PARTS // SPAN_PARTS),
    "events": spans_with(b"\x5a\x00" * PARTS),
    "events of many spans": spans_with(b"\x5a\x00" * (SPAN_PARTS - 10), PARTS // SPAN_PARTS),
    "exceptions": spans_with(message(11, message(2, b"exception")) * PARTS),
    "attributes of an exception": spans_with(message(11, message(2, b"exception") + b"\x1a\x00" * PARTS)),
    "attributes of many exceptions": spans_with(
        message(11, message(2, b"exception") + b"\x1a\x00" * 100) * (PARTS // 100)
    ),
    "values of a list": spans_with(key_value(message(5, EMPTY * PARTS))),
    "lists in a list": spans_with(key_value(LISTS)),
    "values of a mapping": spans_with(key_value(message(6, EMPTY * PARTS))),
    "links": spans_with(b"\x6a\x00" * PARTS),
    "fields of a span that are not known": spans_with(b"\xf8\x01\x00" * PARTS),
    "attributes of a resource": spans_with(b"", resource=message(1, EMPTY * PARTS)),
    "attributes of many resources": message(1, message(1, EMPTY * (SPAN_PARTS - 10))) * (PARTS // SPAN_PARTS),
    "attributes of a scope": message(1, message(2, message(1, b"\x1a\x00" * PARTS) + message(2, STEP_SPAN))),
    "texts around the spans": b"\x7a\x00" * PARTS + spans_with(b""),
    "numbers around the spans": b"\x78\x00" * PARTS + spans_with(b""),
    "fixed numbers around the spans": message(1, b"\x7d\x00\x00\x00\x00" * PARTS) + spans_with(b""),
}


def in_json(extra: bytes = b"", attributes: bytes = b"", spans: int = 1, resource: bytes = b"") -> bytes:
    step = json.dumps(json_span()).encode()
    step = step.replace(b'"attributes": [', b'"attributes": [' + attributes, 1)[:-1] + extra + b"}"
    scopes = b'"scopeSpans":[{"spans":[' + b",".join([step] * spans) + b"]}]"
    return b'{"resourceSpans":[{"resource":{"attributes":[' + resource + b"]}," + scopes + b"}]}"


OBJECTS: Final = b"{}," * PARTS
WITH_VALUES: Final = b'{"key":"failpath.metadata.x","value":{"%bValue":{"values":[' + OBJECTS + b"{}]}}},"
IN_JSON: Final[dict[str, bytes]] = {
    "attributes": in_json(attributes=OBJECTS),
    "attributes of many spans": in_json(attributes=b"{}," * (SPAN_PARTS - 10), spans=PARTS // SPAN_PARTS),
    "events": in_json(b',"events":[' + OBJECTS + b"{}]"),
    "exceptions": in_json(b',"events":[' + b'{"name":"exception"},' * PARTS + b"{}]"),
    "attributes of an exception": in_json(b',"events":[{"name":"exception","attributes":[' + OBJECTS + b"{}]}]"),
    "values of a list": in_json(attributes=WITH_VALUES.replace(b"%b", b"array")),
    "values of a mapping": in_json(attributes=WITH_VALUES.replace(b"%b", b"kvlist")),
    "links": in_json(b',"links":[' + OBJECTS + b"{}]"),
    "attributes of a resource": in_json(resource=OBJECTS + b"{}"),
    "halves of surrogate pairs": in_json(b',"x":"' + b"\\ud800" * PARTS + b'"'),
    "escaped backslashes beside half a pair": in_json(b',"x":"\\ud800' + b"\\\\" * PARTS + b'"'),
}
BODIES: Final = [
    *(pytest.param(body, PROTOBUF, id=f"{name}, protobuf") for name, body in IN_PROTOBUF.items()),
    *(pytest.param(body, JSON, id=f"{name}, JSON") for name, body in IN_JSON.items()),
]


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SPAN_PARTS", SPAN_PARTS)
    monkeypatch.setattr(limits, "MAX_REQUEST_PARTS", REQUEST_PARTS)


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize(("body", "kind"), BODIES)
def test_the_work_of_reading_is_bounded_whichever_message_is_repeated(body: bytes, kind: str) -> None:
    read(spans_with(b"") if kind == PROTOBUF else in_json(), kind)  # loads what the first request loads

    def work() -> None:
        with contextlib.suppress(ValueError):  # where it is refused as a whole
            read(body, kind)

    assert instructions(work, PER_PART * REQUEST_PARTS + FOR_ALL_ELSE) > 0


IDENTITY: Final = ["failpath.flow.key", "failpath.run.id", "failpath.step.key"]


def wide_span(attributes: int, at: int) -> dict[str, Any]:
    """A step with so many attributes, of which those of its identity begin at that place."""
    named = [attribute(f"x.{number}", "y") for number in range(attributes - len(IDENTITY))]
    identity = [attribute(name, name.upper()) for name in IDENTITY]
    return json_span(attributes=[*named[:at], *identity, *named[at:]])


def protobuf_from(body: bytes) -> bytes:
    """The same request as protobuf, whose ids are no text."""
    ids = {"traceId", "spanId"}
    decoded = json.loads(body, object_hook=lambda found: {k: _base64(v) if k in ids else v for k, v in found.items()})
    request: bytes = ParseDict(decoded, ExportTraceServiceRequest()).SerializeToString()
    return request


def _base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def encoded(kind: str, *spans: dict[str, Any]) -> bytes:
    body = json_request(*spans)
    return body if kind == JSON else protobuf_from(body)


KINDS = pytest.mark.parametrize("kind", [PROTOBUF, JSON])


@KINDS
@pytest.mark.parametrize("at", [0, 5_000, limits.MAX_SPAN_PARTS - len(IDENTITY)])
def test_the_identity_of_a_step_may_stand_anywhere_among_the_attributes_that_are_read(kind: str, at: int) -> None:
    records, receipt = read(encoded(kind, wide_span(limits.MAX_SPAN_PARTS, at)), kind)
    assert (receipt.steps, receipt.rejected, receipt.reason) == (1, 0, "")
    assert {(record.flow_key, record.run_id, record.step_key) for record in records} == {
        tuple(name.upper() for name in IDENTITY)
    }


@KINDS
@pytest.mark.parametrize("at", [0, limits.MAX_SPAN_PARTS - 1])
def test_a_step_with_more_attributes_is_rejected_and_never_another_step(kind: str, at: int) -> None:
    records, receipt = read(encoded(kind, wide_span(limits.MAX_SPAN_PARTS + 1, at), json_span()), kind)
    assert receipt.reason == "span 0: it has more than 10000 attributes, events, and values in lists"
    assert (receipt.received, receipt.steps, receipt.rejected) == (2, 1, 1)
    assert {record.run_id for record in records} == {json_span()["traceId"]}, "the other span is taken as it is"


@KINDS
def test_a_span_with_more_attributes_that_is_no_step_is_passed_over_also_where_there_are_rules(kind: str) -> None:
    wide = json_span(attributes=[attribute(f"x.{number}", "y") for number in range(limits.MAX_SPAN_PARTS + 1)])
    body = encoded(kind, wide, {**wide, "name": "GET /cart"})
    assert read(body, kind) == ([], Receipt(2, 0, 2, 0))
    rule = StepRule("shop", "cart", span_name="GET /cart", scope="shop")
    _, receipt = read(body, kind, RecordContent(rules=[rule]))
    assert (receipt.ignored, receipt.rejected) == (1, 1)
    assert receipt.reason.startswith("span 1: it has more than 10000 attributes")


@KINDS
@pytest.mark.parametrize(
    ("asked", "rejected"),
    [
        ({"kind": "server"}, 1),
        ({"kind": "client"}, 0),
        ({"where": {"http.route": "/cart"}}, 1),
        ({"where": {"url.path|http.route": "*"}, "kind": "server"}, 1),
        ({"where": {"http.route": "*"}, "kind": "client"}, 0),
        ({"where": {"http.route": "*", "db.system": "*"}}, 0),
    ],
)
def test_a_span_with_more_attributes_is_rejected_where_a_rule_for_its_kind_and_attributes_may_make_it_a_step(
    kind: str, asked: dict[str, Any], rejected: int
) -> None:
    many = [attribute(f"x.{number}", "y") for number in range(limits.MAX_SPAN_PARTS)]
    wide = json_span(attributes=[*many, attribute("http.route", "/cart")], kind=2)
    rule = StepRule("shop", "cart", span_name="*", **asked)
    records, receipt = read(encoded(kind, wide), kind, RecordContent(rules=[rule]))
    assert (records, receipt.ignored, receipt.rejected) == ([], 1 - rejected, rejected)
    assert receipt.reason.startswith("span 0: it has more than 10000 attributes" if rejected else "")


def test_a_span_of_json_with_more_attributes_and_escapes_is_rejected_where_these_may_be_what_a_rule_asks_for() -> None:
    many = [attribute(f"größe.{number}", "y") for number in range(limits.MAX_SPAN_PARTS + 1)]
    body = json.dumps(json.loads(encoded(JSON, json_span(attributes=many)))).encode()
    assert b"gr\\u00f6" in body
    rule = StepRule("shop", "cart", span_name="*", where={"größe.1": "y"})
    assert read(body, JSON, RecordContent(rules=[rule]))[1].rejected == 1


@KINDS
@pytest.mark.usefixtures("low_limits")
def test_the_steps_of_a_request_are_taken_until_its_attributes_are_too_many(kind: str) -> None:
    fitting = REQUEST_PARTS // SPAN_PARTS
    records, receipt = read(encoded(kind, *[wide_span(SPAN_PARTS, 0)] * (fitting + 2)), kind)
    assert (receipt.steps, receipt.rejected, len(records)) == (fitting, 2, 2 * fitting)
    assert receipt.reason == f"span {fitting}: the spans before it have used up the 4000 attributes of a request"


@KINDS
def test_a_list_of_any_length_is_cut_as_metadata_is_and_costs_the_step_nothing_else(kind: str) -> None:
    vector = {"arrayValue": {"values": [{"doubleValue": 0.5}] * 20_000}}
    listed = [{"key": name, "value": vector} for name in ("failpath.metadata.v", "embedding")]
    span = json_span(attributes=[*json_span()["attributes"], *listed])
    records, receipt = read(encoded(kind, span), kind)
    assert receipt.rejected == 0
    assert records[0].metadata == {"v": [0.5] * 256 + ["…[only the first 256]"]}


@KINDS
def test_a_resource_with_more_attributes_names_no_process_and_its_steps_are_taken(kind: str) -> None:
    named = [attribute("host.name", "box"), {"key": "process.pid", "value": {"intValue": "12"}}]
    for more, is_named in ((limits.MAX_SPAN_PARTS - 2, True), (limits.MAX_SPAN_PARTS, False)):
        body = json_request(json_span(), resource=[*[attribute(f"x.{n}", "y") for n in range(more)], *named])
        records, receipt = read(body if kind == JSON else protobuf_from(body), kind)
        assert (receipt.steps, [record.process is not None for record in records]) == (1, [is_named] * 2)


def test_a_small_body_of_spans_with_half_a_million_attributes_is_answered_and_costs_no_other(
    shared_gateway: Gateway,
) -> None:
    hostile = STEP_SPAN + b"\x4a\x00" * 500_000
    body = gzip.compress(message(1, message(2, message(2, hostile) * 15 + message(2, STEP_SPAN))))
    assert len(body) < 20_000
    steps = shared_gateway.health()["spans"]["steps"]
    answer = shared_gateway.send(body, Content_Encoding="gzip")
    assert answer.status == 200
    assert b"span 0: it has more than 10000 attributes" in answer.body
    assert shared_gateway.health()["spans"]["steps"] >= steps + 1
