"""The store keeps every event once, and says in one line why it cannot."""

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.local.api.scripts.run_filter import RunFilter
from failpath_otel.local.api.scripts.run_views import find_run, recent_runs
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.schema import SCHEMA_VERSION
from failpath_otel.local.store.store import ReceivedEvent, Store
from tests.local.events import event
from tests.local.rows import RECEIVED, project, received_events

Open = Callable[[Path], Store]


@pytest.fixture
def open_store() -> Iterator[Open]:
    opened: list[Store] = []

    def open_one(path: Path) -> Store:
        opened.append(Store(path))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def _listed(store: Store, limit: int, **filters: Any) -> list[RunKey]:
    project(store)
    return [row.key for row in store.runs.rows(limit, **filters)]


def _query(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_an_event_is_stored_once_however_often_it_arrives(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")
    first, second = event("running", 1), event("success", 2)
    assert store.add(received_events(first, first), 7) == 1
    assert store.add(received_events(second, first), 8) == 1
    assert sorted(record.id for record in store.events(RunKey("checkout", "run-1"))) == sorted([first.id, second.id])


def test_a_stored_event_has_its_columns_and_its_time_of_receipt(tmp_path: Path, open_store: Open) -> None:
    record = event("running", 1.5)
    open_store(tmp_path / "db").add(received_events(record), 42)
    assert _query(tmp_path / "db", "SELECT * FROM events") == [
        (
            record.id,
            "checkout",
            "run-1",
            "pay",
            "a",
            "running",
            1_700_000_001_500_000,
            42,
            record.to_json().decode(),
        )
    ]


def test_the_metadata_of_a_step_is_the_newest_of_each_name_however_its_events_arrived(
    tmp_path: Path, open_store: Open
) -> None:
    store = open_store(tmp_path / "db")
    events = [event("running", 1, cart=1, tries=1), event("error", 2, tries=2), event("success", 3, span="b", tries=3)]
    instant = [event("running", 4, step="mail", state="begun"), event("success", 4, step="mail", state="ended")]
    store.add(received_events(*reversed([*events, *instant]), event("success", 9, run="other", cart=2)), 7)
    assert store.metadata(RunKey("checkout", "run-1")) == {"pay": {"cart": 1, "tries": 3}, "mail": {"state": "ended"}}


def test_events_survive_the_store_that_took_them(tmp_path: Path, open_store: Open) -> None:
    record = event("running", 1)
    first = open_store(tmp_path / "db")
    first.add(received_events(record), RECEIVED)
    first.close()
    assert open_store(tmp_path / "db").events(RunKey("checkout", "run-1")) == [record]


def test_runs_come_with_the_newest_event_first_however_they_arrived(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")
    store.add(received_events(event("running", 9, run="new"), event("running", 1, run="old")), RECEIVED)
    store.add(received_events(event("running", 5, run="middle"), event("running", 2, run="new")), RECEIVED)
    assert [key.run_id for key in _listed(store, 10)] == ["new", "middle", "old"]
    assert [key.run_id for key in _listed(store, 2)] == ["new", "middle"]


def test_a_run_id_in_several_flows_names_the_one_that_was_active_last(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")
    store.add(
        received_events(event("running", 1, flow="a"), event("running", 3, flow="b"), event("running", 2, flow="c")), 1
    )
    assert store.find("run-1") == RunKey("b", "run-1")
    assert store.find("run-1", flow_key="c") == RunKey("c", "run-1")
    assert store.find("run-1", flow_key="d") is None
    assert store.find("run-2") is None
    assert [key.flow_key for key in _listed(store, 10, flow_key="a")] == ["a"]


def test_a_rare_status_is_found_behind_many_other_runs(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")
    many = [event("success", 10 + number, run=f"r{number}") for number in range(250)]
    store.add(received_events(event("error", 1, run="bad"), event("error", 2, run="worse"), *many), RECEIVED)
    project(store)
    receiver = Receiver(store, lambda: 1)
    failed = RunFilter(statuses=frozenset({"error"}))
    assert [run.run_id for run in recent_runs(receiver, 5, failed).runs] == ["worse", "bad"]
    assert [run.run_id for run in recent_runs(receiver, 1, failed).runs] == ["worse"]
    assert [run.run_id for run in recent_runs(receiver, 2, RunFilter()).runs] == ["r249", "r248"]
    assert find_run(receiver, "none") is None


def test_many_threads_lose_nothing(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")
    start = threading.Barrier(8)

    def add(thread: int) -> None:
        start.wait()
        for number in range(25):
            store.add(received_events(event("running", number, span=f"{thread}-{number}")), RECEIVED)
            _listed(store, 5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert len(store.events(RunKey("checkout", "run-1"))) == 200


def test_two_stores_that_open_a_new_file_at_once_share_it(tmp_path: Path, open_store: Open) -> None:
    for attempt in range(10):
        start = threading.Barrier(4)
        path = tmp_path / str(attempt)

        def open_one(_: int, path: Path = path, start: threading.Barrier = start) -> Store:
            start.wait()
            return open_store(path)

        with ThreadPoolExecutor(4) as pool:
            stores = list(pool.map(open_one, range(4)))
        stores[0].add(received_events(event("running", 1)), RECEIVED)
        assert all(len(_listed(store, 5)) == 1 for store in stores)


def test_a_batch_that_fails_halfway_leaves_nothing_behind(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")

    def half() -> Iterator[ReceivedEvent]:
        yield from received_events(event("running", 1))
        raise ConnectionError

    with pytest.raises(StoreError):
        store.add(half(), 1)
    assert _listed(store, 5) == []
    assert store.add(received_events(event("running", 1)), RECEIVED) == 1


def test_the_database_is_in_wal_mode_and_knows_its_version(tmp_path: Path, open_store: Open) -> None:
    open_store(tmp_path / "db")
    assert _query(tmp_path / "db", "PRAGMA journal_mode") == [("wal",)]
    assert _query(tmp_path / "db", "PRAGMA user_version") == [(SCHEMA_VERSION,)]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
def test_file_and_new_directories_are_for_their_owner_only(tmp_path: Path, open_store: Open) -> None:
    previous = os.umask(0o022)
    try:
        store = open_store(tmp_path / "new" / "db")
        store.add(received_events(event("running", 1)), RECEIVED)
    finally:
        os.umask(previous)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, open_store: Open) -> None:
    path = tmp_path / "db"
    open_store(path).close()
    _query(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}.*upgrade failpath-otel"):
        Store(path)
    assert _query(path, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "db"
    _query(path, "CREATE TABLE events (theirs TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database"):
        Store(path)
    assert path.read_text() == "not a database " * 100


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
def test_a_file_that_was_refused_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreError) as refused:
        Store(path)
    assert refused.tb is not None  # the frames are kept, and what they would have left open with them
    assert str(path) not in [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]


def test_a_directory_and_a_path_below_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory"):
        Store(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file" / "db")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.runs.rows(1)


def test_to_note_that_an_imported_run_gets_events_reads_no_other_one(tmp_path: Path, open_store: Open) -> None:
    store = open_store(tmp_path / "db")
    statements: list[str] = []
    store._database._writer.set_trace_callback(statements.append)
    store.add(received_events(event("success", 1)), 1)
    (update,) = [statement for statement in statements if statement.startswith("UPDATE imports")]
    plan = [str(row[3]) for row in store._database.rows(f"EXPLAIN QUERY PLAN {update.replace('?', '0')}")]
    assert plan
    assert not [step for step in plan if step.startswith("SCAN")]
