"""The logs of runs have bounds of their own: by trace, in all, by age, and no longer than their runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from failpath_otel.local.store import logs as module
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.logs import MAX_OF_TRACE, NewLog
from failpath_otel.local.store.pruning import Pruner
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import Record
from tests.local.events import event
from tests.local.rows import opened, stored

ONE, TWO = RunKey("checkout", "one"), RunKey("checkout", "two")


def log(trace: str = "t1", at: int = 1, size: int = 2) -> NewLog:
    return NewLog(trace, "s", at, 9, b"x" * size, None)


def of_trace(run: str, trace: str = "t1", seconds: float = 1) -> Record:
    return replace(event("success", seconds, run=run, span=trace), trace_id=trace)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "db") as store:
        store.logs.map_runs([])
        yield store


def times(store: Store, run: RunKey = ONE) -> list[int]:
    return [each.at for each in store.logs.of_run(run, 10_000).logs]


def test_the_logs_of_a_run_are_those_of_its_traces_in_order_of_time(store: Store) -> None:
    stored(store, of_trace("one"), of_trace("one", "t2", 2), of_trace("two", "t3"))
    store.logs.add([log("t1", 5), log("t2", 3), log("t3", 4)], 1)
    assert times(store) == [3, 5]
    assert times(store, TWO) == [4]
    found = store.logs.of_run(ONE, 1)
    assert ([each.at for each in found.logs], found.left_out) == ([5], 1)


def test_traces_are_noted_only_from_the_first_log_on_also_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        stored(store, of_trace("one"))
        assert store.logs.runs_of({"t1"}) == {}
        store.logs.map_runs([(ONE, ["t1", ""])])
        assert store.logs.newly_mapped() == {"t1"}
        stored(store, of_trace("two"))
        assert store.logs.newly_mapped() == {"t1"}
        assert store.logs.newly_mapped() == set()
    with opened(tmp_path / "db") as store:
        assert store.logs.maps_runs
        assert store.logs.runs_of({"t1", "t2"}) == {"t1": [ONE, TWO]}
        assert store.logs.beside(ONE, 10) == [TWO]


def test_of_one_trace_the_newest_are_kept_and_the_others_are_counted(store: Store) -> None:
    stored(store, of_trace("one"))
    more = 300
    for begin in range(0, MAX_OF_TRACE + more, 100):
        store.logs.add([log(at=at) for at in range(begin, begin + 100)], 1)
    found = store.logs.of_run(ONE, 10_000)
    assert MAX_OF_TRACE <= len(found.logs) <= MAX_OF_TRACE + 100
    assert found.logs[-1].at == MAX_OF_TRACE + more - 1
    assert found.left_out == MAX_OF_TRACE + more - len(found.logs)
    assert store.logs.count() == len(found.logs)
    assert store.logs.size() == len(found.logs) * log().size


def test_a_flood_makes_room_among_logs_and_not_among_runs(store: Store) -> None:
    store.logs.max_bytes = 400_000
    runs = [f"r{number}" for number in range(20)]
    stored(store, *(of_trace(run, run) for run in runs))
    for number, run in enumerate(runs):
        store.logs.add([log(run, at, 1_000) for at in range(50)], number)
    assert store.logs.size() <= 400_000
    kept = [run for run in runs if times(store, RunKey("checkout", run))]
    assert kept == runs[-len(kept) :]
    assert 3 < len(kept) < 8
    assert store.size_of_runs() < store.size() - 200_000
    mebibytes = (store.size() - store.logs.size() // 2) / (1 << 20)
    assert Pruner(store, lambda: 30, mebibytes=mebibytes).prune() == 0
    assert store.runs.count() == len(runs)


def test_logs_go_with_the_last_run_of_their_trace_and_by_age(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOKED_AT", 1)
    stored(store, of_trace("one"), replace(of_trace("two"), flow_key="other"), of_trace("three", "t3"))
    store.logs.add([log(), log("t3", 7)], 100)
    pruner = Pruner(store, lambda: 0)
    store.delete_flow("other")
    pruner.prune()
    assert (times(store), store.logs.count()) == ([1], 2), "another run has the trace"
    store.delete_flow("checkout")
    pruner.prune()
    assert store.logs.count() == 0
    stored(store, of_trace("one"))
    store.logs.add([log()], 100)
    assert list(store.logs.delete_stale(before=100)) == []
    assert list(store.logs.delete_stale(before=101)) == [None]
    assert times(store) == []


def test_logs_without_a_run_are_found_once_among_those_of_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at all traces before each small deletion would take minutes beside those of 100,000 runs."""
    for name, number in {"_LOOKED_AT": 2, "_SEARCHED": 3}.items():
        monkeypatch.setattr(module, name, number)
    stored(store, *[of_trace(f"{flow}{number}", f"t{number}") for number, flow in enumerate("kddkddddkkd")])
    store.logs.add([log(f"t{number}") for number in range(11)], 1)
    for number in (1, 2, 4, 5, 6, 7, 10):
        store.delete_run(RunKey("checkout", f"d{number}"))
    steps = store.logs.delete_stale(before=0)
    next(steps)
    stored(store, of_trace("again", "t7"))
    store.logs.map_runs([(RunKey("checkout", "again"), ["t7"])])
    queries: list[str] = []
    rows = store._database.rows

    def noted(query: str, *values: str | int | None) -> list[tuple[Any, ...]]:
        queries.append(query)
        return rows(query, *values)

    monkeypatch.setattr(store._database, "rows", noted)
    assert len(list(steps)) <= 5
    assert len(queries) == 3
    assert store.logs.count() == 5
    assert store.logs._bytes == store.logs.size()
    assert times(store, RunKey("checkout", "again")) == [1], "its run came back meanwhile"


def test_logs_that_could_not_be_stored_push_out_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, of_trace("one"), of_trace("two", "t2"))
    store.logs.add([log()], 1)
    store.logs.max_bytes = 3 * log().size
    monkeypatch.setattr(store.logs, "_evictions", 1)
    transaction = store._database.transaction

    @contextmanager
    def full() -> Iterator[sqlite3.Connection]:
        with transaction() as connection:
            yield connection
            raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store._database, "transaction", full)
        for _ in range(5):
            with pytest.raises(StoreError, match="disk is full"):
                store.logs.add([log("t2")], 2)
    store.logs.add([log("t2")], 3)
    assert (times(store), times(store, TWO)) == ([1], [1])


def test_the_details_of_a_record_are_read_apart(store: Store) -> None:
    stored(store, of_trace("one"))
    store.logs.add([log()._replace(details=b"{}"), log(at=2)], 1)
    first, second = store.logs.of_run(ONE, 10).logs
    assert (first.has_details, second.has_details) == (1, 0)
    assert store.logs.details(first.id) == (b"xx", b"{}")
    assert store.logs.details(second.id) == (b"xx", None)
    assert store.logs.details(99) is None
