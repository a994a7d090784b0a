"""Whatever names a flow, a run or a step, and whatever time is given: it is refused at once, or the record is valid."""

import math
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.local.runs.event import decode_event
from tests.properties.hostile import Given, Text, anything
from tests.properties.tape import Tape, properties
from tests.schema import moment

_characters = st.characters(exclude_categories=())
keys = st.text(_characters, min_size=1, max_size=limits.MAX_KEY_CHARS) | st.builds(
    lambda character, length: character * length, _characters, st.integers(1, limits.MAX_KEY_CHARS)
)
long_keys = st.builds(
    lambda character, length: character * length, _characters, st.integers(limits.MAX_KEY_CHARS + 1, 5_000)
)


@properties(100)
@given(keys, keys, anything)
@example("\udfff" * limits.MAX_KEY_CHARS, "\udfff" * limits.MAX_KEY_CHARS, Given("\udfff" * 9_000))
@example(Text("flow"), Text("step"), Given(None))
def test_a_step_of_any_name_is_recorded_under_it(flow_key: str, step_key: str, run_id: Given) -> None:
    tape = Tape()
    run = tape.run(flow_key, run_id=run_id.value)
    run.step(step_key, lambda: None)
    run.skip(step_key)
    tape.record_step(flow_key=flow_key, run_id=run_id.value, step_key=step_key, status="running")
    assert tape.statuses() == ["running", "success", "skipped", "running"]
    flow, step = str.__str__(flow_key), str.__str__(step_key)
    for record in tape.records()[:3]:
        assert record.run_id == run.run_id
        for sent, name in ((record.flow_key, flow), (record.step_key, step)):
            assert sent == name.encode("utf-8", "backslashreplace").decode()


@properties(30)
@given(long_keys | st.just("") | st.integers() | st.binary() | st.none() | st.lists(st.text()), st.booleans())
def test_a_name_that_cannot_be_is_refused_before_anything_happens(key: Any, of_flow: bool) -> None:
    tape = Tape()
    called: list[None] = []
    run = tape.run("checkout")
    calls: list[Any] = [
        lambda: run.step(key, lambda: called.append(None)),
        lambda: run.step(key),
        lambda: run.skip(key),
        lambda: tape.step(key),
        lambda: tape.run(key),
        lambda: tape.record_step(
            flow_key=key if of_flow else "x", run_id=1, step_key="x" if of_flow else key, status="running"
        ),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match="_key must"):
            call()
    assert (called, tape.kept) == ([], [])


times = (
    st.none()
    | st.floats()
    | st.floats(0, 253_402_300_800)
    | st.integers(-1, 253_402_300_800)
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
)


@properties(100)
@given(st.sampled_from(["running", "success", "error", "skipped"]), times, times)
@example("success", 0, 253_402_300_799)
@example("success", math.nextafter(1e9, 0), 1e9)
@example("success", datetime(9999, 12, 31, 23, 59, 59, 999_999), None)  # noqa: DTZ001 - in local time
@example("running", datetime(1970, 1, 1, tzinfo=timezone.utc), None)
def test_any_time_is_refused_or_in_the_record(status: Any, started_at: Any, timestamp: Any) -> None:
    tape = Tape()
    try:
        tape.record_step(
            flow_key="checkout", run_id="1", step_key="ship", status=status, started_at=started_at, timestamp=timestamp
        )
    except (TypeError, ValueError):
        assert tape.kept == []
        return
    (record,) = tape.records()
    assert record.status == status
    assert decode_event(tape.kept[0]).timestamp == record.timestamp  # the receiver takes it, too
    for sent, given_time in ((record.timestamp, timestamp), (record.started_at, started_at)):
        if sent is not None and isinstance(given_time, datetime) and status != "running":
            assert moment(sent) == given_time.astimezone(timezone.utc)
