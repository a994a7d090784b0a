"""What is too old or too much goes, the oldest first, and the store remembers that it did."""

import threading
from pathlib import Path

import pytest

from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.store import pruning
from failpath_otel.local.store import store as module
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.pruning import Pruner
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Pruned, Store
from failpath_otel.records.record import Record
from tests.local.events import EPOCH_NS, event
from tests.local.rows import opened, project, received_events, stored
from tests.receiver import wait_for

_DAY = 86_400


def _after(seconds: float) -> int:
    return EPOCH_NS // 1000 + round(seconds * 1_000_000)


def _ids(store: Store) -> list[str]:
    return [row.run_id for row in store.runs.rows(1_000)]


def _arrived(store: Store, *records: Record) -> None:
    """Stores each record as received at its own time."""
    for record in records:
        store.add(received_events(record), parse_rfc3339(record.timestamp))
    project(store)


def test_runs_whose_last_event_is_too_old_go_also_those_that_still_run(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        _arrived(
            store,
            event("success", 0, run="old"),
            event("running", 1, run="stuck"),
            event("running", 0, run="long"),
            event("success", 2 * _DAY, run="long"),
            event("running", 1.5 * _DAY, run="young"),
        )
        pruner = Pruner(store, lambda: _after(8 * _DAY + 2), days=7)
        assert pruner.prune() == 2
        assert _ids(store) == ["long", "young"]
        assert store.events(RunKey("checkout", "old")) == []
        assert len(store.events(RunKey("checkout", "long"))) == 2
        assert store.pruned() == Pruned(2, _after(1))
        assert pruner.prune() == 0
    with opened(tmp_path / "db") as again:
        assert again.pruned() == Pruned(2, _after(1))


def test_what_comes_late_is_kept_from_when_it_comes(tmp_path: Path) -> None:
    """As from the journal of a process that died long ago, or from a clock that stands wrong."""
    with opened(tmp_path / "db") as store:
        store.add(received_events(event("running", 0, run="late"), event("running", 0, run="older")), _after(8 * _DAY))
        project(store)
        pruner = Pruner(store, lambda: _after(9 * _DAY), days=7)
        assert pruner.prune() == 0
        store.add(received_events(event("success", 1, run="late")), _after(10 * _DAY))
        project(store)
        assert Pruner(store, lambda: _after(16 * _DAY), days=7).prune() == 1
        assert _ids(store) == ["late"]


def test_the_oldest_go_until_the_rest_is_small_enough(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        _arrived(store, *(event("success", n, run=f"r{n:03}", note="x" * 5_000) for n in range(400)))
        full = store.size()
        assert Pruner(store, lambda: _after(0), mebibytes=full / 2**20).prune() == 0
        gone = Pruner(store, lambda: _after(0), mebibytes=full / 2 / 2**20).prune()
        assert full / 4 < store.size() <= full / 2
        assert _ids(store) == [f"r{n:03}" for n in range(399, gone - 1, -1)]
        assert store.pruned() == Pruned(gone, _after(gone - 1))


def test_what_was_pruned_goes_back_to_the_file_system(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        _arrived(store, *(event("success", n, run=f"r{n}", note="x" * 50_000) for n in range(100)))
    full = (tmp_path / "db").stat().st_size
    with opened(tmp_path / "db") as store:
        Pruner(store, lambda: _after(30 * _DAY)).prune()
        assert _ids(store) == []
    assert (tmp_path / "db").stat().st_size < full / 4


def test_a_huge_run_goes_in_several_transactions_and_keeps_its_row_to_the_last(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        stored(store, *(event("running", n, span=f"s{n}") for n in range(2_500)))
        calls = [store.delete_oldest(), store.delete_oldest()]
        assert calls == [(0, True), (0, True)]
        assert (len(store.events(RunKey("checkout", "run-1"))), _ids(store)) == (500, ["run-1"])
        assert store.delete_oldest() == (1, False)
        assert (store.events(RunKey("checkout", "run-1")), _ids(store)) == ([], [])
        assert store.delete_oldest() == (0, False)


def test_a_flow_goes_whole_with_runs_that_have_no_row_yet_and_is_not_counted_as_pruned(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        stored(store, *(event("running", 1, run=f"r{n}") for n in range(150)), event("running", 1, flow="refund"))
        store.add(received_events(event("running", 1, run="dirty")), 1)
        assert store.delete_flow("checkout") == 151
        assert store.delete_flow("checkout") == 0
        assert store.dirty(9) == []
        assert [row.flow_key for row in store.runs.rows(9)] == store.runs.flow_keys() == ["refund"]
        assert store.pruned() == Pruned(0, None)


def test_the_thread_prunes_at_once_and_again_and_reports_what_it_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_EVERY_SECONDS", 0.01)
    reported: list[int] = []
    with opened(tmp_path / "db") as store:
        stored(store, event("success", 0, run="a"), event("success", 0, run="b"))
        pruner = Pruner(store, lambda: _after(30 * _DAY), on_pruned=reported.append)
        pruner.start()
        wait_for(lambda: reported == [2])
        stored(store, event("success", 0, run="c"))
        wait_for(lambda: reported == [2, 1])
        pruner.close()


def test_the_thread_ends_at_once(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        looked = threading.Event()

        def clock() -> int:
            looked.set()
            return _after(0)

        pruner = Pruner(store, clock)
        pruner.start()
        assert looked.wait(10)
        pruner.close()
        assert pruner._thread is not None
        assert not pruner._thread.is_alive()


def test_one_transaction_deletes_no_more_than_some_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELETED_RUNS", 3)
    with opened(tmp_path / "db") as store:
        _arrived(store, *(event("running", n, run=f"r{n}") for n in range(5)))
        assert [store.delete_oldest(), store.delete_oldest(), store.delete_oldest()] == [
            (3, True),
            (2, False),
            (0, False),
        ]


def test_what_was_deleted_before_an_error_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "db") as store:
        _arrived(store, event("success", 1))
        reported: list[int] = []

        def full() -> int:
            raise StoreError("disk is full")

        monkeypatch.setattr(store, "size_of_runs", full)
        pruner = Pruner(store, lambda: _after(30 * _DAY), on_pruned=reported.append)
        pruner.start()
        wait_for(lambda: reported == [1])
        pruner.close()
