"""The comparison that judges a storm of killed programs finds every kind of wrong that there could be."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status, record_id
from tests.integration.storm_ledger import Program
from tests.integration.storm_program import FLOW
from tests.integration.storm_verdict import Verdict, judge

LEDGER = """\
configured
entered p0.main.0 step-0
ended p0.main.0 step-0 success
ended p0.main.0 step-1 skipped
entered p0.main.0 step-2
entered p0.main.0 ste"""
TEXT = "whole €"
YEARS = {"startedAt": "2025-11-22T20:38:25.000000Z", "durationMs": 365 * 86_400_000.0}


def event(step: int, status: Status, **changes: Any) -> dict[str, Any]:
    trace_id, span_id = "1" * 32, f"{step:016x}"
    ended = status in {"success", "error"}
    record = Record(
        record_id(trace_id, span_id, status, step),
        FLOW,
        "p0.main.0",
        f"step-{step}",
        status,
        "2026-11-22T20:38:25.000000Z",
        trace_id,
        span_id,
        {"text": TEXT, "sum": zlib.crc32(TEXT.encode())},
        "2026-11-22T20:38:25.000000Z" if ended else None,
        0.0 if ended else None,
        ErrorInfo("Planned", "") if status == "error" else None,
        ProcessInfo(7, "host"),
    )
    as_sent: dict[str, Any] = msgspec.json.decode(record.to_json())
    return as_sent | changes


def story() -> list[list[dict[str, Any]]]:
    """What is to be received, in two requests."""
    return [[event(0, "running"), event(0, "success")], [event(1, "skipped"), event(2, "running")]]


@pytest.fixture
def verdict_on(tmp_path: Path) -> Callable[..., Verdict]:
    def verdict_on(batches: list[list[dict[str, Any]]], *, killed: bool = True) -> Verdict:
        ledger = tmp_path / "ledger"
        ledger.write_text(LEDGER)
        program = Program("p0", 7, killed, ledger)
        return judge([program], [msgspec.json.encode({"events": batch}) for batch in batches])

    return verdict_on


def test_a_whole_story_has_no_problems(verdict_on: Callable[..., Verdict]) -> None:
    verdict = verdict_on(story())
    assert (verdict.problems, verdict.repeated, verdict.resent, verdict.entered) == ([], 0, 0, 2)


def test_a_request_that_comes_again_is_counted_and_no_problem(verdict_on: Callable[..., Verdict]) -> None:
    first, second = story()
    verdict = verdict_on([first, second[:1], second, second])
    assert (verdict.problems, verdict.repeated, verdict.resent) == ([], 3, 2)


def test_a_request_that_comes_again_after_a_later_one_is_a_problem(verdict_on: Callable[..., Verdict]) -> None:
    first, second = story()
    assert ["settled" in problem for problem in verdict_on([first, second, first]).problems] == [True]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (lambda: story()[:1], "lost: ('p0.main.0', 'step-1')"),
        (lambda: [[event(0, "running"), event(0, "success"), event(1, "skipped")]], "lost: ('p0.main.0', 'step-2')"),
        (lambda: [[event(0, "running")], story()[1]], "lost: ('p0.main.0', 'step-0')"),
        (lambda: [[event(0, "success")], story()[1]], "lost: ('p0.main.0', 'step-0')"),
        (lambda: [[event(0, "running"), event(0, "error")], story()[1]], "lost: ('p0.main.0', 'step-0')"),
        (lambda: [[event(0, "success"), event(0, "running")], story()[1]], "running after ['success']"),
        (lambda: [*story(), [event(0, "success", id="f" * 48 + "1s")]], "doubled"),
        (lambda: [*story(), [event(0, "running", id="f" * 48 + "1r", spanId="f" * 16)]], "doubled"),
        (lambda: [*story(), [event(0, "error")]], "error after ['running', 'success']"),
        (lambda: [*story(), [event(2, "running", timestamp="2026-11-22T20:38:26.000000Z")]], "one id, two records"),
        (lambda: [*story(), [event(3, "running"), event(4, "running")]], "invented: ('p0.main.0', 'step-4')"),
        (lambda: [*story(), [event(2, "success"), event(4, "running")]], "invented: ('p0.main.0', 'step-4')"),
        (lambda: [*story(), [event(3, "running", runId="p1.main.0")]], "invented: the run p1.main.0"),
        (lambda: [*story(), [event(3, "running", flowKey="sto")]], "invented: another flow"),
        (lambda: [*story(), [event(3, "running", metadata={"text": TEXT[1:], "sum": 1})]], "torn: the metadata"),
        (lambda: [*story(), [event(3, "running", process={"pid": 8, "host": "host"})]], "a record of another process"),
        (lambda: [*story(), [event(3, "running", extra=1)]], "torn"),
        (lambda: [*story(), [event(3, "running", spanId=None)]], "torn"),
        (lambda: [*story(), []], "torn"),
        (lambda: [[event(0, "running"), event(0, "success", durationMs=2.0)], story()[1]], "torn"),
        (lambda: [[event(0, "running"), event(0, "success", **YEARS)], story()[1]], "time: the duration of"),
    ],
)
def test_what_is_wrong_is_named(
    verdict_on: Callable[..., Verdict], given: Callable[[], list[list[dict[str, Any]]]], problem: str
) -> None:
    assert any(problem in found for found in verdict_on(given()).problems)


def test_a_batch_that_is_sent_in_parts_may_come_again_as_far_as_it_reached(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text(LEDGER)
    first, second = story()
    bodies = [msgspec.json.encode({"events": batch}) for batch in (first, second, first)]
    program = Program("p0", 7, True, ledger)
    assert judge([program], bodies, again=2).problems == []
    assert ["settled" in problem for problem in judge([program], bodies, again=1).problems] == [True]


def test_a_single_record_that_comes_again_in_its_place_is_counted_where_contents_are_refused(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text(LEDGER)
    batches = [story()[0][1:], story()[1][1:], *story()]
    bodies = [msgspec.json.encode({"events": batch}) for batch in batches]
    verdict = judge([Program("p0", 7, True, ledger)], bodies, again=512)
    assert (verdict.problems, verdict.asked, verdict.repeated) == ([], 2, 0)
    assert judge([Program("p0", 7, True, ledger)], bodies).problems != []
    assert judge([Program("p0", 7, True, ledger)], bodies[:2] + bodies[3:], again=512).problems != []


def test_a_program_that_nobody_has_killed_leaves_nothing_unsaid(verdict_on: Callable[..., Verdict]) -> None:
    given = [*story(), [event(3, "running")]]
    assert verdict_on(given).problems == []
    assert verdict_on(given, killed=False).problems != []


def test_a_body_that_is_no_json_is_torn(tmp_path: Path) -> None:
    assert [problem[:4] for problem in judge([], [b'{"events":[{"id":']).problems] == ["torn"]
