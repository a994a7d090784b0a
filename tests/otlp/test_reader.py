"""A span that came by OTLP gives the records that the SDK's span gives, whatever is on it and in either encoding."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from failpath_otel import semconv
from failpath_otel.otlp.http_messages import spans_in
from failpath_otel.otlp.reader import Receipt, SpanReader, records_of
from failpath_otel.otlp.reading import Reading
from failpath_otel.otlp.span import OtlpSpan
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record, encode
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.rules import StepRule
from failpath_otel.records.span_translation import span_records
from failpath_otel.steps.keys import make_run_id
from tests.gateway.requests import JSON, PROTOBUF, attribute, body_of, json_request, json_span, protobuf_of, records_in
from tests.spans.foreign import IDENTITY, EventAttributes, a_span, event, lifecycle

POLICY = RecordContent(capture_stack=True)
KINDS = pytest.mark.parametrize("kind", [PROTOBUF, JSON])

texts = st.text(max_size=20)
# Older encoders of OpenTelemetry make a list of numbers of bytes.
KEEPS_BYTES = b"as they are" in protobuf_of([a_span({"x": b"as they are"})])
blobs = st.binary(max_size=20) if KEEPS_BYTES else st.nothing()
scalars = texts | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | blobs
# A span of the SDK has tuples.
lists = st.lists(texts, max_size=3).map(tuple) | st.lists(st.integers(-9, 9), max_size=3).map(tuple)
values = scalars | lists | st.dictionaries(texts, scalars, max_size=3)
names = (
    st.sampled_from([semconv.FLOW_KEY, semconv.RUN_ID, semconv.STEP_KEY, semconv.STEP_STATUS, semconv.ERROR_TYPE])
    | texts.map("failpath.metadata.{}".format)
    | texts.map("failpath.metadata_json.{}".format)
    | texts
)
attributes = st.dictionaries(names, values | st.sampled_from(semconv.STATUSES), max_size=8)
event_names = st.sampled_from([*semconv.STEP_EVENTS, "exception", "other"])
event_attributes = st.dictionaries(
    st.sampled_from(["exception.type", "exception.message", "exception.stacktrace", "x"]), values, max_size=3
)
times = st.integers(1, (1 << 63) - 1)


@st.composite
def spans(draw: st.DrawFn) -> ReadableSpan:
    """Any span that OpenTelemetry's encoder can encode; three of four are steps."""
    trace_id = draw(st.integers(1, (1 << 128) - 1))
    parent = draw(st.none() | st.integers(1, (1 << 64) - 1))
    start = draw(times)
    identity = draw(st.sampled_from([IDENTITY, IDENTITY, IDENTITY, {}]))
    return ReadableSpan(
        draw(texts),
        SpanContext(trace_id, draw(st.integers(1, (1 << 64) - 1)), is_remote=False, trace_flags=TraceFlags(1)),
        parent=None if parent is None else SpanContext(trace_id, parent, is_remote=False),
        attributes={**identity, **draw(attributes)},
        events=[
            Event(name, EventAttributes(draw(event_attributes)), draw(times))
            for name in draw(st.lists(event_names, max_size=3))
        ],
        status=draw(st.sampled_from([Status(code) for code in StatusCode] + [Status(StatusCode.ERROR, "no money")])),
        start_time=start,
        end_time=draw(times),
        resource=Resource({}),
    )


def by_otlp(span: ReadableSpan, kind: str) -> list[bytes]:
    return [encode(record) for record in read(body_of([span], kind), kind)[0]]


def by_sdk(span: ReadableSpan) -> list[bytes]:
    records = span_records(span, None, POLICY)
    return [encode(record) for record in sorted(records, key=lambda record: record.timestamp)]


@KINDS
@given(span=spans())
def test_any_span_gives_the_records_that_it_gives_in_its_own_process(kind: str, span: ReadableSpan) -> None:
    assert by_otlp(span, kind) == by_sdk(span)


@KINDS
@pytest.mark.parametrize("statuses", [(), ("running", "success"), ("running", "error"), ("skipped",), ("running",)])
def test_a_step_gives_the_records_of_its_lifecycle(kind: str, statuses: tuple[str, ...]) -> None:
    failed = StatusCode.ERROR if "error" in statuses else StatusCode.UNSET
    exception = event("exception", exception__type="Declined", exception__message="no", exception__stacktrace="at x")
    span = a_span({"failpath.metadata.n": 1}, events=[*lifecycle(*statuses), exception], status=failed)
    assert by_otlp(span, kind) == by_sdk(span) != []


