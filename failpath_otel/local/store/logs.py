"""The logs of runs: log records by their traces, within bounds that are apart from those of runs."""

import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from failpath_otel.local.store.database import Database
from failpath_otel.local.store.defaults import DEFAULT_MEBIBYTES
from failpath_otel.local.store.run_row import RunKey

MAX_OF_TRACE: Final = 1_000
"""Log records of one trace that are kept, the newest."""

SHARE: Final = 8
"""Logs take at most one part in this number of what runs may take, beside them."""

_TRIMMED: Final = 100
"""A trace is trimmed only when it has so many records too many: each trimming reads it."""

_ROW_BYTES: Final = 250
"""What a row and its entry in the index take beside its texts."""

_DELETED: Final = 1_000
"""About the most records that one transaction deletes: it blocks senders for some hundredths of a second."""

_LOOKED_AT: Final = 100
"""Traces that one transaction may delete."""

_SEARCHED: Final = 5_000
"""Traces of which one query finds those to delete, in about 10 ms, so that other readers do not wait for more."""

_STALE: Final = (
    "received_at < ? OR NOT EXISTS (SELECT 1 FROM run_traces WHERE run_traces.trace_id = log_traces.trace_id)"
)

_KEYS: Final = 400
"""The most traces that one query names; SQLite before 3.32 accepts 999 values."""

_COUNT_AGAIN: Final = 64
"""Evictions after which the bytes are counted again: to count them takes as long as to delete some."""

_OF_FILE: Final = "@"
"""Between a trace and its run, in place of the trace: the key of log records that came in a file."""

_MEBIBYTE: Final = 1 << 20
_SUM: Final = "SELECT coalesce(sum(bytes), 0) FROM log_traces"
_T = TypeVar("_T")


class NewLog(NamedTuple):
    """A log record to store: ``line`` is what lists show of it as JSON, ``details`` the rest.

    ``at`` is its time in microseconds since the epoch, ``severity`` a number from 0 to 24 as OTLP has them.
    """

    trace_id: str
    span_id: str
    at: int
    severity: int
    line: bytes
    details: bytes | None

    @property
    def size(self) -> int:
        """About how many bytes it takes in the file."""
        return _ROW_BYTES + len(self.line) + len(self.details or b"")


class StoredLog(NamedTuple):
    """A log record without its details; ``has_details`` is 1 if there are any, else 0."""

    id: int
    trace_id: str
    span_id: str
    at: int
    severity: int
    line: bytes
    has_details: int


class LogDetails(NamedTuple):
    """What a list does not show of a log record."""

    line: bytes
    details: bytes | None


class LogsOfRun(NamedTuple):
    """The newest log records in the traces of a run, in order of time, and how many there were that are not here."""

    logs: list[StoredLog]
    left_out: int


