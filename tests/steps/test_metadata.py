"""Metadata: merged, cleaned and bounded before the SDK sees it; the step runs whatever was given."""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from failpath_otel import Run, limits
from tests.recording import Recording, attributes, identity, lifecycle, metadata, outcome


def test_metadata_of_the_step_wins_over_that_of_the_run(recording: Recording) -> None:
    recording.run(metadata={"a": 1, "b": 1}).step("pack", lambda: None, metadata={"b": 2, "c": 2})

    assert metadata(recording.only()) == {"a": 1, "b": 2, "c": 2}
    assert recording.start.attributes[0]["failpath.metadata.b"] == 2


def test_scalars_and_lists_of_one_type_are_attributes_and_all_else_is_json_text(run: Run, recording: Recording) -> None:
    run.step(
        "pack", lambda: None, metadata={"n": 1, "list": ["a", "b"], "mixed": ["a", 1], "map": {"a": [1]}, "no": None}
    )

    found = {name: value for name, value in attributes(recording.only()).items() if "metadata" in name}
    assert found == {
        "failpath.metadata.n": 1,
        "failpath.metadata.list": ("a", "b"),
        "failpath.metadata_json.mixed": '["a",1]',
        "failpath.metadata_json.map": '{"a":[1]}',
        "failpath.metadata_json.no": "null",
    }


def test_metadata_can_be_set_before_the_block_and_within_it(run: Run, recording: Recording) -> None:
    step = run.step("pack", metadata={"a": 1})
    step.set_metadata(b=2)
    with step:
        assert recording.start.attributes[0]["failpath.metadata.b"] == 2
        step.set_metadata({"c": 3}, d=4)
        step.set_metadata({"a": 5})

    assert metadata(recording.only()) == {"a": 5, "b": 2, "c": 3, "d": 4}


def test_metadata_set_after_the_block_changes_nothing(run: Run, recording: Recording) -> None:
    with run.step("pack", metadata={"a": 1}) as step:
        pass
    step.set_metadata(a=2, b=3)

    assert metadata(recording.only()) == {"a": 1}


def test_of_metadata_that_changes_its_type_the_last_value_stands_last(run: Run, recording: Recording) -> None:
    with run.step("pack", metadata={"a": 1}) as step:
        step.set_metadata(a={"now": "a map"})
        step.set_metadata(a=2)
        step.set_metadata(a={"now": "another"})

    # A span forgets no attribute, so both types stay on it; the reader takes the later one.
    assert metadata(recording.only()) == {"a": {"now": "another"}}


def test_metadata_of_the_step_replaces_that_of_the_run_also_with_another_type(recording: Recording) -> None:
    recording.run(metadata={"a": [1, "b"]}).step("pack", lambda: None, metadata={"a": 1})

    assert [name for name in attributes(recording.only()) if name.endswith(".a")] == ["failpath.metadata.a"]


def test_metadata_is_taken_as_it_is_at_the_call(run: Run, recording: Recording) -> None:
    given = {"a": 1}
    step = run.step("pack", metadata=given)
    given["a"] = 2
    with step:
        given["a"] = 3

    assert metadata(recording.only()) == {"a": 1}
    assert given == {"a": 3}


def test_what_one_step_sets_is_not_on_the_next_one(run: Run, recording: Recording) -> None:
    with run.step("a") as step:
        step.set_metadata(only="a")
    run.step("b", lambda: None)

    assert metadata(recording.named("b")) == {}


class NoText:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BadMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError("no item")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


def cycle() -> dict[str, object]:
    made: dict[str, object] = {"kept": 1}
    made["self"] = made
    return made


def in_value(value: object) -> dict[str, object]:
    return {"kept": 1, "value": value}


