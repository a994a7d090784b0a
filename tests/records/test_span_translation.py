"""Spans of any tracer become records: pure functions, checked without any tracer."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace.status import StatusCode

from failpath_otel import limits, semconv
from failpath_otel.records.content import RecordContent
from failpath_otel.records.matching.values import attributes_as_dict
from failpath_otel.records.record import ProcessInfo, Record, encode
from failpath_otel.records.span_translation import (
    outcome_record,
    read_start,
    running_record,
    span_records,
    start_from_clean_attributes,
)
from tests.spans.foreign import (
    ENDED_AT,
    IDENTITY,
    SPAN_ID,
    START_NS,
    STARTED_AT,
    TRACE_ID,
    a_span,
    event,
    lifecycle,
)

PROCESS = ProcessInfo(4711, "web-1", STARTED_AT)


def records(span: ReadableSpan, *, capture_stack: bool = False) -> list[Record]:
    return span_records(span, PROCESS, RecordContent(capture_stack=capture_stack))


def statuses(span: ReadableSpan) -> list[str]:
    return [record.status for record in records(span)]


def metadata(*attributes: tuple[str, Any]) -> dict[str, Any]:
    return records(a_span(dict(attributes)))[-1].metadata


def test_a_span_without_lifecycle_events_gives_two_records_start_and_end() -> None:
    running, ended = records(a_span())
    assert (running.status, running.timestamp, running.started_at, running.duration_ms) == (
        "running",
        STARTED_AT,
        None,
        None,
    )
    assert (ended.status, ended.timestamp, ended.started_at, ended.duration_ms) == (
        "success",
        ENDED_AT,
        STARTED_AT,
        1234.567,
    )
    for record in (running, ended):
        assert (record.flow_key, record.run_id, record.step_key) == ("checkout", "req-1", "charge-card")
        assert (record.trace_id, record.span_id) == (f"{TRACE_ID:032x}", f"{SPAN_ID:016x}")
        assert record.process == PROCESS
    assert running.id != ended.id


def test_leading_zeros_of_trace_id_and_span_id_are_kept() -> None:
    [running, _] = records(a_span())
    assert (len(running.trace_id), len(running.span_id)) == (32, 16)
    assert running.span_id.startswith("00f0")


def test_the_same_span_gives_the_same_ids_again() -> None:
    assert [record.id for record in records(a_span())] == [record.id for record in records(a_span())]


@pytest.mark.parametrize(
    ("code", "status"), [(StatusCode.UNSET, "success"), (StatusCode.OK, "success"), (StatusCode.ERROR, "error")]
)
def test_a_span_that_states_no_outcome_is_judged_by_its_span_status(code: StatusCode, status: str) -> None:
    assert statuses(a_span(status=code)) == ["running", status]


@pytest.mark.parametrize("status", ["success", "error", "skipped"])
def test_a_stated_outcome_goes_before_the_span_status(status: str) -> None:
    span = a_span({semconv.STEP_STATUS: status}, events=lifecycle("running", status), status=StatusCode.ERROR)
    assert statuses(span) == ["running", status]
    assert statuses(a_span({semconv.STEP_STATUS: status}, status=StatusCode.OK))[-1] == status


@pytest.mark.parametrize("stated", ["", "failed", "RUNNING", 7, True, (), ("success",), {"a": 1}], ids=repr)
def test_an_unknown_status_is_as_none_at_all(stated: object) -> None:
    assert statuses(a_span({semconv.STEP_STATUS: stated}, status=StatusCode.ERROR)) == ["running", "error"]


def test_a_status_that_the_host_has_cut_is_read_from_the_lifecycle_event() -> None:
    span = a_span({semconv.STEP_STATUS: "err"}, events=lifecycle("running", "error"), status=StatusCode.OK)
    assert statuses(span) == ["running", "error"]


def test_each_lifecycle_event_becomes_one_record() -> None:
    running, ended = records(a_span(events=lifecycle("running", "success")))
    assert (running.timestamp, ended.timestamp) == (STARTED_AT, ENDED_AT)


@pytest.mark.parametrize("status", ["success", "error", "skipped"])
def test_a_manual_outcome_gives_one_record_that_was_never_running(status: str) -> None:
    [record] = records(a_span({semconv.STEP_STATUS: status}, events=lifecycle("running", status)[1:]))
    assert (record.status, record.timestamp) == (status, ENDED_AT)
    assert (record.started_at, record.duration_ms) == (STARTED_AT, 1234.567)


def test_a_manual_record_of_one_moment_has_no_duration() -> None:
    span = a_span({semconv.STEP_STATUS: "success"}, events=lifecycle("success"), end_ns=START_NS)
    [record] = records(span)
    assert (record.started_at, record.duration_ms) == (None, None)


def test_a_manual_running_gives_one_running_record() -> None:
    span = a_span({semconv.STEP_STATUS: "running"}, events=lifecycle("running"), end_ns=START_NS)
    assert statuses(span) == ["running"]
    assert statuses(a_span({semconv.STEP_STATUS: "running"}, end_ns=START_NS)) == ["running"]


def test_a_skip_without_lifecycle_events_was_never_running() -> None:
    assert statuses(a_span({semconv.STEP_STATUS: "skipped"}, end_ns=START_NS)) == ["skipped"]


def test_an_evicted_running_event_does_not_make_a_step_a_manual_record() -> None:
    limited = _limited_span(max_events=2)
    limited.add_event(semconv.EVENT_NAMES["running"])
    for number in range(200):
        limited.add_event(f"mine {number}")
    limited.add_event(semconv.EVENT_NAMES["success"])
    limited.end()
    assert limited.dropped_events
    assert statuses(limited) == ["running", "success"]


def test_an_evicted_outcome_event_leaves_the_stated_outcome() -> None:
    limited = _limited_span(max_events=2)
    limited.add_event(semconv.EVENT_NAMES["error"])
    limited.set_attribute(semconv.STEP_STATUS, "error")
    for number in range(200):
        limited.add_event(f"mine {number}")
    limited.end()
    assert statuses(limited) == ["running", "error"]


def test_evicted_attributes_leave_the_identity_and_metadata_that_were_read_at_the_start() -> None:
    span = _limited_span(max_attributes=4, attributes={"failpath.metadata.a": 1})
    start = read_start(span)
    assert start is not None
    for number in range(200):
        span.set_attribute(f"mine.{number}", number)
    span.end()
    assert semconv.FLOW_KEY not in (span.attributes or {})
    record = outcome_record(start, span, "success", attributes_as_dict(span), None, RecordContent())
    assert (record.flow_key, record.run_id, record.step_key) == ("checkout", "req-1", "charge-card")
    assert record.metadata == {"a": 1}


@pytest.mark.parametrize(
    ("given", "parent"),
    [("00f067aa0ba902b7", "00f067aa0ba902b7"), ("00F067AA0BA902B7", None), ("00f067aa0ba902b71", None), (7, None)],
)
def test_the_step_that_a_span_states_as_its_parent_is_taken_if_it_is_a_span_id(
    given: object, parent: str | None
) -> None:
    start = read_start(a_span({semconv.PARENT_SPAN_ID: given}))
    assert start is not None
    assert start.parent_span_id == parent


def _limited_span(max_events: int = 128, max_attributes: int = 128, attributes: dict[str, Any] | None = None) -> Any:
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415 - the only tracer in this file

    limit = SpanLimits(max_events=max_events, max_span_attributes=max_attributes)
    tracer = TracerProvider(span_limits=limit, shutdown_on_exit=False).get_tracer("any")
    return tracer.start_span("charge-card", attributes={**IDENTITY, **(attributes or {})})


@pytest.mark.parametrize("missing", [semconv.FLOW_KEY, semconv.STEP_KEY])
@pytest.mark.parametrize("value", [None, "", 7, True, ("checkout",)], ids=repr)
def test_a_span_without_a_text_for_flow_key_or_step_key_is_no_step(missing: str, value: object) -> None:
    identity = {name: text for name, text in IDENTITY.items() if name != missing}
    span = a_span(None if value is None else {missing: value}, identity=identity)
    assert read_start(span) is None
    assert records(span) == []


def test_a_span_without_attributes_or_context_is_no_step() -> None:
    assert records(ReadableSpan("bare")) == []
    assert records(ReadableSpan("bare", attributes=dict(IDENTITY))) == []


@pytest.mark.parametrize("run_id", [None, ""], ids=["missing", "empty"])
def test_without_a_run_id_the_trace_id_is_the_run_id(run_id: str | None) -> None:
    identity = {semconv.FLOW_KEY: "checkout", semconv.STEP_KEY: "charge-card"}
    span = a_span(None if run_id is None else {semconv.RUN_ID: run_id}, identity=identity)
    assert [record.run_id for record in records(span)] == [f"{TRACE_ID:032x}"] * 2


@pytest.mark.parametrize(("run_id", "text"), [(7, "7"), (1.5, "1.5"), (("a", "b"), "('a', 'b')")])
def test_a_run_id_that_is_no_text_is_taken_by_its_text(run_id: object, text: str) -> None:
    assert {record.run_id for record in records(a_span({semconv.RUN_ID: run_id}))} == {text}


def test_overlong_keys_of_another_tracer_are_bounded_and_marked() -> None:
    span = a_span({semconv.FLOW_KEY: "f" * 9_999, semconv.STEP_KEY: "s" * 9_999, semconv.RUN_ID: "r" * 9_999})
    for record in records(span):
        assert len(record.flow_key) == len(record.step_key) == limits.MAX_KEY_CHARS
        assert len(record.run_id) == limits.MAX_RUN_ID_CHARS
        assert "9999" in record.flow_key


def test_scalars_lists_and_json_texts_become_metadata() -> None:
    found = metadata(
        ("failpath.metadata.text", "a"),
        ("failpath.metadata.number", 7),
        ("failpath.metadata.half", 0.5),
        ("failpath.metadata.yes", True),
        ("failpath.metadata.list", ("a", "b")),
        ("failpath.metadata.with.dots", 1),
        ("failpath.metadata_json.nested", '{"a":[1,null,"x"]}'),
        ("failpath.metadata_json.nothing", "null"),
        ("http.route", "/not-metadata"),
    )
    assert found == {
        "text": "a",
        "number": 7,
        "half": 0.5,
        "yes": True,
        "list": ["a", "b"],
        "with.dots": 1,
        "nested": {"a": [1, None, "x"]},
        "nothing": None,
    }


@pytest.mark.parametrize(
    "broken",
    ['{"a":[1,', "", "nonsense", "1e999", "\ud800", "[" * 5_000, 7, b"\xff", {"a": 1}, "NaN"],
    ids=lambda value: repr(value)[:20],
)
def test_broken_json_text_stays_as_text_and_costs_nothing_else(broken: object) -> None:
    found = metadata(("failpath.metadata_json.broken", broken), ("failpath.metadata.whole", 1))
    assert found.keys() == {"broken", "whole"}
    assert found["whole"] == 1


def test_keys_of_attributes_that_are_no_text_cost_nothing_but_themselves() -> None:
    assert statuses(a_span({1: 2, None: 3, ("a",): 4})) == ["running", "success"]


def test_secrets_in_the_metadata_of_another_tracer_are_redacted() -> None:
    assert metadata(("failpath.metadata.api_key", "sk_live"), ("failpath.metadata_json.x", '{"password":"p"}')) == {
        "api_key": "[redacted]",
        "x": {"password": "[redacted]"},
    }


def test_metadata_that_came_later_is_in_the_outcome_over_what_was_there() -> None:
    span = _limited_span(attributes={"failpath.metadata.a": 1, "failpath.metadata.b": 1})
    start = read_start(span)
    assert start is not None
    span.set_attribute("failpath.metadata.b", 2)
    span.set_attribute("failpath.metadata_json.c", "[1,null]")
    span.end()
    assert running_record(start, None, RecordContent()).metadata == {"a": 1, "b": 1}
    record = outcome_record(start, span, "success", attributes_as_dict(span), None, RecordContent())
    assert record.metadata == {"a": 1, "b": 2, "c": [1, None]}


def test_a_trusted_start_takes_uncut_attributes_over_those_of_the_span() -> None:
    cut = a_span({semconv.FLOW_KEY: "che", semconv.RUN_ID: "req", semconv.STEP_KEY: "cha"})
    start = start_from_clean_attributes(cut, {**IDENTITY, "failpath.metadata.a": "long"})
    record = running_record(start, PROCESS, RecordContent())
    assert (record.flow_key, record.run_id, record.step_key) == ("checkout", "req-1", "charge-card")
    assert record.metadata == {"a": "long"}
    assert record.timestamp == STARTED_AT
    assert not start.manual
    assert start_from_clean_attributes(cut, {**IDENTITY, semconv.STEP_STATUS: "skipped"}).manual


def test_a_span_that_ends_before_it_starts_has_a_duration_of_zero() -> None:
    ended = records(a_span(end_ns=START_NS - 10**9))[-1]
    assert (ended.timestamp, ended.started_at, ended.duration_ms) == (STARTED_AT, STARTED_AT, 0.0)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_names = st.one_of(
    st.sampled_from(
        [
            semconv.FLOW_KEY,
            semconv.RUN_ID,
            semconv.STEP_KEY,
            semconv.STEP_STATUS,
            "failpath.metadata.",
            semconv.ERROR_TYPE,
        ]
    ),
    st.text().map("failpath.metadata.".__add__),
    st.text().map("failpath.metadata_json.".__add__),
    st.text(),
)


@settings(deadline=None)
@given(
    attributes=st.dictionaries(_names, _values, max_size=12),
    events=st.lists(
        st.tuples(
            st.sampled_from([*semconv.STEP_EVENTS, "exception", "mine"]),
            st.dictionaries(
                st.sampled_from(["exception.type", "exception.message", "exception.stacktrace"]), _values, max_size=3
            ),
        ),
        max_size=4,
    ),
    code=st.sampled_from(StatusCode),
)
def test_whatever_a_span_carries_its_records_are_within_bounds_and_readable(
    attributes: dict[str, Any], events: list[tuple[str, dict[str, Any]]], code: StatusCode
) -> None:
    span = a_span(attributes, events=[event(name, **found) for name, found in events], status=code)
    for record in span_records(span, PROCESS, RecordContent(capture_stack=True)):
        data = encode(record)
        assert len(data) <= limits.MAX_RECORD_BYTES
        assert msgspec.json.decode(data, type=Record).id == record.id
        assert json.loads(data)["status"] in semconv.STATUSES
