"""The store counts errors by their fingerprint, in runs that it has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from failpath_otel.local.runs import step_error
from failpath_otel.local.runs.fingerprint import fingerprint
from failpath_otel.local.store import run_queries
from failpath_otel.local.store.errors import error_queries
from failpath_otel.local.store.errors.error_queries import ErrorCount
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import TimeRange
from failpath_otel.records.record import ErrorInfo, Record
from tests.local.events import EPOCH_NS, event
from tests.local.rows import noted_plans, opened, project, received_events, stored

START: Final = EPOCH_NS // 1000

LOST: Final = fingerprint("checkout", "pay", "OSError", "lost")
DECLINED: Final = fingerprint("checkout", "pay", "Declined", "order 1 has no money")


def second(number: float) -> int:
    return START + round(number * 1_000_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "db") as store:
        yield store


def failed(number: int, message: str | None = None, *, flow: str = "checkout", span: str = "a") -> Record:
    error = ErrorInfo("OSError", "lost") if message is None else ErrorInfo("Declined", message)
    return event("error", number, run=f"r{number:05}", flow=flow, span=span, started=number - 0.5, error=error)


def test_the_errors_of_a_flow_are_counted_by_cause_and_the_most_frequent_stands_first(store: Store) -> None:
    """91 failures: 81 with an id in their message are one error."""
    stored(store, *(failed(number, f"order {number} has no money") for number in range(1, 82)))
    stored(store, *(failed(number) for number in range(82, 92)), event("success", 92, run="r00092"))
    ended, counts = store.errors.of_flow("checkout", 500)
    assert ended == 92
    assert counts == [ErrorCount(DECLINED, 81, 0), ErrorCount(LOST, 10, 0)]
    assert store.errors.of_all_flows() == counts
    kind = store.errors.kind(DECLINED)
    assert kind is not None
    assert kind == (DECLINED, "checkout", "pay", "Declined", "order 81 has no money", "r00081")
    assert store.errors.times(DECLINED) == (81, second(1), second(81))
    assert store.errors.counts(DECLINED, [second(0), second(2), second(40), second(82)]) == [1, 38, 42]
    assert store.errors.counts(DECLINED, []) == []
    # The newest runs, and those of a range.
    assert store.errors.of_flow("checkout", 12) == (12, [ErrorCount(LOST, 10, 0), ErrorCount(DECLINED, 1, 0)])
    assert store.errors.of_flow("checkout", 500, TimeRange(second(80), second(83)))[1] == [
        ErrorCount(DECLINED, 2, 0),
        ErrorCount(LOST, 1, 0),
    ]
    assert store.errors.of_all_flows(TimeRange(second(91))) == [ErrorCount(LOST, 1, 0)]
    assert store.errors.of_flow("none", 500) == (0, [])
    assert (store.errors.kind("0" * 16), store.errors.times("0" * 16)) == (None, None)


def test_of_very_many_errors_those_of_the_newest_runs_and_of_each_the_first_are_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_error, "MAX_ERRORS", 3)
    lost = ErrorInfo("OSError", "lost")
    for run in ("old", "new"):
        at = 10 if run == "old" else 20
        steps = [
            event("error", at + number, run=run, step=f"s{number}", span=f"{run} {number}", error=lost)
            for number in range(5)
        ]
        stored(store, *steps)
    kept = store._database.rows("SELECT run_id, step_key FROM errors")
    assert sorted(kept) == [(run, f"s{number}") for run in ("new", "old") for number in range(3)]
    monkeypatch.setattr(error_queries, "MOST_OF_FLOW", 4)
    _, counts = store.errors.of_flow("checkout", 500)
    assert sorted(count.failed for count in counts) == [1, 1, 2]
    monkeypatch.setattr(error_queries, "MOST_OF_FLOW", 3)
    newest = [fingerprint("checkout", f"s{number}", "OSError", "lost") for number in range(3)]
    assert {count.fingerprint for count in store.errors.of_flow("checkout", 500)[1]} == {*newest}


def test_an_error_that_a_retry_made_good_is_counted_apart_and_comes_last(store: Store) -> None:
    stored(
        store,
        *(failed(number, "no money") for number in (1, 2, 3)),
        *(event("success", number + 0.5, run=f"r{number:05}", span="b", started=number + 0.1) for number in (1, 2, 3)),
        failed(4),
    )
    recovered = fingerprint("checkout", "pay", "Declined", "no money")
    assert store.errors.of_flow("checkout", 500) == (4, [ErrorCount(LOST, 1, 0), ErrorCount(recovered, 0, 3)])


def test_of_a_step_the_newest_failed_attempt_counts_and_a_run_that_changes_has_no_old_errors(store: Store) -> None:
    stored(store, failed(1), event("error", 2, run="r00001", span="b", started=1.5, error=ErrorInfo("Declined", "7")))
    assert [count.fingerprint for count in store.errors.of_all_flows()] == [
        fingerprint("checkout", "pay", "Declined", "9")
    ]
    old = store.dirty(5)
    stored(store, event("running", 3, run="r00001", span="c"))
    store.save_summaries([(dirty, None) for dirty in old])
    assert [count.recovered for count in store.errors.of_all_flows()] == [1]


@pytest.mark.parametrize("rare", [0, 5_000])
def test_the_runs_with_an_error_are_listed_like_others_and_filtered_further(
    store: Store, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(run_queries, "_RARE", rare)
    stored(store, *(failed(number, f"order {number} has no money") for number in range(1, 41)))
    stored(store, *(failed(number) for number in range(41, 60)), event("success", 70, run="good"))
    whole = store.runs.rows(100, error=DECLINED)
    assert [row.run_id for row in whole] == [f"r{number:05}" for number in range(40, 0, -1)]
    paged = []
    before = None
    while page := store.runs.rows(7, before=before, error=DECLINED):
        paged += page
        before = page[-1].place
    assert paged == whole
    some = [RunKey("checkout", "r00003"), RunKey("checkout", "r00050")]
    assert [row.run_id for row in store.runs.rows(9, error=DECLINED, only=some)] == ["r00003"]
    assert [row.run_id for row in store.runs.rows(9, error=DECLINED, text="order 17 ")] == ["r00017"]
    assert store.runs.rows(9, error=DECLINED, statuses=["success"]) == []
    assert store.runs.rows(9, error=DECLINED, flow_key="refund") == []
    within = TimeRange(second(5), second(7))
    assert [row.run_id for row in store.runs.rows(9, error=DECLINED, within=within)] == ["r00006", "r00005"]


def test_the_errors_of_a_deleted_run_are_deleted_with_it(store: Store) -> None:
    """First seen is then the first of those that are left."""
    store.add(received_events(failed(1)), second(1))
    store.add(received_events(failed(2)), second(50))
    project(store)
    assert store.errors.times(LOST) == (2, second(1), second(2))
    store.delete_oldest(second(20))
    assert store.errors.times(LOST) == (1, second(2), second(2))
    store.delete_flow("checkout")
    assert store.errors.times(LOST) is None
    assert store._database.number("SELECT count(*) FROM errors") == 0


def test_lists_and_counts_of_errors_are_answered_by_indexes_in_their_order(store: Store) -> None:
    asked = noted_plans(store)
    store.runs.rows(9, error=LOST, before=(5, "a", "b"))
    store.errors.kind(LOST)
    store.errors.times(LOST)
    store.errors.counts(LOST, [1, 2, 3])
    assert [step for step in asked if "errors" in step]
    assert all("INDEX errors_" in step for step in asked if "errors" in step), asked
    assert not [step for step in asked if "TEMP B-TREE" in step], asked
