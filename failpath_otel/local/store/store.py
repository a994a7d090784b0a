"""The store: every accepted event, once, and a row for each run, in one SQLite file."""

import threading
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from failpath_otel.local.runs.event import Event
from failpath_otel.local.runs.summary import RunOverview, RunSummary
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.deletion import DELETED_RUNS, delete_some, delete_where
from failpath_otel.local.store.errors.error_queries import ErrorQueries
from failpath_otel.local.store.errors.error_rows import save_errors
from failpath_otel.local.store.event_log import EventLog
from failpath_otel.local.store.flow_queries import FlowQueries
from failpath_otel.local.store.logs import LogStore
from failpath_otel.local.store.marks.imports import Imports
from failpath_otel.local.store.marks.pins import Pins
from failpath_otel.local.store.run_queries import RunQueries
from failpath_otel.local.store.run_row import STORED, RunKey
from failpath_otel.local.store.schema import check, prepare
from failpath_otel.records.record import Record

_PAGE: Final = 2_000
"""Events of one run that are read at a time, so that a huge run does not block other readers."""

_SHRUNK_PAGES: Final = 256
_FREE_SHARE: Final = 8
"""The file is shrunk if at least one in this number of its pages is free."""

_END_OF_TIME: Final = 1 << 62

_STORED: Final = (*STORED, "mark", "heard_at", "pairs", "search", "attempts")
_REPLACED: Final = ", ".join(f"{name} = excluded.{name}" for name in _STORED[2:] if name != "heard_at")
_SAVE: Final = (
    f"INSERT INTO runs ({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))}) "  # noqa: S608
    f"ON CONFLICT (flow_key, run_id) DO UPDATE SET {_REPLACED}, heard_at = max(runs.heard_at, excluded.heard_at) "
    "WHERE excluded.mark > runs.mark"
)
_DIRTY: Final = (
    "SELECT received_at, (SELECT mark FROM runs WHERE runs.flow_key = dirty.flow_key AND runs.run_id = dirty.run_id) "
    "FROM dirty WHERE flow_key = ? AND run_id = ?"
)


class ReceivedEvent(NamedTuple):
    """An event and its JSON text, which is stored unchanged, with unknown fields."""

    event: Event
    payload: str


class DirtyRun(NamedTuple):
    """A run with events that its row does not show, as of ``mark``."""

    run: RunKey
    mark: int


class Deletion(NamedTuple):
    """How many runs were deleted, and whether there are more to delete."""

    runs: int
    more: bool


class Pruned(NamedTuple):
    """How many runs were pruned so far; ``newest_activity``: the last time that one of them was active."""

    runs: int
    newest_activity: int | None


class _Metadata(msgspec.Struct, gc=False):
    """What of a record is read where only its metadata matters."""

    metadata: dict[str, Any]


_encode: Final = msgspec.json.Encoder().encode