# What is given, and what of it has to be found on the span.
ROWS: dict[str, tuple[Any, str]] = {
    "a list, not a mapping": (["a"], "a list, not a mapping"),
    "a text, not a mapping": ("text", "a str, not a mapping"),
    "a mapping that raises": (BadMapping(), "RuntimeError"),
    "keys that are no strings": ({1: "one", None: "none", "kept": 1}, "one"),
    "a key without a text": ({NoText(): 1, "kept": 1}, "kept"),
    "a cycle": (cycle(), "cycle"),
    "a cycle in a list": (in_value([cycle()]), "cycle"),
    "NaN": (in_value(math.nan), "nan"),
    "infinity": (in_value([math.inf, -math.inf]), "inf"),
    "bytes": (in_value(b"abc\xff"), "abc"),
    "surrogates": (in_value("bad \ud800 text"), "bad"),
    "a date": (in_value(date(2024, 5, 6)), "2024-05-06"),
    "a datetime": (in_value(datetime(2024, 5, 6, tzinfo=timezone.utc)), "2024-05-06T00:00:00+00:00"),
    "a decimal": (in_value(Decimal("1.10")), "1.10"),
    "a set": (in_value({"b", "a"}), '["a", "b"]'),
    "an object without a text": (in_value(NoText()), "RuntimeError"),
    "a value of 10 MB": (in_value("x" * 10_000_000), "10000000 characters"),
    "10,000 keys": ({f"key-{number}": number for number in range(10_000)}, "dropped_keys"),
    "an integer beyond 64 bits": (in_value(2**70), str(2**70)),
    "an integer beyond all texts": (in_value(10**5000), "value"),
    "very deep": (in_value(json.loads("[" * 500 + "]" * 500)), "nested deeper"),
}
every_row = pytest.mark.parametrize(("given", "found"), ROWS.values(), ids=ROWS.keys())


def assert_bounded_and_said(recording: Recording, found: str) -> None:
    span = recording.only()
    assert (outcome(span), lifecycle(span)) == ("success", ["running", "success"])
    assert all(identity(span))
    said = json.dumps(metadata(span), ensure_ascii=False, allow_nan=False)
    assert found in said
    assert len(said.encode("utf-8")) < 2 * limits.MAX_METADATA_BYTES
    assert len(metadata(span)) <= limits.MAX_METADATA_KEYS + 1


@every_row
def test_a_step_with_such_metadata_runs_and_its_span_holds_what_could_be_kept(
    run: Run, recording: Recording, given: Any, found: str
) -> None:
    assert run.step("pack", lambda: 5, metadata=given) == 5

    assert_bounded_and_said(recording, found)


@every_row
def test_a_run_with_such_metadata_is_the_same(recording: Recording, given: Any, found: str) -> None:
    assert recording.run(metadata=given).step("pack", lambda: 5) == 5

    assert_bounded_and_said(recording, found)


@every_row
def test_such_metadata_set_in_a_block_is_the_same(run: Run, recording: Recording, given: Any, found: str) -> None:
    with run.step("pack") as step:
        step.set_metadata(given)

    assert_bounded_and_said(recording, found)


@every_row
def test_such_metadata_on_a_record_by_hand_is_the_same(recording: Recording, given: Any, found: str) -> None:
    recording.failpath.record_step(flow_key="f", run_id="1", step_key="pack", status="skipped", metadata=given)

    assert found in json.dumps(metadata(recording.only()), ensure_ascii=False)
    assert lifecycle(recording.only()) == ["skipped"]


def test_a_value_under_a_key_that_looks_like_a_secret_is_redacted(run: Run, recording: Recording) -> None:
    with run.step("pack", metadata={"api_key": "hush-1", "nested": {"password": "hush-2"}}) as step:
        step.set_metadata(authToken="hush-3", token_count=3)

    assert "hush" not in repr(attributes(recording.only()))
    assert metadata(recording.only())["token_count"] == 3


def test_ten_thousand_values_set_one_by_one_leave_the_step_its_identity(run: Run, recording: Recording) -> None:
    with run.step("pack", metadata={"first": 1}) as step:
        for number in range(10_000):
            step.set_metadata({f"key-{number}": number})

    assert_bounded_and_said(recording, "dropped_keys")
    assert metadata(recording.only())["failpath.dropped_keys"] == 10_000 + 1 - limits.MAX_METADATA_KEYS


def test_large_metadata_of_a_run_and_its_steps_is_bounded_together(recording: Recording) -> None:
    given = {f"a-{number}": "x" for number in range(60)}
    run = recording.run(metadata=given)
    with run.step("pack", metadata={f"b-{number}": "x" for number in range(60)}) as step:
        step.set_metadata({f"c-{number}": "x" for number in range(60)})

    found = metadata(recording.only())
    assert len(found) <= limits.MAX_METADATA_KEYS + 1
    assert found["failpath.dropped_keys"] == 180 - limits.MAX_METADATA_KEYS