def read(body: bytes, kind: str = JSON) -> tuple[list[Record], Receipt]:
    return records_in(body, kind, POLICY)


ANY_VALUES: list[tuple[dict[str, Any], Any]] = [
    ({"intValue": "7"}, 7),
    ({"intValue": 7}, 7),
    ({"intValue": "-9223372036854775808"}, -(1 << 63)),
    ({"intValue": "seven"}, "seven"),
    ({"intValue": "9" * 100}, "9" * 100),
    ({"intValue": 10**30}, str(10**30)),
    ({"boolValue": False}, False),
    ({"doubleValue": 1.5}, 1.5),
    ({"doubleValue": 2}, 2.0),
    ({"doubleValue": "1.5"}, 1.5),
    ({"doubleValue": "NaN"}, "nan"),
    ({"doubleValue": "-Infinity"}, "-inf"),
    ({"stringValue": ""}, ""),
    ({"bytesValue": "aGk="}, "hi"),
    ({"bytesValue": "aGk"}, "hi"),
    ({"bytesValue": "no base64!"}, "no base64!"),
    ({"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "a"}, {}]}}, [1, "a", None]),
    ({"arrayValue": {}}, []),
    ({"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}, {"key": "b"}]}}, {"a": True, "b": None}),
    ({"somethingNew": 1}, None),
    ({"stringValue": None, "intValue": 3}, 3),
    ({}, None),
]


@pytest.mark.parametrize(("value", "meant"), ANY_VALUES, ids=str)
def test_an_attribute_in_json_is_what_the_mapping_says(value: dict[str, Any], meant: Any) -> None:
    span = json_span(attributes=[*json_span()["attributes"], {"key": "failpath.metadata.v", "value": value}])
    records, _ = read(json_request(span))
    assert records[0].metadata == {"v": meant}


@pytest.mark.parametrize(
    "fields",
    [
        {"startTimeUnixNano": 1700000000123456789, "endTimeUnixNano": 1700000001358024679},
        {"traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "00F067AA0BA902B7"},
        {"somethingNew": {"a": [1]}, "droppedEventsCount": None, "status": None, "links": [{"x": 1}], "flags": 257},
        {"status": {}, "events": [], "parentSpanId": "", "kind": "SPAN_KIND_SERVER", "traceState": ""},
        {"status": {"code": "STATUS_CODE_OK"}, "kind": 3},
        {"events": None, "status": {"code": 0, "message": None}},
    ],
    ids=str,
)
def test_json_may_be_written_in_several_ways(fields: dict[str, Any]) -> None:
    plain, _ = read(json_request(json_span()))
    records, _ = read(json_request({**json_span(), **fields}))
    assert [record.status for record in records] == ["running", "success"]
    assert records == plain


@pytest.mark.parametrize("end", [None, "0", 0], ids=str)
def test_a_span_that_has_not_ended_is_running_unless_it_says_more(end: object) -> None:
    open_span = {**json_span(), "endTimeUnixNano": end}
    records, _ = read(json_request(open_span))
    assert [record.status for record in records] == ["running"]
    records, _ = read(json_request({**open_span, "status": {"code": 2}}))
    assert [(record.status, record.duration_ms) for record in records] == [("running", None), ("error", 0.0)]


def test_half_a_surrogate_pair_in_json_costs_nothing_else() -> None:
    body = json_request(json_span(), json_span(name="x")).replace(b'"x"', b'"\\ud83d"')
    records, receipt = read(body)
    assert (len(records), receipt.received) == (4, 2)
    csv = attribute("failpath.metadata.csv", "," * 1_000_001)
    records, _ = read(body.replace(b"[{", b'[{"new": %b, ' % json.dumps(csv).encode(), 1))
    assert len(records) == 4


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (rb"\ud83d\ude00\ud83d", "\U0001f600\ufffd"),
        (rb"\ude00\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\ud83d\ude00\ude00", "\ufffd\U0001f600\ufffd"),
        (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (rb"\\\ud83d\\\\ude00", "\\\ufffd\\\\ude00"),
    ],
)
def test_only_halves_of_surrogate_pairs_in_json_are_replaced(text: bytes, meant: str) -> None:
    span = json_span(attributes=[*json_span()["attributes"], attribute("failpath.metadata.v", "PLACE")])
    records, _ = read(json_request(span).replace(b"PLACE", text))
    assert records[0].metadata == {"v": meant}


@KINDS
def test_a_record_names_the_process_of_the_resource(kind: str) -> None:
    named = {"process.pid": 12, "host.name": "box", "process.creation.time": "2023-11-14T22:13:20Z"}
    span = a_span()
    rows: list[tuple[dict[str, Any], bytes]] = [
        (named, b'"process":{"pid":12,"host":"box","startTime":"2023-11-14T22:13:20Z"}'),
        ({"process.pid": 12, "host.name": "box"}, b'"process":{"pid":12,"host":"box"}'),
        ({"process.pid": 12}, b""),
        ({"host.name": "box"}, b""),
        ({"process.pid": "12", "host.name": "box"}, b""),
        ({"process.pid": -1, "host.name": "box"}, b""),
        ({}, b""),
    ]
    for resource, process in rows:
        span._resource = Resource(resource)  # what a provider is given
        for record in by_otlp(span, kind):
            assert (process in record) if process else (b"process" not in record)


@KINDS
def test_a_rule_can_name_the_service_of_the_resource(kind: str) -> None:
    rule = StepRule("{resource:service.name}", "charge-card", span_name="*")
    content = RecordContent(rules=[rule])
    for resource, flow in (({"service.name": "shop"}, "shop"), ({}, "other")):
        span = a_span(identity={})
        span._resource = Resource(resource)  # what a provider is given
        records, _ = records_in(body_of([span], kind), kind, content)
        in_process = span_records(span, None, content)
        assert {record.flow_key for record in (*records, *in_process)} == {flow}
        assert len(records) == len(in_process) == 2


@KINDS
def test_spans_are_counted_by_what_they_are(kind: str) -> None:
    all_spans = [a_span(), a_span(identity={}), a_span({semconv.STEP_KEY: ""}), a_span({semconv.FLOW_KEY: 7})]
    records, receipt = read(body_of(all_spans, kind), kind)
    assert len(records) == 2
    assert receipt == Receipt(4, 1, 1, 2, "span 2: its step key or its flow key is no text, or empty")


def test_a_long_run_id_names_the_run_that_it_names_in_python() -> None:
    ids = ["order-" + "é" * 300 + end for end in ("1", "2")]
    spans = [json_span(attributes=[*json_span()["attributes"], attribute("failpath.run.id", each)]) for each in ids]
    records, _ = read(json_request(*spans))
    assert {record.run_id for record in records} == {make_run_id(each) for each in ids}
    assert len({record.run_id for record in records}) == 2


def test_a_run_span_has_no_step_key_and_is_passed_over() -> None:
    flow = json_span(attributes=[attribute("failpath.flow.key", "checkout")])
    assert read(json_request(flow)) == ([], Receipt(1, 0, 1, 0, ""))


def test_records_go_out_in_the_order_in_which_things_happened() -> None:
    late = json_span(spanId="00f067aa0ba902b8", startTimeUnixNano="1700000000999999999")
    records, _ = read(json_request(late, json_span()))
    assert [record.timestamp for record in records] == sorted(record.timestamp for record in records)


def test_a_span_that_cannot_be_read_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = list(spans_in(json_request(json_span(), json_span()), JSON))
    assert isinstance(spans[0], OtlpSpan)
    spans[0].events = None  # type: ignore[assignment]
    receipt = Receipt()
    [found] = SpanReader(POLICY).read(iter(spans), receipt)
    assert (len(found), receipt.steps, receipt.rejected) == (2, 1, 1)


def test_a_span_without_a_step_key_is_read_where_a_rule_may_make_a_step_of_it() -> None:
    body = json_request(json_span(attributes=[attribute("http.route", "/charge")]))
    assert list(spans_in(body, JSON)) == [1]
    [span] = spans_in(body, JSON, Reading(Rules([StepRule("checkout", "charge", span_name="charge-*")])))
    assert isinstance(span, OtlpSpan)
    assert (span.name, span.instrumentation_scope.name) == ("charge-card", "shop")
    assert records_of(span, POLICY) == []
