"""Log records are read alike in both encodings, one by one, within the bounds of a request."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from failpath_otel.otlp.logs.messages import logs_in
from failpath_otel.otlp.logs.record import MAX_LOG_ATTRIBUTES, MAX_LOG_BYTES, OtlpLog, ReadLog
from failpath_otel.otlp.span import MAX_SPANS, TooManySpansError
from tests.gateway.requests import JSON, PROTOBUF
from tests.local.events import EPOCH_NS
from tests.logs import SPAN, TRACE, log, log_json, log_request

KINDS = pytest.mark.parametrize("kind", [PROTOBUF, JSON])


def read(body: bytes, kind: str) -> list[ReadLog]:
    return list(logs_in(body, kind))


def only(logs: Iterator[ReadLog]) -> OtlpLog:
    [found] = logs
    assert isinstance(found, OtlpLog)
    return found


@KINDS
def test_a_record_is_read_with_its_scope_its_service_and_values_of_every_kind(kind: str) -> None:
    body = {"text": "paid", "list": [1, "two", 2.5, True], "deep": {"er": "x"}}
    record = log(body, 2, severity=17, attributes={"order": 7, "code.function.name": "pay"})
    assert only(logs_in(log_request(record, kind=kind), kind)) == OtlpLog(
        TRACE,
        SPAN,
        EPOCH_NS + 2_000_000_000,
        17,
        "INFO",
        {"text": "paid", "list": (1, "two", 2.5, True), "deep": {"er": "x"}},
        {"order": 7, "code.function.name": "pay"},
        "shop.pay",
        "shop",
    )


@KINDS
def test_records_without_a_trace_are_counted_and_not_read(kind: str) -> None:
    nowhere = log(trace="", span="")
    zeros = log(trace="0" * 32)
    found = read(log_request(nowhere, zeros, log("kept"), nowhere, kind=kind), kind)
    assert [each if isinstance(each, int) else each.body for each in found] == [2, "kept", 1]


@KINDS
@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"traceId": TRACE[:-2]}, "its trace id has 15 bytes, not 16"),
        ({"spanId": SPAN + "00"}, "its span id has 9 bytes, not 8"),
        ({"body": {"stringValue": "x" * MAX_LOG_BYTES}}, "larger than"),
    ],
)
def test_a_record_that_cannot_be_used_says_why_and_costs_no_other(
    kind: str, fields: dict[str, Any], problem: str
) -> None:
    bad, good = read(log_request(log() | fields, log("good"), kind=kind), kind)
    assert isinstance(bad, OtlpLog)
    assert problem in bad.problem
    assert isinstance(good, OtlpLog)
    assert (good.problem, good.body) == ("", "good")


@KINDS
def test_a_record_may_name_a_trace_and_no_span_and_the_time_when_it_was_observed(kind: str) -> None:
    record = log(span="", observedTimeUnixNano="5") | {"timeUnixNano": "0"}
    found = only(logs_in(log_request(record, kind=kind), kind))
    assert (found.span_id, found.time_ns) == ("", 5)


@pytest.mark.parametrize(
    ("given", "number"),
    [("SEVERITY_NUMBER_WARN2", 14), ("SEVERITY_NUMBER_FATAL4", 24), ("13", 13), ({}, 0), (-1, 0), (None, 0), (True, 0)],
)
def test_a_severity_in_json_is_a_number_or_its_name_and_nothing_else_costs_the_record(given: Any, number: int) -> None:
    assert only(logs_in(log_request(log(severity=given)), JSON)).severity == number


@KINDS
def test_of_very_many_attributes_the_first_are_read_and_a_request_with_too_many_parts_is_cut_off(kind: str) -> None:
    found = only(logs_in(log_request(log(attributes={f"k{n}": n for n in range(2_000)}), kind=kind), kind))
    assert len(found.attributes) == MAX_LOG_ATTRIBUTES
    wide = log([""] * 200, attributes={f"k{n}": [""] * 200 for n in range(60)})
    assert "more than" in only(logs_in(log_request(wide, kind=kind), kind)).problem


@pytest.mark.parametrize("body", [b"\xff\xfe garbage", log_request(log(), kind=PROTOBUF)[:-3], log_request(log())])
def test_a_body_that_is_no_request_is_refused_as_a_whole_in_protobuf(body: bytes) -> None:
    with pytest.raises(ValueError, match="no ExportLogsServiceRequest"):
        logs_in(body, PROTOBUF)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"resourceLogs":{}}', b'{"resourceLogs":' + b"[" * 100_000, log_request(log(), kind=PROTOBUF)],
)
def test_a_body_that_is_no_request_is_refused_as_a_whole_in_json(body: bytes) -> None:
    with pytest.raises(ValueError, match="no ExportLogsServiceRequest"):
        logs_in(body, JSON)


@pytest.mark.parametrize("record", [b"{}", b"0"])
def test_a_request_with_too_many_records_is_refused_before_they_are_read(record: bytes) -> None:
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b",".join([record] * (MAX_SPANS + 1)) + b"]}]}]}"
    with pytest.raises(TooManySpansError, match="log records in the body"):
        logs_in(body, JSON)
    with pytest.raises(TooManySpansError, match="log records in the body"):
        logs_in(b"\x0a\x00" * (MAX_SPANS + 1), PROTOBUF)


def test_a_record_in_json_that_is_no_record_costs_no_other() -> None:
    request = log_json(log("good"))
    request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][:0] = [
        7,
        {"traceId": TRACE, "spanId": 5},
        {"traceId": "x" * 32},
    ]
    found = read(json.dumps(request).encode(), JSON)
    assert [each.problem.partition(":")[0] for each in found if isinstance(each, OtlpLog)] == [
        "it is no log record",
        "it is no log record",
        "its trace id or its span id is no hexadecimal number",
        "",
    ]


def test_half_a_surrogate_pair_in_json_is_replaced() -> None:
    body = log_request(log("XX")).replace(b"XX", b"cut \\ud83d")
    assert only(logs_in(body, JSON)).body == "cut \ufffd"
