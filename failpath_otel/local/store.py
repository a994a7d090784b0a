"""The store: every event that the receiver accepted, once, in one SQLite file."""

import os
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from failpath_otel.export.record import Record
from failpath_otel.local.event import Event, instant

SCHEMA_VERSION: Final = 1
"""``PRAGMA user_version`` of a database that this code can read and write."""

APPLICATION_ID: Final = 0x46504F54
"""``PRAGMA application_id``: tells this project's databases from any other SQLite file."""

_BUSY_SECONDS: Final = 1.0
"""How long to wait for another process that writes; a sender waits 1.5 s for its answer."""

_CLOSE_SECONDS: Final = 0.3
_RETRY_SECONDS: Final = 0.01

_SCHEMA: Final = (
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
    # The runs could be read off the events, but only by visiting every event of every run.
    """
    CREATE TABLE runs (
        flow_key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        active_at INTEGER NOT NULL,
        PRIMARY KEY (flow_key, run_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX runs_by_activity ON runs (active_at DESC, flow_key, run_id)",
    "CREATE INDEX runs_of_flow ON runs (flow_key, active_at DESC, run_id)",
    "CREATE INDEX runs_by_id ON runs (run_id, active_at DESC, flow_key)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_RECENT: Final = "SELECT flow_key, run_id FROM runs ORDER BY active_at DESC, flow_key, run_id LIMIT ? OFFSET ?"
_RECENT_OF_FLOW: Final = (
    "SELECT flow_key, run_id FROM runs WHERE flow_key = ? ORDER BY active_at DESC, run_id LIMIT ? OFFSET ?"
)
_BY_ID: Final = "SELECT flow_key, run_id FROM runs WHERE run_id = ? ORDER BY active_at DESC, flow_key LIMIT 1"


class StoreError(Exception):
    """The database cannot be used; the text is one line that names the file and the reason."""


class Arrival(NamedTuple):
    """An event and the JSON text it came as, which is kept whole, with the fields that nobody here knows."""

    event: Event
    payload: str


class RunKey(NamedTuple):
    """What names a run."""

    flow_key: str
    run_id: str


class Store:
    """One database, used by any number of threads: one connection, one lock.

    Opens the file at ``path``, and makes it (readable for its owner only) where there is none. Times are
    microseconds since the epoch. Every method raises :class:`StoreError` when the database refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        self._decode = msgspec.json.Decoder(Record).decode
        with self._errors():
            _make_private(path)
            self._connection = sqlite3.connect(
                path.absolute(), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def add(self, arrivals: Iterable[Arrival], received_at: int) -> int:
        """Stores the events that are not there yet, all or none, and says how many those were."""
        with self._transaction() as connection:
            return sum(self._insert(connection, arrival, received_at) for arrival in arrivals)

    def recent(self, limit: int, *, offset: int = 0, flow_key: str | None = None) -> list[RunKey]:
        """The runs with the newest events first, of one flow if ``flow_key`` names one."""
        if flow_key is None:
            rows = self._rows(_RECENT, limit, offset)
        else:
            rows = self._rows(_RECENT_OF_FLOW, flow_key, limit, offset)
        return [RunKey(*row) for row in rows]

    def find(self, run_id: str, *, flow_key: str | None = None) -> RunKey | None:
        """The run with this id; where several flows have one, that of ``flow_key`` or the one that was active last."""
        if flow_key is None:
            rows = self._rows(_BY_ID, run_id)
        else:
            rows = self._rows("SELECT flow_key, run_id FROM runs WHERE flow_key = ? AND run_id = ?", flow_key, run_id)
        return RunKey(*rows[0]) if rows else None

    def events(self, run: RunKey) -> list[Record]:
        """Every event of a run, in no particular order; none for a run that is not there."""
        rows = self._rows("SELECT payload FROM events WHERE flow_key = ? AND run_id = ?", *run)
        return [self._decode(payload) for (payload,) in rows]

    def close(self) -> None:
        """Ends what is being asked right now and closes the file. The store cannot be used afterwards.

        Takes 0.3 s at most: what another process holds up is left to SQLite, which loses nothing that was accepted.
        """
        if self._closed:
            return
        self._closed = True
        self._connection.interrupt()
        if self._lock.acquire(timeout=_CLOSE_SECONDS):
            try:
                self._connection.close()
            finally:
                self._lock.release()

    def _prepare(self) -> None:
        connection = self._connection
        # Several processes may open a new file at once: the first to get the write lock makes the tables.
        connection.execute("BEGIN IMMEDIATE")
        application = _number(connection, "PRAGMA application_id")
        version = _number(connection, "PRAGMA user_version")
        if not (application or version or _number(connection, "SELECT count(*) FROM sqlite_master")):
            for statement in _SCHEMA:
                connection.execute(statement)
        elif application != APPLICATION_ID:
            msg = f"{self._path} is a database of another program"
            raise StoreError(msg)
        elif version != SCHEMA_VERSION:
            msg = (
                f"{self._path} has schema version {version}, this version of failpath-otel reads {SCHEMA_VERSION}; "
                "upgrade failpath-otel or choose another file with --db"
            )
            raise StoreError(msg)
        connection.execute("COMMIT")
        self._use_wal()
        connection.execute("PRAGMA synchronous = NORMAL")

    def _use_wal(self) -> None:
        # SQLite does not wait for other processes when it changes this mode, so several that open a new file at
        # once have to try again.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    @staticmethod
    def _insert(connection: sqlite3.Connection, arrival: Arrival, received_at: int) -> int:
        event = arrival.event
        timestamp = instant(event.timestamp)
        new = connection.execute(
            "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.id,
                event.flow_key,
                event.run_id,
                event.step_key,
                event.span_id,
                event.status,
                timestamp,
                received_at,
                arrival.payload,
            ),
        ).rowcount
        if new:
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?) ON CONFLICT (flow_key, run_id) "
                "DO UPDATE SET active_at = max(active_at, excluded.active_at)",
                (event.flow_key, event.run_id, timestamp),
            )
        return new

    def _rows(self, query: str, *values: str | int) -> list[tuple[str, ...]]:
        with self._open() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection, None, None]:
        with self._errors(), self._lock:
            if self._closed:
                msg = f"{self._path} is closed"
                raise StoreError(msg)
            yield self._connection

    @contextmanager
    def _errors(self) -> Generator[None, None, None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            msg = f"{self._path}: {reason or type(error).__name__}"
            raise StoreError(msg) from error


def _make_private(path: Path) -> None:
    """Makes the file and the directories above it for their owner only; leaves alone what is there already."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(0, "is a directory", str(path)) from None


def _number(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)
