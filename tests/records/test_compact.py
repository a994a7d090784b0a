"""The compact record: its JSON is that of the record which it stands for, whatever is in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.journal.segments import frame
from failpath_otel.records.compact import (
    HEAD_BYTES,
    MAX_COMPACT_BYTES,
    UnknownRecordError,
    cut_down,
    is_compact,
    is_known,
    json_of,
    run_names,
    running_of,
    step_name,
    success_of,
)
from failpath_otel.records.content import RecordContent
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import Record, encode, encode_json, record_id, rfc3339
from failpath_otel.records.span_translation import StepStart, running_record
from failpath_otel.scrubbing.values import clean_metadata
from failpath_otel.step_state import NO_PARENT
from tests.properties.tape import properties

PROCESS = ThisProcess()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
TIMES = st.integers(0, 2**64 - 1)
"""Until the year 2554; later ones are in records that are made one by one."""


def whole(
    names: tuple[str, str, str], metadata: dict[str, Any], ids: bytes, start_ns: int, *, with_process: bool = True
) -> bytes:
    """Return the compact ``running`` record."""
    flow_key, run_id, step_key = names
    process = PROCESS.json if with_process else b""
    names_json = run_names(flow_key, run_id), step_name(step_key)
    return running_of(process, *names_json, encode_json(metadata), ids, start_ns)


def the_same(names: tuple[str, str, str], metadata: dict[str, Any], ids: bytes, start_ns: int) -> StepStart:
    digits = ids.hex()
    parent = None if ids[24:] == NO_PARENT else digits[48:]
    flow_key, run_id, step_key = names
    return StepStart(
        flow_key,
        run_id,
        step_key,
        digits[:32],
        digits[32:48],
        start_ns,
        rfc3339(start_ns),
        metadata,
        {},
        False,
        parent,
    )


@properties(200)
@given(
    st.tuples(TEXTS, TEXTS, TEXTS),
    st.dictionaries(TEXTS, TEXTS | st.integers() | st.floats() | st.none() | st.lists(TEXTS, max_size=3), max_size=5),
    st.binary(min_size=24, max_size=24),
    st.sampled_from([NO_PARENT, b"12345678", b"\0" * 7 + b"\1"]),
    TIMES,
    TIMES,
    st.booleans(),
)
def test_the_json_of_both_records_is_that_of_the_records_they_stand_for(  # noqa: PLR0917 - generated
    names: tuple[str, str, str],
    metadata: dict[str, Any],
    ids: bytes,
    parent: bytes,
    one: int,
    other: int,
    with_process: bool,
) -> None:
    clean, ids, (start_ns, end_ns) = clean_metadata(metadata), ids + parent, sorted((one, other))
    rest = whole(names, clean, ids, start_ns, with_process=with_process)
    start = the_same(names, clean, ids, start_ns)
    running = running_record(start, PROCESS.info, RecordContent(send_process=with_process))
    success = Record(
        record_id(start.trace_id, start.span_id, "success", end_ns),
        *names,
        "success",
        rfc3339(end_ns),
        start.trace_id,
        start.span_id,
        clean,
        start.started_at,
        (end_ns - start_ns) // 1000 / 1000,
        None,
        PROCESS.info if with_process else None,
        start.parent_span_id,
    )
    for stored, record in ((rest, running), (success_of(rest, end_ns), success)):
        assert is_compact(stored)
        assert is_known(stored)
        made = json_of(stored)
        assert json.loads(made) == json.loads(encode(record))
        assert len(made) <= len(stored) + limits.MAX_COMPACT_GROWTH_BYTES


def test_a_running_record_is_the_same_json_to_the_byte() -> None:
    names, metadata, ids = ("checkout", "order-17", "charge-card"), {"amount": 4999}, bytes(range(1, 33))
    rest = whole(names, metadata, ids, 1_796_000_000_123_456_789)
    start = the_same(names, metadata, ids, 1_796_000_000_123_456_789)
    assert json_of(rest) == encode(running_record(start, PROCESS.info, RecordContent()))


def test_what_is_no_compact_record_stays_as_it_is() -> None:
    for stored in (b"", b"{}", b"no JSON", b"\xff"):
        assert not is_compact(stored)
        assert is_known(stored)
        assert json_of(stored) == stored


@pytest.mark.parametrize("kind", [0, 3, 255])
def test_a_kind_of_another_version_is_known_for_one(kind: int) -> None:
    rest = whole(("flow", "run", "step"), {}, bytes(32), 1)
    stored = rest[:1] + bytes((kind,)) + rest[2:]
    assert is_compact(stored)
    assert not is_known(stored)
    with pytest.raises(UnknownRecordError):
        json_of(stored)


def test_a_compact_record_that_is_too_short_is_not_known() -> None:
    rest = whole(("flow", "run", "step"), {}, bytes(32), 1)
    assert not is_known(rest[: HEAD_BYTES - 1])


def test_cut_down_it_keeps_identity_status_and_times() -> None:
    rest = whole(("flow", "run", "step"), {"text": "x" * 4_000}, bytes(range(32)), 5_000_000)
    stored = success_of(rest, 7_500_000)
    kept, before = json.loads(cut_down(stored)), json.loads(json_of(stored))
    assert kept.pop("metadata") != before.pop("metadata")
    assert kept == before
    assert before["durationMs"] == 2.5


def test_the_reader_of_damaged_files_knows_what_a_compact_record_begins_with() -> None:
    assert whole(("flow", "run", "step"), {}, bytes(32), 1)[:1] == frame.COMPACT_MARK
    assert HEAD_BYTES <= frame._NUMBERS


def test_the_longest_compact_record_gives_a_record_within_the_limit() -> None:
    rest = whole(("flow", "run", "step"), {}, b"\xff" * 32, 2**64 - 1)
    filler = MAX_COMPACT_BYTES - len(rest) - len(b'"x":""')
    rest = whole(("flow", "run", "step"), {"x": "y" * filler}, b"\xff" * 32, 2**64 - 1)
    assert len(rest) == MAX_COMPACT_BYTES
    assert len(json_of(success_of(rest, 2**64 - 1))) <= limits.MAX_RECORD_BYTES