class LogStore:
    """The logs in a database. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._lock: Final = threading.Lock()
        self._newly_mapped: set[str] = set()
        self.max_bytes = DEFAULT_MEBIBYTES * _MEBIBYTE // SHARE
        """How many bytes logs may take."""
        self._bytes = self.size()
        self._evictions = 0
        # Whether it is not known that the last change of the bytes was committed.
        self._in_doubt = False
        self._maps_runs = bool(database.rows("SELECT 1 FROM run_traces WHERE instr(trace_id, ?) = 0 LIMIT 1", _OF_FILE))

    def size(self) -> int:
        """Return about how many bytes logs take."""
        return self._database.number(_SUM)

    def count(self) -> int:
        """Return the number of log records."""
        return self._database.number("SELECT coalesce(sum(lines), 0) FROM log_traces")

    # The traces of runs

    @property
    def maps_runs(self) -> bool:
        """Whether the traces of runs are noted, as they are from the first log on: it costs time."""
        return self._maps_runs

    def map_runs(self, runs: Iterable[tuple[RunKey, Iterable[str]]]) -> None:
        """Note the traces of these runs, and from now on those of all runs that change."""
        self._maps_runs = True
        with self._database.transaction() as connection:
            self.note_traces(connection, runs)

    def note_traces(self, connection: sqlite3.Connection, runs: Iterable[tuple[RunKey, Iterable[str]]]) -> None:
        """Note the traces of runs in a transaction, if any are noted."""
        if not self._maps_runs:
            return
        values = [(*run, its) for run, traces in runs for its in set(traces) if its and _OF_FILE not in its]
        connection.executemany("INSERT OR IGNORE INTO run_traces VALUES (?, ?, ?)", values)
        with self._lock:
            self._newly_mapped.update(trace_id for *_, trace_id in values)

    def newly_mapped(self) -> set[str]:
        """Return the traces that were noted since the last call; some may have been known before."""
        with self._lock:
            found, self._newly_mapped = self._newly_mapped, set()
            return found

    def runs_of(self, traces: Collection[str]) -> dict[str, list[RunKey]]:
        """Return the runs of those of these traces that have any."""
        found: dict[str, list[RunKey]] = {}
        for some in _chunks(traces):
            query = f"SELECT trace_id, flow_key, run_id FROM run_traces WHERE trace_id IN ({_marks(some)})"  # noqa: S608
            for trace_id, *run in self._database.rows(query, *some):
                found.setdefault(trace_id, []).append(RunKey(*run))
        return found

    def beside(self, run: RunKey, limit: int) -> list[RunKey]:
        """Return up to ``limit`` other runs that share a trace with this one."""
        rows = self._database.rows(
            "SELECT DISTINCT others.flow_key, others.run_id FROM run_traces AS own "
            "JOIN run_traces AS others INDEXED BY runs_of_trace ON others.trace_id = own.trace_id "
            "WHERE own.flow_key = ? AND own.run_id = ? AND (others.flow_key, others.run_id) <> (?, ?) LIMIT ?",
            *run,
            *run,
            limit,
        )
        return [RunKey(*row) for row in rows]

    # Log records

    def add(self, logs: Sequence[NewLog], received_at: int) -> None:
        """Store log records of runs, all or none, within the bounds: the oldest make room."""
        with self._database.transaction() as connection:
            self._insert(connection, logs, received_at)
        self._in_doubt = False

    def add_of_file(
        self, connection: sqlite3.Connection, run: RunKey, logs: Sequence[NewLog], left_out: int, received_at: int
    ) -> None:
        """Store the log records of a run of a file, in its transaction; ``left_out`` more were not in the file.

        They are of that run alone, so that no file can add to what other runs in its traces show.
        """
        digest = sha256("\0".join(run).encode()).hexdigest()[:16]
        own = [log._replace(trace_id=f"{log.trace_id}{_OF_FILE}{digest}") for log in logs]
        for trace_id in {log.trace_id for log in own}:
            # Those of the same run before it was deleted, if they are left.
            _delete(connection, trace_id)
            connection.execute("INSERT OR IGNORE INTO run_traces VALUES (?, ?, ?)", (*run, trace_id))
        if own:
            self._insert(connection, own, received_at)
            connection.execute(
                "UPDATE log_traces SET dropped = dropped + ? WHERE trace_id = ?", (left_out, own[0].trace_id)
            )

    def _insert(self, connection: sqlite3.Connection, logs: Sequence[NewLog], received_at: int) -> None:
        if self._in_doubt:
            # On a full disk a sender tries again and again: that must not push out what is there.
            (self._bytes,) = connection.execute(_SUM).fetchone()
        self._in_doubt = True
        sizes: dict[str, list[int]] = {}
        for log in logs:
            sizes.setdefault(log.trace_id, []).append(log.size)
        connection.executemany(
            "INSERT INTO logs (trace_id, span_id, at, severity, size, line, details) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(log.trace_id, log.span_id, log.at, log.severity, log.size, log.line, log.details) for log in logs],
        )
        connection.executemany(
            "INSERT INTO log_traces VALUES (?, ?, ?, 0, ?) ON CONFLICT (trace_id) DO UPDATE SET "
            "lines = lines + excluded.lines, bytes = bytes + excluded.bytes, received_at = excluded.received_at",
            [(trace_id, len(own), sum(own), received_at) for trace_id, own in sizes.items()],
        )
        _trim(connection, sizes)
        self._bytes += sum(map(sum, sizes.values()))
        if self._bytes > self.max_bytes:
            self._evict(connection)

    def _evict(self, connection: sqlite3.Connection) -> None:
        """Delete the traces that have received nothing for the longest time, until there is room again."""
        if self._evictions % _COUNT_AGAIN == 0:
            (self._bytes,) = connection.execute(_SUM).fetchone()
        self._evictions += 1
        rows = connection.execute(
            "SELECT trace_id, lines, bytes FROM log_traces ORDER BY received_at, trace_id LIMIT ?", (_LOOKED_AT,)
        ).fetchall()
        room = _DELETED
        for trace_id, lines, size in rows:
            if self._bytes <= self.max_bytes or room <= 0:
                return
            _delete(connection, trace_id)
            self._bytes -= size
            room -= lines

    def of_run(self, run: RunKey, limit: int) -> LogsOfRun:
        """Return up to ``limit`` log records in the traces of a run, the newest."""
        own = "(SELECT trace_id FROM run_traces WHERE flow_key = ? AND run_id = ?)"
        kept, dropped = self._database.rows(
            f"SELECT coalesce(sum(lines), 0), coalesce(sum(dropped), 0) FROM log_traces WHERE trace_id IN {own}",  # noqa: S608
            *run,
        )[0]
        if not kept:
            return LogsOfRun([], dropped)
        rows = self._database.rows(
            "SELECT id, trace_id, span_id, at, severity, line, details IS NOT NULL FROM logs "  # noqa: S608
            f"WHERE trace_id IN {own} ORDER BY at DESC, id DESC LIMIT ?",
            *run,
            limit,
        )
        logs = [
            StoredLog(log_id, trace_id.rpartition(_OF_FILE)[0] or trace_id, *rest)
            for log_id, trace_id, *rest in reversed(rows)
        ]
        return LogsOfRun(logs, dropped + max(0, kept - len(logs)))

    def event_times(self, run: RunKey) -> list[int]:
        """Return the times of all events of a run in order, between which its logs stand."""
        query = "SELECT timestamp FROM events WHERE flow_key = ? AND run_id = ? ORDER BY timestamp"
        return [at for (at,) in self._database.rows(query, *run)]

    def details(self, log_id: int) -> LogDetails | None:
        """Return what a list does not show of a log record; ``None`` if there is no such record."""
        rows = self._database.rows("SELECT line, details FROM logs WHERE id = ?", log_id)
        return LogDetails(*rows[0]) if rows else None

    def delete_stale(self, before: int) -> Iterator[None]:
        """Delete the logs that have lost their run, or received nothing since a time.

        Yields after each small transaction, for a pause in which others write.
        """
        last, more = "", True
        while more:
            looked_at = self._database.rows(
                f"SELECT trace_id, {_STALE} FROM log_traces WHERE trace_id > ? ORDER BY trace_id LIMIT ?",  # noqa: S608
                before,
                last,
                _SEARCHED,
            )
            more = len(looked_at) == _SEARCHED
            last = looked_at[-1][0] if looked_at else ""
            stale = [trace_id for trace_id, is_stale in looked_at if is_stale]
            while stale:
                with self._database.transaction() as connection:
                    self._delete_stale(connection, stale, before)
                yield

    def _delete_stale(self, connection: sqlite3.Connection, traces: list[str], before: int) -> None:
        """Delete some of these traces, which are taken off the list, if they still are stale."""
        room = _DELETED
        for _ in range(min(_LOOKED_AT, len(traces))):
            trace_id = traces.pop()
            query = f"SELECT lines, bytes FROM log_traces WHERE trace_id = ? AND ({_STALE})"  # noqa: S608
            for lines, size in connection.execute(query, (trace_id, before)).fetchall():
                _delete(connection, trace_id)
                self._bytes -= size
                room -= lines
            if room <= 0:
                return


def _delete(connection: sqlite3.Connection, trace_id: str) -> None:
    connection.execute("DELETE FROM logs WHERE trace_id = ?", (trace_id,))
    connection.execute("DELETE FROM log_traces WHERE trace_id = ?", (trace_id,))


def _trim(connection: sqlite3.Connection, traces: Iterable[str]) -> None:
    """Delete the oldest records of the traces that have too many."""
    for trace_id in traces:
        (lines,) = connection.execute("SELECT lines FROM log_traces WHERE trace_id = ?", (trace_id,)).fetchone()
        if lines <= MAX_OF_TRACE + _TRIMMED:
            continue
        oldest = "SELECT id, size FROM logs WHERE trace_id = ? ORDER BY at, id LIMIT ?"
        rows = connection.execute(oldest, (trace_id, lines - MAX_OF_TRACE)).fetchall()
        connection.executemany("DELETE FROM logs WHERE id = ?", [(log_id,) for log_id, _ in rows])
        connection.execute(
            "UPDATE log_traces SET lines = lines - ?, bytes = bytes - ?, dropped = dropped + ? WHERE trace_id = ?",
            (len(rows), sum(size for _, size in rows), len(rows), trace_id),
        )


def _chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, _KEYS)):
        yield some


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))
