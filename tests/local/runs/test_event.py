"""What counts as an event, and how a time is read."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from failpath_otel.local.runs.event import decode_event
from failpath_otel.local.runs.times import parse_rfc3339
from tests.local.events import event, wire
from tests.properties.tape import Tape


def _decode(**changes: Any) -> Any:
    return decode_event(json.dumps(wire(event("success", 2, started=1), **changes)))


def test_an_event_with_unknown_fields_is_an_event() -> None:
    assert _decode(future={"a": 1}).status == "success"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "done"}, r"Invalid enum value 'done' - at `\$.status`"),
        ({"status": None}, r"\$.status"),
        ({"id": ""}, r"\$.id"),
        ({"id": ...}, "missing required field `id`"),
        ({"flowKey": ""}, r"\$.flowKey"),
        ({"runId": 7}, r"\$.runId"),
        ({"stepKey": ...}, "`stepKey`"),
        ({"spanId": ""}, r"\$.spanId"),
        ({"metadata": []}, r"\$.metadata"),
        ({"timestamp": "yesterday"}, "RFC 3339 time with a zone, got 'yesterday'"),
        ({"timestamp": 1700000000}, r"\$.timestamp"),
        ({"startedAt": "2024-01-01T00:00:00"}, "RFC 3339 time with a zone"),
        ({"durationMs": "1"}, r"\$.durationMs"),
        ({"error": {"name": "E"}}, r"`message` - at `\$.error`"),
    ],
)
def test_anything_else_is_refused_with_the_field_and_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _decode(**changes)


@pytest.mark.parametrize(
    "payload", ["7", "null", "[]", '{"id":', '{"id": "\\ud800"}', '{"a":' * 100_000, b'{"id":"\xff"}', b"\xff"]
)
def test_what_is_no_json_object_is_refused_and_never_crashes(payload: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_event(payload)


def test_a_time_is_read_to_the_microsecond_in_any_zone() -> None:
    assert parse_rfc3339("1970-01-01T00:00:00.000001Z") == 1
    assert parse_rfc3339("1970-01-01T02:00:00+02:00") == 0
    assert parse_rfc3339("1970-01-01T00:00:00.0000019Z") == 2


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_not_every_platform_can_show_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 1970 to 9999"):
        parse_rfc3339(text)


_FIRST = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "given",
    [_FIRST, 0, _LAST - timedelta(days=1), _LAST - timedelta(seconds=1), 253_402_300_799, _LAST],
    ids=str,
)
def test_any_time_that_can_be_recorded_by_hand_is_one_that_the_receiver_takes(given: datetime | float) -> None:
    tape = Tape()
    tape.record_step(flow_key="f", run_id="r", step_key="s", status="success", started_at=given, timestamp=given)
    received = decode_event(tape.kept[0])
    expected = (given - _FIRST) // timedelta(microseconds=1) if isinstance(given, datetime) else given * 10**6
    assert parse_rfc3339(received.timestamp) == expected
    assert received.started_at in {None, received.timestamp}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (253_402_300_800, "9999-12-31T23:00:00-01:00"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=1))), "9999-12-31T23:00:00-01:00"),
        (-1e-6, "1969-12-31T23:59:59.999999Z"),
        (_FIRST - timedelta(microseconds=1), "1969-12-31T23:59:59.999999Z"),
    ],
    ids=str,
)
def test_a_time_that_the_receiver_refuses_cannot_be_recorded_by_hand(given: datetime | float, text: str) -> None:
    with pytest.raises(ValueError, match="1970 to 9999"):
        parse_rfc3339(text)
    with pytest.raises(ValueError, match="between the years 1970 and 9999"):
        Tape().record_step(flow_key="f", run_id="r", step_key="s", status="success", timestamp=given)
