"""Steps that are recorded by hand, wrapped, or both, by two processes: what the page shows of them."""

import itertools
import random
import re
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from time import time_ns
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import failpath_otel
from failpath_otel.local.runs.view import RunView, build_run_view
from failpath_otel.records.record import ProcessInfo, Record
from failpath_otel.semconv import Status
from failpath_otel.steps.step import Step
from failpath_otel.testing import MockFailpath
from tests.local.page import Page

DOCS: Final = Path(failpath_otel.__file__).parent.parent / "docs" / "guides" / "local" / "runs.md"
KEYS: Final[Any] = {"flow_key": "checkout", "run_id": "order-1", "step_key": "ship"}
Act = Callable[[MockFailpath, float], None]


_OUTCOMES: Final[tuple[Status, ...]] = ("success", "error", "skipped")


def _by_hand(status: Status, *, started: bool = False) -> Act:
    def act(failpath: MockFailpath, begun: float) -> None:
        failpath.record_step(**KEYS, status=status, started_at=begun if started else None)

    return act


def _wrapped(failpath: MockFailpath, _: float) -> None:
    failpath.run("checkout", run_id="order-1").step("ship", lambda: None)


def _wrapped_and_failing(failpath: MockFailpath, _: float) -> None:
    with pytest.raises(ZeroDivisionError):
        failpath.run("checkout", run_id="order-1").step("ship", lambda: 1 / 0)


def _wrapped_and_killed(failpath: MockFailpath, _: float) -> None:
    step = failpath.run("checkout", run_id="order-1").step("ship")
    copy_context().run(step.__enter__)
    _KILLED.append(step)  # or it would be dropped, which ends it


_KILLED: Final[list[Step]] = []
OPENING: Final[dict[str, Act]] = {
    "running by hand": _by_hand("running"),
    "running by hand, with its start": _by_hand("running", started=True),
    "wrapped, still running": _wrapped_and_killed,
}
CLOSING: Final[dict[str, Act]] = {
    f"{status} by hand{', with its start' if started else ''}": _by_hand(status, started=started)
    for status in _OUTCOMES
    for started in (False, True)
}
WHOLE: Final[dict[str, Act]] = {"wrapped": _wrapped, "wrapped, failing": _wrapped_and_failing}
ACTS: Final = {**OPENING, **CLOSING, **WHOLE}
PROCESSES: Final = (ProcessInfo(11, "a-host", "2026-01-01T00:00:00Z"), ProcessInfo(12, "another-host"))


class _Story:
    """What happened, one thing after the other, in turn in two processes; and what follows by the rule of the docs."""

    def __init__(self, names: list[str], early: list[bool]) -> None:
        self.records: list[Record] = []
        self.expected: dict[str, str] = {}
        still_open: list[str] = []
        clients = (MockFailpath(), MockFailpath())
        begun = (time_ns() // 1000) / 1e6
        for number, (name, is_early) in enumerate(zip(names, early, strict=True)):
            client = clients[number % 2]
            client.reset()
            ACTS[name](client, begun if is_early else (time_ns() // 1000) / 1e6)
            made = [replace(event, process=PROCESSES[number % 2]) for event in client.events]
            self.records += made
            span_id, status = made[-1].span_id, made[-1].status
            if name in CLOSING and still_open:
                self.expected[still_open.pop()] = status
                continue
            self.expected[span_id] = status
            if name in OPENING:
                still_open.append(span_id)


def shown(run: RunView) -> dict[str, str]:
    return {step.span_id: step.status for step in run.steps}


def words(run: RunView) -> str:
    """As the docs say it: of each attempt whether it runs or has ended."""
    return ", ".join("running" if step.status == "running" else "ended" for step in run.steps)


@settings(deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=7),
    seed=st.integers(),
    early=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_an_outcome_by_hand_closes_the_newest_open_attempt_whatever_the_order_of_arrival_and_twice(
    names: list[str], seed: int, early: list[bool]
) -> None:
    # The start of a `running` is the time of that record, so an early one is not the newest any more.
    early = [is_early and name not in OPENING for name, is_early in zip(names, early, strict=False)]
    story = _Story(names, early)
    arrived = story.records * 2
    random.Random(seed).shuffle(arrived)
    run = build_run_view(arrived)
    assert shown(run) == story.expected
    assert (run.status == "running") == (run.steps[-1].status == "running")
    assert all(step.duration_ms is None or step.duration_ms >= 0 for step in run.steps)


@pytest.mark.parametrize("first", sorted(ACTS))
@pytest.mark.parametrize("second", sorted(ACTS))
def test_every_pair_in_every_order_of_arrival(first: str, second: str) -> None:
    story = _Story([first, second], [False, False])
    views = {repr(build_run_view(arrived * 2)) for arrived in itertools.permutations(story.records)}
    assert len(views) == 1
    assert shown(build_run_view(story.records)) == story.expected


def _table() -> dict[tuple[str, str], str]:
    """The table of the docs: what comes first, what then, and what is shown."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCS.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| (first, then|\*\*)", line)
    ]
    head, *body = rows
    return {(row[0], then): cell for row in body for then, cell in zip(head[1:], row[1:], strict=True)}


_NAMES: Final = {
    "`running` by hand": ["running by hand", "running by hand, with its start"],
    "an outcome by hand": list(CLOSING),
    "a wrapped step that ends": list(WHOLE),
    "a wrapped step that still runs": ["wrapped, still running"],
}


def test_the_table_of_the_docs_is_what_is_shown() -> None:
    table = _table()
    assert len(table) == len(_NAMES) ** 2
    for (first, then), cell in table.items():
        for one, other in itertools.product(_NAMES[first.strip("*")], _NAMES[then]):
            run = build_run_view(_Story([one, other], [False, False]).records)
            assert words(run) == cell, (one, other)


def test_a_step_that_began_in_one_process_and_ended_in_another_with_its_start_is_over_on_the_page(page: Page) -> None:
    story = _Story(["running by hand", "success by hand, with its start"], [False, True])
    page.add(*story.records)
    [row] = page.get("runs")["runs"]
    assert (row["status"], row.get("liveness")) == ("success", None)
    [step] = page.run("order-1")["run"]["steps"]
    assert (step["status"], step["attempt"]) == ("success", 1)
    # The earlier of the two starts, and the length of the bar.
    assert step["startedAt"] == story.records[1].started_at
    assert step["durationMs"] == pytest.approx(story.records[1].duration_ms, abs=0.002)
    assert {event["attempt"] for event in page.run("order-1")["events"]} == {1}
