"""The schema: tables and indexes of a store, and the migration of older files."""

import secrets
import sqlite3
from pathlib import Path
from typing import Final

from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import COLUMN_DEFINITIONS

SCHEMA_VERSION: Final = 3
"""``PRAGMA user_version`` of a database that this code reads and writes."""

APPLICATION_ID: Final = 0x46504F54
"""``PRAGMA application_id``: distinguishes this project's databases from any other SQLite file."""

_EVENTS: Final = (
    """
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
    )
    """,
    "CREATE INDEX events_by_run ON events (flow_key, run_id)",
)

_RUNS: Final = (
    # The columns of a `RunRow`, then those that lists do not show; long ones last. `heard_at`: newest event received.
    f"""
    CREATE TABLE runs (
        {COLUMN_DEFINITIONS},
        mark INTEGER NOT NULL,
        heard_at INTEGER NOT NULL,
        pairs TEXT NOT NULL,
        search TEXT NOT NULL,
        attempts BLOB NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    )
    """,
    # Filters read these indexes in the order of the list, and the table only for matches.
    "CREATE INDEX runs_by_activity ON runs (active_at DESC, flow_key, run_id, status)",
    # With what figures are made of, so that those of all runs of a flow are read from it alone.
    """
    CREATE INDEX runs_of_flow
    ON runs (flow_key, active_at DESC, run_id, status, duration_ms, failed_attempts, retries)
    """,
    "CREATE INDEX runs_by_text ON runs (active_at DESC, flow_key, run_id, status, pairs, search)",
    "CREATE INDEX runs_by_id ON runs (run_id, active_at DESC, flow_key)",
    "CREATE INDEX runs_by_start ON runs (flow_key, started, run_id)",
    "CREATE INDEX runs_by_age ON runs (heard_at)",
    "CREATE INDEX runs_by_revision ON runs (revision)",
    "CREATE INDEX runs_running ON runs (active_at) WHERE status = 'running'",
)

TABLES_OF_RUNS: Final[tuple[str, ...]] = ("errors", "run_traces", "pins", "imports")
"""Further tables whose rows belong to one run, by ``flow_key`` and ``run_id``, and are deleted with it."""

_ERRORS: Final = (
    # Of each step of a run that has failed the newest failed attempt; `active_at` is that of its run.
    """
    CREATE TABLE errors (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        step_key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        seen INTEGER NOT NULL,
        recovered INTEGER NOT NULL,
        name TEXT NOT NULL,
        message TEXT NOT NULL,
        active_at INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id, step_key)
    ) WITHOUT ROWID
    """,
    # In the order of the list of runs, and of time.
    "CREATE INDEX errors_of_kind ON errors (fingerprint, active_at DESC, flow_key, run_id)",
    "CREATE INDEX errors_by_time ON errors (fingerprint, seen)",
    "CREATE INDEX errors_by_activity ON errors (active_at DESC, fingerprint, recovered)",
    # Runs that are not pruned.
    """
    CREATE TABLE pins (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    ) WITHOUT ROWID
    """,
    # Runs that came as files: their liveness and that of their attempts (JSON) there. `mixed`: others came since.
    """
    CREATE TABLE imports (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        imported_at INTEGER NOT NULL,
        as_of INTEGER NOT NULL,
        liveness TEXT NOT NULL,
        attempts BLOB NOT NULL,
        mixed INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    ) WITHOUT ROWID
    """,
)

