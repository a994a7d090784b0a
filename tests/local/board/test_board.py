"""The figures of all flows are up to date with each change, and only what has changed is read again."""

import time
from typing import Any

import pytest

from failpath_otel.local.board import board as board_module
from failpath_otel.local.store import flow_revisions
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.time_range import TimeRange
from tests.local.events import EPOCH_NS, event
from tests.local.page import Page


def totals(page: Page, within: TimeRange = TimeRange()) -> dict[str, int]:  # noqa: B008
    return {key: figures.total for key, figures in page.receiver.board.all(within).items()}


def many(flow: str, *numbers: int) -> list[Any]:
    return [event("success", number, flow=flow, run=f"{number}", span=f"{flow} {number}") for number in numbers]


def test_only_flows_that_have_changed_are_read_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*many("a", 1, 2), *many("b", 1))
    assert totals(page) == {"a": 2, "b": 1}
    read: list[str] = []
    newest = page.store.flows.newest

    def noted(flow_key: str, *rest: Any) -> Any:
        read.append(flow_key)
        return newest(flow_key, *rest)

    monkeypatch.setattr(page.store.flows, "newest", noted)
    monkeypatch.setattr(page.store.flows, "by_flow", pytest.fail)
    page.add(*many("b", 5, 6), *many("c", 1))
    assert totals(page) == totals(page) == {"a": 2, "b": 3, "c": 1}
    assert sorted(read) == ["b", "c"]


def test_deleted_runs_and_more_changes_than_are_read_at_once_are_in_no_figure_too_many(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_revisions, "_MAX_CHANGES", 3)
    page.add(*many("a", 1, 2), *many("b", 1))
    assert totals(page) == {"a": 2, "b": 1}
    page.add(*many("c", *range(5)))
    page.add(*many("b", 7))
    assert totals(page) == {"a": 2, "b": 2, "c": 5}
    page.receiver.runs_deleted(page.store.delete_flow("b"))
    assert totals(page) == {"a": 2, "c": 5}


def test_figures_of_a_range_are_of_its_runs_and_those_of_old_ranges_are_dropped(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "_MAX_RANGES", 2)
    page.add(*many("a", *range(10)), *many("b", 1))
    start = EPOCH_NS // 1000
    for seconds in (2, 5, 7, 2):
        assert totals(page, TimeRange(start + seconds * 1_000_000)) == {"a": 10 - seconds}
    within = TimeRange(start + 2_000_000, start + 5_000_000)
    assert totals(page, within) == {"a": 3}
    # A run that is active again leaves a range that has ended.
    page.add(event("success", 9, flow="a", run="3", span="again"), *many("c", 4))
    assert totals(page, within) == {"a": 2, "c": 1}
    assert len(page.receiver.board._kept) == 2
    # Of very many flows fewer ranges are kept.
    monkeypatch.setattr(board_module, "_MAX_FIGURES", 4)
    assert len(totals(page)) == 3
    assert [*page.receiver.board._kept] == [TimeRange()]


def test_changes_of_a_trend_that_rested_are_shown_when_it_is_computed_again(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "WINDOW", 10)
    page.seconds = 1000
    page.add(*many("a", *range(20)), *many("b", 1))
    board, now = page.receiver.board, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    computed = page.receiver.trends._compute

    def slow(flow_key: str, within: TimeRange) -> Any:
        nonlocal now
        now += 1.0
        return computed(flow_key, within)

    monkeypatch.setattr(page.receiver.trends, "_compute", slow)
    assert board.all()["a"].changes == board.one("a").changes == []
    page.add(*[event("error", number, flow="a", run=f"{number}", span=f"a {number}") for number in range(30, 50)])
    assert board.all()["a"].changes == []
    now += 10.0
    # Nothing has changed since.
    (change,) = board.all()["a"].changes
    assert (change.kind, change.worse) == ("failureRate", True)
    monkeypatch.setattr(board, "_read", pytest.fail)
    assert board.all()["a"].changes == [change]


def test_runs_that_a_failing_deletion_has_deleted_are_in_no_figure(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*many("a", 1, 2))
    assert totals(page) == {"a": 2}

    def failing() -> int:
        page.store.delete_run(RunKey("a", "1"))
        raise StoreError("disk is full")

    def busy() -> int:
        raise StoreError("database is locked")

    monkeypatch.setattr(page.store, "delete_all", failing)
    with monkeypatch.context() as patch:
        # The pruner's thread also gets here.
        patch.setattr(page.store.runs, "revision", busy)
        with pytest.raises(StoreError, match="full"):
            page.receiver.delete()
    assert totals(page) == {"a": 1}