class Store:
    """One database. Thread-safe.

    Opens the file at ``path``, and makes it (readable for its owner only) if there is none. With ``read_only`` there
    has to be one, which another receiver may write. Times are microseconds since the epoch. Every method raises
    :class:`StoreError` if the database refuses.

    Rows lag behind the events until a :class:`~failpath_otel.local.store.projector.Projector` has caught up;
    ``work_available`` is set whenever it has something to do or to report.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._decode = msgspec.json.Decoder(Record).decode
        self._decode_metadata = msgspec.json.Decoder(_Metadata).decode
        self._database = Database(path, check if read_only else prepare, read_only=read_only)
        self.read_only: Final = read_only
        self.runs: Final = RunQueries(self._database)
        """The rows of runs."""
        self.event_log: Final = EventLog(self._database)
        """The events of one run, in parts."""
        self.errors: Final = ErrorQueries(self._database)
        """The errors of their steps."""
        self.pins: Final = Pins(self._database)
        """The runs that are not pruned."""
        self.flows: Final = FlowQueries(self._database)
        """Figures of flows."""
        self.logs: Final = LogStore(self._database)
        """The logs of runs."""
        self.imports: Final = Imports(self._database, self.logs)
        """The runs that came as files."""
        self.work_available = threading.Event()
        if self._database.rows("SELECT 1 FROM dirty LIMIT 1"):
            self.work_available.set()

    def close(self) -> None:
        """Interrupt running queries and close the file. The store cannot be used afterwards.

        Takes 0.3 s at most: if another process blocks it, SQLite recovers the file later, without loss.
        """
        self._database.close()

    def check_writable(self) -> None:
        """Raise :class:`StoreError` if the database takes no writes now; waits a second for another process."""
        with self._database.transaction():
            pass

    # Events

    def add(self, received_events: Iterable[ReceivedEvent], received_at: int) -> int:
        """Store the events that are not there yet, all or none; return their number."""
        with self._database.errors():
            values = [_event_values(received, received_at) for received in received_events]
        with self._database.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM events").fetchone()
            insert = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            new = connection.executemany(insert, values).rowcount
            if new > 0:
                connection.execute("UPDATE meta SET mark = mark + 1")
                connection.execute(
                    "INSERT INTO dirty SELECT DISTINCT flow_key, run_id, (SELECT mark FROM meta), ? FROM events "
                    "WHERE rowid > ? ON CONFLICT (flow_key, run_id) "
                    "DO UPDATE SET mark = excluded.mark, received_at = excluded.received_at",
                    (received_at, last),
                )
                connection.execute(
                    "UPDATE imports SET mixed = 1 WHERE NOT mixed AND (flow_key, run_id) IN "
                    "(SELECT flow_key, run_id FROM events WHERE rowid > ?)",
                    (last,),
                )
        if new > 0:
            self.work_available.set()
        return max(0, new)

    def events(self, run: RunKey) -> list[Record]:
        """Return every event of a run, in no particular order; empty for an unknown run."""
        found: list[Record] = []
        last = 0
        while True:
            rows = self._database.rows(
                "SELECT rowid, payload FROM events WHERE flow_key = ? AND run_id = ? AND rowid > ? "
                "ORDER BY rowid LIMIT ?",
                *run,
                last,
                _PAGE,
            )
            found += [self._decode(payload) for _, payload in rows]
            if len(rows) < _PAGE:
                return found
            last = rows[-1][0]

    def metadata(self, run: RunKey) -> dict[str, dict[str, Any]]:
        """Return the metadata of each step of a run, by step key: of each name the newest value."""
        found: list[tuple[int, bool, int, str, dict[str, Any]]] = []
        last = 0
        while True:
            rows = self._database.rows(
                "SELECT timestamp, status <> 'running', rowid, step_key, payload FROM events "
                "WHERE flow_key = ? AND run_id = ? AND rowid > ? ORDER BY rowid LIMIT ?",
                *run,
                last,
                _PAGE,
            )
            found += [(*row, self._decode_metadata(payload).metadata) for *row, payload in rows]
            if len(rows) < _PAGE:
                break
            last = rows[-1][2]
        # What begins and ends in the same microsecond begins first.
        found.sort(key=itemgetter(0, 1, 2))
        metadata: dict[str, dict[str, Any]] = {}
        for _, _, _, step_key, values in found:
            metadata.setdefault(step_key, {}).update(values)
        return metadata

    def received(self, run: RunKey) -> dict[str, int]:
        """Return when each event of a run was received, by the event's id."""
        query = "SELECT id, received_at FROM events WHERE flow_key = ? AND run_id = ?"
        return dict(self._database.rows(query, *run))

    def find(self, run_id: str, *, flow_key: str | None = None) -> RunKey | None:
        """Return the run with this id, of ``flow_key`` or else the one that was active last.

        Also finds a run that has no row yet.
        """
        rows = self._database.rows(
            "SELECT flow_key, run_id, active_at FROM runs WHERE run_id = ? UNION ALL "
            "SELECT flow_key, run_id, (SELECT max(timestamp) FROM events WHERE events.flow_key = dirty.flow_key "
            "AND events.run_id = dirty.run_id) AS active_at FROM dirty WHERE run_id = ? "
            "ORDER BY active_at DESC, flow_key",
            run_id,
            run_id,
        )
        return next((RunKey(flow, run) for flow, run, _ in rows if flow_key in (None, flow)), None)

    # Projection

    def dirty(self, limit: int, *, newest: bool = True) -> list[DirtyRun]:
        """Return up to ``limit`` runs with events that their rows do not show, the newest or the oldest mark first."""
        order = "DESC" if newest else "ASC"
        rows = self._database.rows(f"SELECT flow_key, run_id, mark FROM dirty ORDER BY mark {order} LIMIT ?", limit)  # noqa: S608
        return [DirtyRun(RunKey(flow_key, run_id), mark) for flow_key, run_id, mark in rows]

    def save_summaries(self, summaries: Sequence[tuple[DirtyRun, RunSummary | None]]) -> int:
        """Store the summaries of runs that are still dirty, each with the next revision; return the last revision.

        ``mark`` is that of :meth:`dirty` before the events were read: a run with a higher one by now stays dirty,
        and a row of newer events stays. A run without a summary stays as it is.
        """
        with self._database.transaction() as connection:
            (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
            values: list[tuple[object, ...]] = []
            saved: list[RunSummary] = []
            for (run, mark), summary in summaries:
                # A run that was deleted meanwhile is not dirty, and must not come back.
                dirty = connection.execute(_DIRTY, run).fetchone()
                if summary is not None and dirty is not None:
                    received_at, known_mark = dirty
                    revision += 1
                    # A sender whose clock is ahead would stand on top of the list until that time has come.
                    known = replace(summary, active_at=min(summary.active_at, received_at))
                    values.append(_row_values(known, revision, mark, received_at))
                    if known_mark is None or mark > known_mark:
                        saved.append(known)
            connection.executemany(_SAVE, values)
            save_errors(connection, saved)
            if self.logs.maps_runs:
                traces = ((RunKey(its.flow_key, its.run_id), (one.trace_id for one in its.attempts)) for its in saved)
                self.logs.note_traces(connection, traces)
            connection.executemany(
                "DELETE FROM dirty WHERE flow_key = ? AND run_id = ? AND mark <= ?",
                [(*run, mark) for (run, mark), _ in summaries],
            )
            connection.execute("UPDATE meta SET revision = ?", (revision,))
        return int(revision)

    def bump_revisions(self, runs: Iterable[RunKey]) -> int:
        """Give unchanged runs new revisions, and return the last one."""
        with self._database.transaction() as connection:
            (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
            for number, run in enumerate(runs, revision + 1):
                connection.execute("UPDATE runs SET revision = ? WHERE flow_key = ? AND run_id = ?", (number, *run))
                revision = number
            connection.execute("UPDATE meta SET revision = ?", (revision,))
        self.work_available.set()
        return int(revision)

    # Deletion

    def size(self) -> int:
        """Return the bytes of the file that are in use."""
        pages = self._database.number(
            "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        )
        return pages * self._database.number("PRAGMA page_size")

    def size_of_runs(self) -> int:
        """Return the bytes of the file that are in use for anything but logs, which have a bound of their own."""
        return self.size() - self.logs.size()

    def pruned(self) -> Pruned:
        """Return what :meth:`delete_oldest` has deleted since the file was made."""
        return Pruned(*self._database.rows("SELECT pruned_runs, pruned_before FROM meta")[0])

    def delete_oldest(self, before: int | None = None) -> Deletion:
        """Delete, in one small transaction, some of the runs that received nothing since a time, the oldest first.

        The time of receipt counts, so that nothing is deleted that has just been accepted. Without a time any run may
        be deleted, but for pinned ones. Call it until ``more`` is false, with pauses for other writers.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT flow_key, run_id, active_at FROM runs INDEXED BY runs_by_age WHERE heard_at < ? "
                "AND (flow_key, run_id) NOT IN pins ORDER BY heard_at LIMIT ?",
                (_END_OF_TIME if before is None else before, DELETED_RUNS + 1),
            ).fetchall()
            gone = delete_some(connection, [RunKey(*row[:2]) for row in rows[:DELETED_RUNS]])
            if gone:
                connection.execute(
                    "UPDATE meta SET pruned_runs = pruned_runs + ?, pruned_before = max(coalesce(pruned_before, 0), ?)",
                    (gone, max(row[2] for row in rows[:gone])),
                )
        return Deletion(gone, more=gone < len(rows))

    def delete_run(self, run: RunKey) -> int:
        """Delete a run, also a pinned one; return 1 if it was there."""
        return delete_where(self._database, "flow_key = ? AND run_id = ?", *run)

    def delete_flow(self, flow_key: str) -> int:
        """Delete every run of a flow, in small transactions, and return their number."""
        return delete_where(self._database, "flow_key = ?", flow_key)

    def delete_all(self) -> int:
        """Delete every run, in small transactions, and return their number."""
        return delete_where(self._database, "1")

    def deletions(self) -> int:
        """Return how many runs were deleted since the file was made, for whatever reason."""
        return self._database.number("SELECT deletions FROM meta")

    def shrink(self) -> bool:
        """Return free pages to the file system if there are many; return whether any were returned."""
        free = self._database.number("PRAGMA freelist_count")
        if free * _FREE_SHARE < self._database.number("PRAGMA page_count"):
            return False
        self._database.shrink(_SHRUNK_PAGES)
        return self._database.number("PRAGMA freelist_count") < free


def _event_values(received: ReceivedEvent, received_at: int) -> tuple[str | int, ...]:
    event, payload = received
    names = event.id, event.flow_key, event.run_id, event.step_key, event.span_id, event.status
    return *names, parse_rfc3339(event.timestamp), received_at, payload


def _row_values(summary: RunSummary, revision: int, mark: int, last_received_at: int) -> tuple[object, ...]:
    overview = (getattr(summary, name) for name in RunOverview.__struct_fields__)
    return (*overview, revision, mark, last_received_at, summary.pairs, summary.search, _encode(summary.attempts))
