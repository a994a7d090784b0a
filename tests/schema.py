"""What every record on the wire has to be, whatever was recorded: the schema, and the sizes that it may have."""

import json
import re
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

import msgspec

from failpath_otel import limits
from failpath_otel.records import request
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record
from failpath_otel.scrubbing.values import DROPPED_KEYS

_MAX_KEY_CHARS: Final = limits.MAX_KEY_CHARS * 10
"""A key of as many lone surrogates as a key may have characters, each escaped."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_RECORD: Final = msgspec.json.Decoder(Record, strict=True)
_BODY: Final = msgspec.json.Decoder(dict[str, list[msgspec.Raw]], strict=True)


def records_of(body: bytes) -> list[Record]:
    """The records of the body of one request, each and all together within what the wire contract allows."""
    assert len(body) <= limits.MAX_BATCH_BYTES, len(body)
    given = _BODY.decode(body)
    assert given.keys() == {"events"}
    events = [bytes(event) for event in given["events"]]
    assert 1 <= len(events) <= limits.MAX_BATCH_RECORDS, len(events)
    assert len(body) == request.body_size(sum(map(len, events)), len(events))
    return [valid_record(event) for event in events]


def valid_record(event: bytes) -> Record:
    """The record that ``event`` is; an ``AssertionError`` or msgspec's error says what is wrong with it."""
    assert len(event) <= limits.MAX_RECORD_BYTES, len(event)
    # Beside msgspec, because what other receivers take for JSON may be narrower, or wider.
    given = json.loads(event, parse_constant=_refuse)
    record = _RECORD.decode(event)
    _check_names(given, Record)
    _check_identity(record)
    _check_times(record)
    _check_metadata(record.metadata)
    assert (record.error is not None) == (record.status == "error"), record
    if record.error is not None:
        _check_names(given["error"], ErrorInfo)
        assert 0 < len(record.error.name) <= limits.MAX_ERROR_NAME_CHARS
        assert len(record.error.message) <= limits.MAX_ERROR_MESSAGE_CHARS
        assert record.error.stack is None or len(record.error.stack) <= limits.MAX_STACK_CHARS
    if record.process is not None:
        _check_names(given["process"], ProcessInfo)
    return record


def moment(timestamp: str) -> datetime:
    """The time that RFC 3339 text in UTC with microseconds tells."""
    assert _TIME.fullmatch(timestamp), timestamp
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00"))


def _refuse(constant: str) -> NoReturn:
    msg = f"JSON knows no {constant}"
    raise AssertionError(msg)


def _check_names(given: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    unknown = given.keys() - {field.encode_name for field in msgspec.structs.fields(kind)}
    assert not unknown, unknown


def _check_identity(record: Record) -> None:
    assert re.fullmatch(r"[0-9a-f]{49,65}[rsek]", record.id), record.id
    assert re.fullmatch(r"[0-9a-f]{32}", record.trace_id), record.trace_id
    assert re.fullmatch(r"[0-9a-f]{16}", record.span_id), record.span_id
    assert 0 < len(record.flow_key) <= _MAX_KEY_CHARS
    assert 0 < len(record.step_key) <= _MAX_KEY_CHARS
    assert 0 < len(record.run_id) <= limits.MAX_RUN_ID_CHARS


def _check_times(record: Record) -> None:
    ended = moment(record.timestamp)
    assert (record.started_at is None) == (record.duration_ms is None), record
    if record.started_at is None or record.duration_ms is None:
        return
    assert record.status != "running"
    began = moment(record.started_at)
    assert began <= ended
    # Each of the two times is cut to microseconds, and so is the duration; a float does not hold millennia exactly.
    lasted = (ended - began) / timedelta(milliseconds=1)
    assert abs(record.duration_ms - lasted) < 0.0021 + lasted * 1e-15, record


def _check_metadata(metadata: dict[str, Any]) -> None:
    assert len(metadata.keys() - {DROPPED_KEYS}) <= limits.MAX_METADATA_KEYS
    _check_value(metadata, 0)


def _check_value(value: object, depth: int) -> None:
    # One deeper than the limit, because that counts the containers inside of the metadata.
    assert not isinstance(value, (list, dict)) or depth <= limits.MAX_METADATA_DEPTH, "nested too deep"
    if isinstance(value, dict):
        assert len(value) <= limits.MAX_METADATA_ITEMS + 1
        for key, item in value.items():
            assert 0 < len(key) <= limits.MAX_METADATA_KEY_CHARS
            _check_value(item, depth + 1)
    elif isinstance(value, list):
        assert len(value) <= limits.MAX_METADATA_ITEMS + 1
        for item in value:
            _check_value(item, depth + 1)
    elif isinstance(value, str):
        assert len(value) <= limits.MAX_METADATA_TEXT_CHARS
    elif isinstance(value, int):
        assert -(1 << 63) <= value < 1 << 63
