"""A file of an earlier version is brought up to date, with all that it holds, or left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.store import schema
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.schema import SCHEMA_VERSION
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import Record
from tests.local.events import event
from tests.local.rows import expected, opened, project, stored

_VERSION_1: Final = """
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        step_key TEXT NOT NULL,
        span_id TEXT NOT NULL,
        status TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE INDEX events_by_run ON events (flow_key, run_id);
    CREATE TABLE runs (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        active_at INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_activity ON runs (active_at DESC, flow_key, run_id);
    CREATE INDEX runs_of_flow ON runs (flow_key, active_at DESC, run_id);
    CREATE INDEX runs_by_id ON runs (run_id, active_at DESC, flow_key);
    PRAGMA application_id = 1179668308;
    PRAGMA user_version = 1;
"""


def _version_1(path: Path, *records: Record) -> None:
    """Makes a file as version 1 made it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_VERSION_1)
        connection.execute("PRAGMA journal_mode = WAL")
        for record in records:
            at = parse_rfc3339(record.timestamp)
            key = (record.flow_key, record.run_id)
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (record.id, *key, record.step_key, record.span_id, record.status, at, at, record.to_json().decode()),
            )
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET active_at = max(active_at, excluded.active_at)",
                (*key, at),
            )
        connection.commit()


