"""The rows answer lists, filters and neighbours."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.local.store.time_range import TimeRange
from tests.local.events import event
from tests.local.rows import noted_plans, opened, project, received_events, stored


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "db") as store:
        yield store


def _ids(store: Store, **filters: Any) -> list[str]:
    return [row.run_id for row in store.runs.rows(100, **filters)]


def test_pages_follow_each_other_without_gap_or_double_also_where_many_were_active_at_once(store: Store) -> None:
    stored(
        store,
        *(event("running", n // 7, run=f"r{n:02}", flow=flow) for n in range(40) for flow in ("checkout", "refund")),
    )
    for filters in ({}, {"flow_key": "refund"}, {"text": "r1"}, {"statuses": ["running"]}):
        whole = store.runs.rows(100, **filters)
        assert whole == sorted(whole, key=lambda row: (-row.active_at, row.flow_key, row.run_id))
        paged = []
        before = None
        while page := store.runs.rows(7, before=before, **filters):
            paged += page
            before = (page[-1].active_at, page[-1].flow_key, page[-1].run_id)
        assert paged == whole
    assert len(store.runs.rows(100)) == 80


def test_filters_hold_together(store: Store) -> None:
    stored(
        store,
        event("success", 1, run="a", note="Berlin"),
        event("error", 2, run="b", note="berlin"),
        event("error", 3, run="c", note="Bern"),
        event("running", 4, run="d", flow="refund", note="BERLIN"),
    )
    assert _ids(store, statuses=["error", "running"]) == ["d", "c", "b"]
    assert _ids(store, statuses=[]) == []
    assert _ids(store, flow_key="checkout", statuses=["error"]) == ["c", "b"]
    assert _ids(store, text="bErLin") == ["d", "b", "a"]
    assert _ids(store, text="berlin", flow_key="checkout", statuses=["error"]) == ["b"]
    some = [RunKey("checkout", "a"), RunKey("refund", "d"), RunKey("refund", "a")]
    assert _ids(store, only=some) == ["d", "a"]
    assert _ids(store, only=some, text="berlin", statuses=["success"]) == ["a"]
    assert _ids(store, only=[]) == []
    assert [row.run_id for row in store.runs.rows(1, only=some)] == ["d"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "50%_'", "*", "?", "ẞ", "\x00"])
def test_what_the_user_types_means_itself(store: Store, text: str) -> None:
    stored(store, event("running", 1, run="with", note=f"a{text}b"), event("running", 2, run="without", note="axb"))
    assert _ids(store, text=f"A{text}b") == ["with"]


def test_half_a_surrogate_pair_is_found_nowhere(store: Store) -> None:
    stored(store, event("running", 1))
    assert _ids(store, text="\ud800") == []


def test_many_runs_can_be_named_at_once(store: Store) -> None:
    stored(store, *(event("running", n, run=f"r{n}") for n in range(900)))
    rows = store.runs.rows(2_000, only=[RunKey("checkout", f"r{n}") for n in range(900)])
    assert [row.run_id for row in rows] == [f"r{n}" for n in range(899, -1, -1)]


def test_a_client_that_follows_the_changes_gets_each_run_once_in_its_newest_state(store: Store) -> None:
    stored(store, event("running", 1, run="a"), event("running", 1, run="b"))
    seen = store.runs.revision()
    stored(store, event("success", 2, run="b"))
    stored(store, event("running", 3, run="c"))
    stored(store, event("error", 4, run="b"))
    assert [(row.run_id, row.status) for row in store.runs.changes(seen, 10)] == [("c", "running"), ("b", "error")]
    (first,) = store.runs.changes(seen, 1)
    assert [row.run_id for row in store.runs.changes(first.revision, 10)] == ["b"]
    assert store.runs.changes(store.runs.revision(), 10) == []


def test_a_touched_run_changes_its_revision_alone(store: Store) -> None:
    stored(store, event("running", 1, run="a"), event("running", 1, run="b"))
    before = store.runs.row(RunKey("checkout", "a"))
    assert before is not None
    revision = store.bump_revisions([before.key])
    (after,) = store.runs.changes(revision - 1, 10)
    assert (after.revision, revision) == (revision, store.runs.revision())
    assert {**_fields(after), "revision": 0} == {**_fields(before), "revision": 0}


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_the_neighbours_of_a_run_started_just_before_and_after_it_in_the_same_flow(store: Store) -> None:
    stored(
        store,
        *(event("running", n, run=run) for n, run in ((1, "a"), (2, "c"), (2, "b"), (5, "d"))),
        event("running", 2, run="b2", flow="refund"),
    )
    keys = {run: RunKey("checkout", run) for run in "abcd"}
    assert store.runs.neighbours(keys["a"]) == (None, keys["b"])
    assert store.runs.neighbours(keys["b"]) == (keys["a"], keys["c"])
    assert store.runs.neighbours(keys["c"]) == (keys["b"], keys["d"])
    assert store.runs.neighbours(keys["d"]) == (keys["c"], None)
    assert store.runs.neighbours(RunKey("checkout", "none")) == (None, None)


def test_flows_and_what_runs_in_them(store: Store) -> None:
    assert store.runs.flow_keys() == []
    stored(
        store,
        event("running", 1, run="a", flow="b"),
        event("success", 2, run="b", flow="b", started=1),
        event("running", 3, run="c", flow="a"),
    )
    assert store.runs.flow_keys() == ["a", "b"]
    assert store.runs.count() == 3
    assert [run.row.run_id for run in store.runs.running()] == ["c", "a"]
    found = store.runs.stored([row.key for row in store.runs.rows(5, flow_key="b")])
    assert {(run.row.run_id, run.attempts[0].status) for run in found} == {("b", "success"), ("a", "running")}
    assert store.runs.row(RunKey("a", "a")) is None


def test_who_reads_does_not_wait_for_who_writes(store: Store) -> None:
    stored(store, event("running", 1))
    read = threading.Event()

    def look() -> None:
        assert store.runs.rows(5)
        read.set()

    with store._database.transaction():
        threading.Thread(target=look, daemon=True).start()
        assert read.wait(10)


def test_all_of_many_events_are_read(store: Store) -> None:
    records = [event("running", n, span=f"s{n}") for n in range(4_100)]
    store.add(received_events(*records), 7)
    assert {record.id for record in store.events(RunKey("checkout", "run-1"))} == {record.id for record in records}
    assert set(store.received(RunKey("checkout", "run-1")).values()) == {7}
    project(store)


def test_a_list_reads_no_row_that_it_does_not_show(store: Store) -> None:
    """The filters are answered by the indexes alone, and in the order of the list."""
    plans = []
    for index, condition in (
        ("runs_by_activity", "status IN ('error')"),
        ("runs_of_flow", "flow_key = 'a' AND status IN ('error')"),
        ("runs_by_text", "instr(search, 'a') AND status IN ('error')"),
    ):
        query = (
            f"EXPLAIN QUERY PLAN SELECT flow_key FROM runs INDEXED BY {index} WHERE {condition} "
            "AND active_at <= 5 ORDER BY active_at DESC, flow_key, run_id LIMIT 5"
        )
        plans += [row[3] for row in store._database.rows(query)]
    assert len(plans) == 3, plans
    assert all("USING COVERING INDEX" in plan for plan in plans), plans


def test_runs_that_are_named_are_found_by_their_names(store: Store) -> None:
    """Of many runs no others are visited: neither for their attempts, nor for the last good one before them."""
    stored(store, *(event("success", n, run=f"run-{n}", span=f"s{n}") for n in range(4)), event("error", 9, run="bad"))
    keys = [RunKey("checkout", "run-2"), RunKey("checkout", "bad"), RunKey("checkout", "unknown")]
    asked = noted_plans(store)
    assert {run.row.run_id for run in store.runs.stored(keys)} == {"run-2", "bad"}
    assert [row.run_id for row in store.runs.rows(9, only=keys, statuses=["error"])] == ["bad"]
    assert store.runs.last_good(RunKey("checkout", "bad")) == RunKey("checkout", "run-3")
    assert store.runs.last_good(RunKey("checkout", "run-0")) is None
    assert len([step for step in asked if "SEARCH runs" in step]) >= 4, asked
    assert not [step for step in asked if "SCAN runs" in step], asked


def test_a_text_is_searched_in_the_runs_of_the_flow_and_the_range_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite looks at conditions in their order, and a text is long."""
    asked: list[str] = []

    def noted(query: str, *_: object) -> list[object]:
        asked.append(query)
        return []

    monkeypatch.setattr(store._database, "rows", noted)
    store.runs.rows(9, flow_key="a", text="b", meta=["c=d"], within=TimeRange(1, 2))
    (query,) = asked
    condition = query.rpartition(" WHERE ")[2]
    assert condition.rindex("flow_key = ?") < condition.index("instr(")
    assert condition.index("active_at < ?") < condition.index("instr(")
