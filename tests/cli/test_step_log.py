"""What happens in runs, a line for each change of a step."""

import re
from datetime import timedelta, timezone
from typing import Final

import pytest
from msgspec.structs import replace

from failpath_otel.cli import step_log
from failpath_otel.cli.step_log import StepLog
from failpath_otel.local.runs.view import build_run_view
from failpath_otel.records.record import ErrorInfo
from tests.local.events import event

ZONE: Final = timezone(timedelta(hours=2))


def test_each_change_of_a_step_is_a_line_in_the_order_of_time() -> None:
    log = StepLog(zone=ZONE)
    begun = [event("running", 1, run="a"), event("running", 3, step="ship", span="b", run="a")]
    other = build_run_view([event("skipped", 2, run="b", flow="mail")])
    assert log.lines([build_run_view(begun), other]) == [
        "2023-11-15 00:13:21  running           -  checkout  a  pay",
        "2023-11-15 00:13:22  skipped           -  mail  b  pay",
        "2023-11-15 00:13:23  running           -  checkout  a  ship",
    ]
    assert log.lines([build_run_view(begun)]) == []
    ended = [
        *begun,
        event("error", 4, run="a", error=ErrorInfo("E\x1b[2J", "no\nmoney")),
        event("running", 5, span="c", run="a"),
    ]
    assert log.lines([build_run_view(ended)]) == [
        r"2023-11-15 00:13:24  error        3.00 s  checkout  a  pay  E\x1b[2J: no\nmoney",
        "2023-11-15 00:13:25  running           -  checkout  a  pay #2",
    ]


def test_a_step_that_begins_and_ends_between_two_looks_is_one_line() -> None:
    log = StepLog(zone=ZONE)
    run = build_run_view([event("running", 1), event("success", 1.5)])
    assert log.lines([run]) == ["2023-11-15 00:13:21  success      500 ms  checkout  run-1  pay"]


def test_a_step_that_is_gone_is_a_line_at_the_time_at_which_that_is_seen() -> None:
    log = StepLog()
    run = build_run_view([event("running", 1)])
    assert len(log.lines([run])) == 1
    gone = replace(run, liveness="gone", steps=[replace(run.steps[0], liveness="gone")])
    (line,) = log.lines([gone])
    assert re.fullmatch(r"20[2-9]\d-\S+ \S+  gone              -  checkout  run-1  pay", line)
    assert not line.startswith("2023")
    assert log.lines([gone]) == []


def test_of_a_run_that_is_new_only_the_newest_attempts_are_shown_if_that_is_asked_for() -> None:
    log = StepLog(zone=ZONE)
    records = [event("success", number, step=f"s{number}", span=str(number)) for number in range(50)]
    shown = log.lines([build_run_view(records)], newest=2)
    assert [line.split()[-1] for line in shown] == ["s48", "s49"]
    more = [*records, event("success", 60, step="late", span="late")]
    assert [line.split()[-1] for line in log.lines([build_run_view(more)], newest=2)] == ["late"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_log, "_MAX_RUNS", 2)
    log = StepLog(zone=ZONE)
    runs = [build_run_view([event("success", 1, run=str(number))]) for number in range(3)]
    assert len(log.lines(runs)) == 3
    assert len(log.lines(runs[1:])) == 0
    assert len(log.lines(runs[:1])) == 1


def test_colour_is_added_only_when_asked_for_and_moves_nothing() -> None:
    run = build_run_view([event("error", 2, started=1, error=ErrorInfo("E", "m")), event("running", 3, span="b")])
    plain, coloured = StepLog(zone=ZONE).lines([run]), StepLog(zone=ZONE, colour=True).lines([run])
    assert "\x1b[31merror" in coloured[0]
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == plain