def _query(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


_VERSION_2: Final = """
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        step_key TEXT NOT NULL,
        span_id TEXT NOT NULL,
        status TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE INDEX events_by_run ON events (flow_key, run_id);
    CREATE TABLE dirty (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        mark INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    ) WITHOUT ROWID;
    CREATE INDEX dirty_by_mark ON dirty (mark);
    CREATE TABLE runs (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        active_at INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        heard_at INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    );
    CREATE INDEX runs_by_age ON runs (heard_at);
    CREATE TABLE meta (
        store_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        pruned_runs INTEGER NOT NULL,
        pruned_before INTEGER
    );
    INSERT INTO meta VALUES ('a name', 17, 40, 3, 99);
    PRAGMA application_id = 1179668308;
    PRAGMA user_version = 2;
"""


def _version_2(path: Path, *records: Record, dirty: str = "new") -> None:
    """Makes a file as version 2 made it, with one run whose newest event its row does not show."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_VERSION_2)
        connection.execute("PRAGMA journal_mode = WAL")
        for mark, record in enumerate(records, 20):
            at = parse_rfc3339(record.timestamp)
            key = (record.flow_key, record.run_id)
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (record.id, *key, record.step_key, record.span_id, record.status, at, at, record.to_json().decode()),
            )
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", (*key, at, mark, at))
            if record.run_id == dirty:
                connection.execute("INSERT OR REPLACE INTO dirty VALUES (?, ?, 40, ?)", (*key, at))
        connection.commit()


_RECORDS: Final = [
    event("running", 1, run="old"),
    event("success", 2, run="old"),
    event("running", 5, run="new"),
    event("error", 3, run="middle", flow="refund"),
]


def test_a_file_of_version_1_keeps_its_events_and_gets_the_same_rows_as_a_new_one(tmp_path: Path) -> None:
    _version_1(tmp_path / "old", *_RECORDS)
    events = _query(tmp_path / "old", "SELECT rowid, * FROM events")
    with opened(tmp_path / "old") as old, opened(tmp_path / "new") as new:
        assert old.work_available.is_set()
        assert old.find("old") == RunKey("checkout", "old")
        project(old)
        stored(new, *_RECORDS)
        assert [row.run_id for row in old.runs.rows(9)] == ["new", "middle", "old"]
        for row in old.runs.rows(9):
            assert row == expected(row.key, _RECORDS, row.revision)
    assert _query(tmp_path / "old", "SELECT rowid, * FROM events") == events
    tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert _query(tmp_path / "old", tables) == _query(tmp_path / "new", tables)
    assert _query(tmp_path / "old", "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_a_file_of_version_2_keeps_its_events_its_name_and_its_numbers_and_gets_new_rows(tmp_path: Path) -> None:
    _version_2(tmp_path / "old", *_RECORDS)
    events = _query(tmp_path / "old", "SELECT rowid, * FROM events")
    with opened(tmp_path / "old") as old, opened(tmp_path / "new") as new:
        assert old.work_available.is_set()
        assert old.runs.store_id() == "a name"
        assert old.pruned() == (3, 99)
        assert [(dirty.run.run_id, dirty.mark) for dirty in old.dirty(9)] == [("new", 40), ("middle", 23), ("old", 21)]
        project(old)
        stored(new, *_RECORDS)
        assert {row.revision for row in old.runs.rows(9)} == {18, 19, 20}
        for row in old.runs.rows(9):
            assert row == expected(row.key, _RECORDS, row.revision)
    assert _query(tmp_path / "old", "SELECT rowid, * FROM events") == events
    tables = "SELECT name, sql FROM sqlite_master WHERE name NOT IN ('dirty', 'meta', 'events') ORDER BY name"
    assert _query(tmp_path / "old", tables) == _query(tmp_path / "new", tables)
    assert _query(tmp_path / "old", "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_the_runs_of_version_1_that_were_active_last_come_first_but_after_what_is_new(tmp_path: Path) -> None:
    _version_1(tmp_path / "db", *_RECORDS)
    with opened(tmp_path / "db") as store:
        stored_at_once = event("running", 1, run="just now")
        assert [dirty.run.run_id for dirty in store.dirty(9)] == ["new", "middle", "old"]
        stored(store, stored_at_once)
        assert {row.run_id: row.revision for row in store.runs.rows(9)} == {
            "just now": 1,
            "new": 2,
            "middle": 3,
            "old": 4,
        }


def test_a_migration_that_fails_leaves_a_file_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _version_1(tmp_path / "db", *_RECORDS)
    before = _query(tmp_path / "db", "SELECT * FROM runs"), _query(tmp_path / "db", "SELECT * FROM sqlite_master")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "_FROM_VERSION_1", (*schema._FROM_VERSION_1, "CREATE TABLE runs (again)"))
        with pytest.raises(StoreError, match="already exists"):
            Store(tmp_path / "db")
    assert _query(tmp_path / "db", "PRAGMA user_version") == [(1,)]
    after = _query(tmp_path / "db", "SELECT * FROM runs"), _query(tmp_path / "db", "SELECT * FROM sqlite_master")
    assert after == before
    with opened(tmp_path / "db") as store:
        project(store)
        assert store.runs.count() == 3


def test_a_store_keeps_its_name_and_another_has_another(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as a, opened(tmp_path / "b") as b:
        name = a.runs.store_id()
        assert name != b.runs.store_id()
    with opened(tmp_path / "a") as again:
        assert again.runs.store_id() == name


def test_the_columns_of_a_run_are_those_that_files_of_this_version_have(tmp_path: Path) -> None:
    """They follow from the fields of `RunRow`: another field there is another version of the schema."""
    with opened(tmp_path / "local.db"), closing(sqlite3.connect(tmp_path / "local.db")) as connection:
        found = connection.execute("SELECT name, type, \"notnull\", pk FROM pragma_table_info('runs')").fetchall()
    assert schema.SCHEMA_VERSION == 3
    assert found == [
        ("flow_key", "TEXT", 1, 1),
        ("run_id", "TEXT", 1, 2),
        ("status", "TEXT", 1, 0),
        ("started", "INTEGER", 1, 0),
        ("ended", "INTEGER", 0, 0),
        ("duration_ms", "REAL", 0, 0),
        ("active_at", "INTEGER", 1, 0),
        ("steps", "INTEGER", 1, 0),
        ("failed", "INTEGER", 1, 0),
        ("failed_attempts", "INTEGER", 1, 0),
        ("retries", "INTEGER", 1, 0),
        ("step_key", "TEXT", 0, 0),
        ("message", "TEXT", 0, 0),
        ("revision", "INTEGER", 1, 0),
        ("mark", "INTEGER", 1, 0),
        ("heard_at", "INTEGER", 1, 0),
        ("pairs", "TEXT", 1, 0),
        ("search", "TEXT", 1, 0),
        ("attempts", "BLOB", 1, 0),
    ]
