import json
import re
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.records.record import (
    ErrorInfo,
    ProcessInfo,
    Record,
    decode,
    encode,
    minimal_record,
    record_id,
    rfc3339,
)
from tests.spans.foreign import ENDED_AT, STARTED_AT


def a_record(**more: Any) -> Record:
    fields: dict[str, Any] = {
        "id": "0" * 32,
        "flow_key": "checkout",
        "run_id": "req-1",
        "step_key": "charge-card",
        "status": "running",
        "timestamp": STARTED_AT,
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "metadata": {},
    }
    return Record(**{**fields, **more})


def test_a_running_record_has_exactly_the_fields_of_the_wire_contract() -> None:
    assert json.loads(encode(a_record())) == {
        "id": "0" * 32,
        "flowKey": "checkout",
        "runId": "req-1",
        "stepKey": "charge-card",
        "status": "running",
        "timestamp": STARTED_AT,
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "metadata": {},
    }


def test_a_complete_error_record_has_exactly_the_fields_of_the_wire_contract() -> None:
    record = a_record(
        status="error",
        timestamp=ENDED_AT,
        metadata={"route": "/checkout", "items": [1, 2]},
        started_at=STARTED_AT,
        duration_ms=1234.567,
        error=ErrorInfo("PaymentError", "card declined", "Traceback …"),
        process=ProcessInfo(4711, "web-1", STARTED_AT),
    )
    assert json.loads(encode(record)) == {
        "id": "0" * 32,
        "flowKey": "checkout",
        "runId": "req-1",
        "stepKey": "charge-card",
        "status": "error",
        "timestamp": ENDED_AT,
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "metadata": {"route": "/checkout", "items": [1, 2]},
        "startedAt": STARTED_AT,
        "durationMs": 1234.567,
        "error": {"name": "PaymentError", "message": "card declined", "stack": "Traceback …"},
        "process": {"pid": 4711, "host": "web-1", "startTime": STARTED_AT},
    }


def test_an_error_without_a_stack_and_a_process_without_a_start_time_leave_the_fields_out() -> None:
    record = a_record(status="error", error=ErrorInfo("Error", ""), process=ProcessInfo(1, "web-1"))
    sent = json.loads(encode(record))
    assert sent["error"] == {"name": "Error", "message": ""}
    assert sent["process"] == {"pid": 1, "host": "web-1"}


def test_a_duration_of_zero_is_sent() -> None:
    assert json.loads(encode(a_record(status="success", started_at=STARTED_AT, duration_ms=0.0)))["durationMs"] == 0


def test_a_record_survives_the_round_trip_through_json() -> None:
    record = a_record(
        status="error",
        metadata={"a": [None, True, 1, 1.5, "é\u2028\x00", {"b": {}}]},
        started_at=STARTED_AT,
        duration_ms=0.001,
        error=ErrorInfo("E", "m", "s"),
        process=ProcessInfo(1, "h"),
    )
    assert msgspec.json.decode(encode(record), type=Record) == record


@pytest.mark.parametrize(
    "data", [b"", b"7", b"{", b"{}", b'{"id":"\xff"}', b'{"id":"\xed\xa0\x80"}', b'{"metadata":' * 100_000, b"\xff"]
)
def test_what_is_no_record_is_nothing_and_never_raises(data: bytes) -> None:
    assert decode(data) is None
    assert decode(encode(a_record())) == a_record()


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (1_700_000_000_123_456_789, STARTED_AT),
        (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000Z"),
        (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_rfc_3339_in_utc_with_six_digits(nanoseconds: int, text: str) -> None:
    assert rfc3339(nanoseconds) == text


@settings(deadline=None)
@given(st.integers(0, 253_402_300_799 * 10**9))
def test_every_time_reads_back_to_the_same_microsecond(nanoseconds: int) -> None:
    text = rfc3339(nanoseconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    read = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    since = read - datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds == nanoseconds // 1000


def test_the_id_of_an_event_is_the_same_whenever_it_is_computed() -> None:
    identity = ("a" * 32, "b" * 16, "running", 1)
    assert record_id(*identity) == record_id(*identity)
    assert re.fullmatch("[0-9a-f]{49}r", record_id(*identity))


def test_ids_differ_by_trace_span_status_and_nanosecond() -> None:
    ids = {
        record_id("a" * 32, "b" * 16, "running", 1),
        record_id("c" * 32, "b" * 16, "running", 1),
        record_id("a" * 32, "c" * 16, "running", 1),
        record_id("a" * 32, "b" * 16, "success", 1),
        record_id("a" * 32, "b" * 16, "running", 2),
    }
    assert len(ids) == 5


def test_a_record_at_the_limit_is_left_whole_and_one_beyond_it_is_cut_down() -> None:
    bare = len(encode(a_record(metadata={"x": ""})))
    fits = encode(a_record(metadata={"x": "y" * (limits.MAX_RECORD_BYTES - bare)}))
    assert len(fits) == limits.MAX_RECORD_BYTES
    assert json.loads(fits)["metadata"].keys() == {"x"}
    cut = encode(a_record(metadata={"x": "y" * (limits.MAX_RECORD_BYTES - bare + 1)}))
    assert json.loads(cut)["metadata"] == {"failpath.cut_down": "the record was too large"}


def test_what_is_cut_down_keeps_identity_status_times_and_the_name_of_the_error() -> None:
    whole = a_record(
        status="error",
        metadata={"x": "y" * 100_000},
        started_at=STARTED_AT,
        duration_ms=1.5,
        error=ErrorInfo("PaymentError", "m" * 4_000, "s" * 16_000),
        process=ProcessInfo(1, "h"),
    )
    cut = json.loads(encode(whole))
    assert len(json.dumps(cut)) < 2_000
    kept = json.loads(whole.to_json())
    for name in kept.keys() - {"metadata", "error"}:
        assert cut[name] == kept[name]
    assert cut["error"]["name"] == "PaymentError"
    assert cut["error"]["message"].startswith("mmm")
    assert "4000 characters" in cut["error"]["message"]
    assert "stack" not in cut["error"]


def test_cutting_down_a_record_without_an_error_invents_none() -> None:
    assert minimal_record(a_record()).error is None


@pytest.mark.parametrize(
    "unfit", [object(), "\ud800", 1 << 100, {object(): 1}], ids=["object", "surrogate", "integer", "key"]
)
def test_metadata_that_cannot_be_encoded_costs_the_metadata_and_not_the_record(unfit: object) -> None:
    sent = json.loads(encode(a_record(metadata={"x": unfit})))
    assert (sent["flowKey"], sent["runId"], sent["stepKey"], sent["status"]) == (
        "checkout",
        "req-1",
        "charge-card",
        "running",
    )