_RUN_TRACES: Final = (
    # The traces of runs, noted from the first log on: a log record names a trace, and not a run.
    """
    CREATE TABLE run_traces (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        trace_id TEXT NOT NULL,
        PRIMARY KEY (flow_key, run_id, trace_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX runs_of_trace ON run_traces (trace_id)",
)

_LOGS: Final = (
    """
    CREATE TABLE logs (
        id INTEGER PRIMARY KEY,
        trace_id TEXT NOT NULL,
        span_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        severity INTEGER NOT NULL,
        size INTEGER NOT NULL,
        line BLOB NOT NULL,
        details BLOB
    )
    """,
    "CREATE INDEX logs_by_trace ON logs (trace_id, at)",
    # A row for each trace with logs: how many there are, and how many were too many.
    """
    CREATE TABLE log_traces (
        trace_id TEXT PRIMARY KEY,
        lines INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        dropped INTEGER NOT NULL,
        received_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX log_traces_by_age ON log_traces (received_at)",
)

_OF_RUNS: Final[tuple[str, ...]] = (*_ERRORS, *_RUN_TRACES, *_LOGS)

_META: Final = (
    # One row: the id of the store, and the numbers that must not decrease when it is opened again.
    """
    CREATE TABLE meta (
        store_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        pruned_runs INTEGER NOT NULL,
        pruned_before INTEGER,
        deletions INTEGER NOT NULL DEFAULT 0
    )
    """,
)

_DIRTY: Final = (
    # Runs whose rows do not show all of their events yet; a higher mark means newer events.
    """
    CREATE TABLE dirty (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        mark INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX dirty_by_mark ON dirty (mark)",
)

_FROM_VERSION_1: Final = (
    *_DIRTY,
    # The newest activity gets the highest mark, and so its row first.
    """
    INSERT INTO dirty (flow_key, run_id, mark, received_at)
    SELECT flow_key, run_id, row_number() OVER (ORDER BY active_at, flow_key, run_id), (
        SELECT max(received_at) FROM events WHERE events.flow_key = runs.flow_key AND events.run_id = runs.run_id
    ) FROM runs
    """,
    "DROP TABLE runs",
    *_RUNS,
    *_OF_RUNS,
    *_META,
)

_FROM_VERSION_2: Final = (
    # Rows of new columns follow from the events.
    """
    INSERT OR IGNORE INTO dirty (flow_key, run_id, mark, received_at) SELECT flow_key, run_id, mark, heard_at FROM runs
    """,
    "DROP TABLE runs",
    *_RUNS,
    *_OF_RUNS,
    "ALTER TABLE meta ADD COLUMN deletions INTEGER NOT NULL DEFAULT 0",
)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables of a new file, or migrate those of an older version, all or nothing.

    Raises :class:`StoreError` for a file of another program or of a newer version, and leaves it alone.
    """
    if not path.stat().st_size:
        # Must precede the first write to a file.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    # Several processes may open a new file at once: the first with the write lock makes the tables.
    connection.execute("BEGIN IMMEDIATE")
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if not (application or version or _number(connection, "SELECT count(*) FROM sqlite_master")):
        _run(connection, *_EVENTS, *_DIRTY, *_RUNS, *_OF_RUNS, *_META, f"PRAGMA application_id = {APPLICATION_ID}")
        _make_meta(connection)
    elif application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program")
    elif version == 1:
        _run(connection, *_FROM_VERSION_1)
        _make_meta(connection)
    elif version == 2:  # noqa: PLR2004
        _run(connection, *_FROM_VERSION_2)
    else:
        _check_not_newer(version, path)
    if version != SCHEMA_VERSION:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise :class:`StoreError` unless a file can be read as it is."""
    version = _number(connection, "PRAGMA user_version")
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is no database of this program")
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this version of failpath-otel reads {SCHEMA_VERSION}; open it once"
            " without --read-only, which brings it up to date"
        )
    _check_not_newer(version, path)


def _check_not_newer(version: int, path: Path) -> None:
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this version of failpath-otel reads {SCHEMA_VERSION}; "
            "upgrade failpath-otel or choose another file with --db"
        )


def _make_meta(connection: sqlite3.Connection) -> None:
    mark = _number(connection, "SELECT coalesce(max(mark), 0) FROM dirty")
    connection.execute("INSERT INTO meta VALUES (?, 0, ?, 0, NULL, 0)", (secrets.token_hex(8), mark))


def _run(connection: sqlite3.Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement)


def _number(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)
