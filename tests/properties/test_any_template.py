"""Whatever spans come by OTLP, in either encoding: templates give the records that the walk gives, byte for byte."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from failpath_otel import semconv
from failpath_otel.otlp.http_messages import spans_in
from failpath_otel.otlp.reader import Receipt, SpanReader
from failpath_otel.otlp.reading import Reading
from failpath_otel.records.content import RecordContent
from failpath_otel.records.rules import StepRule
from tests.gateway.requests import JSON, PROTOBUF, body_of
from tests.planted import PAIRS, TEXTS
from tests.properties.tape import properties
from tests.spans.foreign import event

WALKS: Final = 4
"""Spans of a step that are walked before there is a template."""

RULE: Final = StepRule("orders", "by-rule", span_name="a*", run_id="http.route")
CONTENTS: Final[dict[str, Callable[[], RecordContent]]] = {
    "plain": RecordContent,
    "rules": lambda: RecordContent(capture_stack=True, rules=[RULE]),
    "no process": lambda: RecordContent(send_process=False, send_error_messages=False),
    "defaults": lambda: RecordContent(default_metadata={"release": "1", "route": "/"}),
    "redact": lambda: RecordContent(redact=lambda key, value: None if key == "route" else value),
}

PLAIN_NAMES: Final = [f"{semconv.METADATA_PREFIX}{key}" for key in ("route", "n", "a.b", "%s", "@first@")]
ODD_NAMES: Final = [
    *(f"{semconv.METADATA_PREFIX}{key}" for key in ("password", "ключ", "", "k" * 130, "failpath.dropped_keys")),
    *(f"{semconv.METADATA_JSON_PREFIX}x", semconv.START_MARKER, semconv.STACK_GIVEN, "failpath.new"),
    semconv.PARENT_SPAN_ID,
    *("http.route", "db.statement", "rpc.system", "rpc.grpc.status_code", "error.type", "ключ"),
]
characters = st.characters(exclude_categories=["Cs"])
clean_texts = st.text("abcdefghijkl/-_ 0123456789", max_size=20)
texts = (
    clean_texts
    | st.text(characters, max_size=40)
    | st.sampled_from([*TEXTS.values(), *PAIRS.values(), "4111 1111 1111 1111", "\n", "J\x1a\n\x0f", '"}', "\u2028"])
    | st.builds(lambda text, count: text * count, st.sampled_from(["x", "é", "word ", "\x01"]), st.integers(100, 5_000))
)
scalars = {
    str: texts,
    int: st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 300),
    bool: st.booleans(),
    float: st.floats(),
}
clean = {str: clean_texts, int: st.integers(0, 10_000), bool: st.booleans(), float: st.floats(0, 1_000)}
odd_values = texts | st.lists(clean_texts, max_size=3).map(tuple) | scalars[float] | scalars[int] | st.just(True)


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """What is the same in the spans of a step."""
    types = draw(st.dictionaries(st.sampled_from(PLAIN_NAMES), st.sampled_from(list(clean)), max_size=3))
    odd = draw(st.dictionaries(st.sampled_from(ODD_NAMES), odd_values, max_size=2)) if draw(st.booleans()) else {}
    identity = {semconv.FLOW_KEY: draw(st.sampled_from(["checkout", "%s", "заказ", "@run@"]))}
    statuses = draw(st.sampled_from([("running", "success"), ("running", "error"), (), ("running",), ("skipped",)]))
    return {
        "types": types,
        "odd": odd,
        "identity": {**identity, semconv.STEP_KEY: draw(st.sampled_from(["charge-card", '"', "k" * 200]))},
        "has_run": draw(st.booleans()),
        "has_outer_step": draw(st.booleans()),
        "stated": draw(st.none() | st.sampled_from(semconv.STATUSES)),
        "events": [*statuses, *draw(st.sampled_from([(), (), (), ("exception",), ("other",)]))],
        "code": draw(st.sampled_from([StatusCode.UNSET, StatusCode.OK, StatusCode.UNSET, StatusCode.ERROR])),
        "has_parent": draw(st.booleans()),
        "lasts": draw(st.sampled_from([1_234_567, 0, 1, -5])),
        "has_process": draw(st.booleans()),
    }


@st.composite
def requests(draw: st.DrawFn) -> list[ReadableSpan]:
    """Clean spans of one shape, so that it has a template, and then any spans that are more or less like them."""
    shape = draw(shapes())
    spans = [_span(draw, shape, clean, shape["lasts"]) for _ in range(WALKS + 1)]
    for _ in range(draw(st.integers(1, 4))):
        changed = {**shape, **draw(st.sampled_from([{}, {}, {"code": StatusCode.ERROR}, {"has_parent": False}]))}
        some = {**clean, **scalars} if draw(st.booleans()) else clean
        spans.append(_span(draw, changed, some, draw(st.sampled_from([shape["lasts"], 0, -1, 10**12 + 1]))))
    return spans


def _span(draw: st.DrawFn, shape: dict[str, Any], of_type: dict[type, Any], lasts: int) -> ReadableSpan:
    trace_id, start = draw(st.integers(1, (1 << 128) - 1)), draw(st.integers(1 << 30, (1 << 62)))
    attributes = {**shape["identity"]}
    if shape["has_run"]:
        attributes[semconv.RUN_ID] = draw(of_type[str])
    attributes |= {name: draw(of_type[kind]) for name, kind in shape["types"].items()} | shape["odd"]
    if shape["has_outer_step"]:
        attributes[semconv.PARENT_SPAN_ID] = draw(st.integers(1, 1 << 63).map("{:016x}".format) | of_type[str])
    if shape["stated"] is not None:
        attributes[semconv.STEP_STATUS] = shape["stated"]
    return ReadableSpan(
        "a span",
        SpanContext(trace_id, draw(st.integers(1, (1 << 64) - 1)), is_remote=False, trace_flags=TraceFlags(1)),
        parent=SpanContext(trace_id, draw(st.integers(1, 99)), is_remote=False) if shape["has_parent"] else None,
        attributes=attributes,
        events=[event(semconv.EVENT_NAMES.get(name, name), start) for name in shape["events"]],
        status=Status(shape["code"]),
        start_time=start,
        end_time=start + lasts,
        resource=Resource({"process.pid": 4711, "host.name": 'b"ö%x'} if shape["has_process"] else {}),
    )


def _records(body: bytes, kind: str, reader: SpanReader, reading: Reading) -> tuple[list[list[bytes]], Receipt]:
    receipt = Receipt()
    return list(reader.read(spans_in(body, kind, reading), receipt)), receipt


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("content", CONTENTS)
@properties(60)
@given(spans=requests())
def test_a_template_gives_the_records_that_the_walk_gives(content: str, kind: str, spans: list[ReadableSpan]) -> None:
    of = CONTENTS[content]()
    reader = SpanReader(of)
    body = body_of(spans, kind)
    by_template = _records(body, kind, reader, reader.reading)
    assert by_template == _records(body, kind, SpanReader(of), Reading(of.rules))
    # Once more, now that all templates are there.
    assert _records(body, kind, reader, reader.reading) == by_template


def _clean_span(number: int) -> ReadableSpan:
    return ReadableSpan(
        "charge-card",
        SpanContext(number + 1, number + 1, is_remote=False, trace_flags=TraceFlags(1)),
        attributes={
            semconv.FLOW_KEY: "checkout",
            semconv.RUN_ID: f"req-{number}",
            semconv.STEP_KEY: "charge-card",
            "failpath.metadata.cart": "c" * number,
            "failpath.metadata.n": number,
            "failpath.metadata.gift": True,
            "failpath.metadata.weight": number / 8,
            "http.route": f"/{number}",
            semconv.STEP_STATUS: "success",
        },
        events=[event("failpath.step.running", 10 + number), event("failpath.step.success", 20 + number)],
        status=Status(StatusCode.OK),
        start_time=10 + number,
        end_time=20_000 + number,
        resource=Resource({}),
    )


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@properties(300)
@given(data=st.data())
def test_a_body_that_was_damaged_is_read_as_it_is_without_templates(kind: str, data: st.DataObject) -> None:
    content = RecordContent()
    reader = SpanReader(content)
    whole = body_of([_clean_span(number) for number in range(WALKS)], kind)
    _records(whole, kind, reader, reader.reading)
    body = bytearray(body_of([_clean_span(20), _clean_span(21)], kind))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(
            st.integers(0, 255) | st.sampled_from(b'\0\1\t\n"\\{}[]:,J\x7f\x80')
        )
    assert _outcome(bytes(body), kind, reader, reader.reading) == _outcome(bytes(body), kind, reader, Reading())


def _outcome(body: bytes, kind: str, reader: SpanReader, reading: Reading) -> object:
    try:
        return _records(body, kind, reader, reading)
    except ValueError as error:
        return str(error)


def _by_template(spans: Sequence[ReadableSpan], kind: str, reader: SpanReader) -> int:
    """How many of these spans a template has read."""
    return sum(type(found) is list for found in spans_in(body_of(spans, kind), kind, reader.reading))


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_steps_of_a_shape_that_was_seen_before_are_read_by_a_template(kind: str) -> None:
    reader = SpanReader(RecordContent())
    assert _by_template([_clean_span(number) for number in range(500)], kind, reader) == 500 - WALKS


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("content", ["defaults", "redact"])
def test_every_step_is_walked_where_options_change_its_metadata(kind: str, content: str) -> None:
    reader = SpanReader(CONTENTS[content]())
    assert _by_template([_clean_span(number) for number in range(50)], kind, reader) == 0


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_a_step_of_several_shapes_has_a_template_for_each(kind: str) -> None:
    spans = []
    for number in range(400):
        span = _clean_span(number)
        if number % 2:
            span = ReadableSpan(
                span.name,
                span.context,
                attributes={name: value for name, value in (span.attributes or {}).items() if name != "http.route"},
                events=span.events,
                start_time=span.start_time,
                end_time=span.end_time,
                resource=span.resource,
            )
        spans.append(span)
    reader = SpanReader(RecordContent())
    _by_template(spans, kind, reader)
    assert _by_template(spans, kind, reader) == len(spans)
