"""The store: every event that the receiver accepted, once, and a row for each run, in one SQLite file."""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from failpath_otel.local.runs.event import Event, instant
from failpath_otel.local.runs.summary import RunOverview, RunSummary
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.run_queries import RunQueries
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.local.store.schema import prepare
from failpath_otel.records.record import Record

_PAGE: Final = 2_000
"""Events of one run that are read at a time, so that a huge run does not keep other readers waiting."""

_DELETED_RUNS: Final = 100
_DELETED_EVENTS: Final = 1_000
"""The most that one transaction deletes: it holds up a sender for some hundredths of a second."""

_SHRUNK_PAGES: Final = 256
_FREE_SHARE: Final = 8
"""One page in so many may be free: the next events will need it."""

_END_OF_TIME: Final = 1 << 62

_STORED: Final = (*RunRow.__struct_fields__, "mark", "heard_at", "search", "attempts")
_REPLACED: Final = ", ".join(f"{name} = excluded.{name}" for name in _STORED[2:] if name != "heard_at")
_SAVE: Final = (
    f"INSERT INTO runs ({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))}) "  # noqa: S608
    f"ON CONFLICT (flow_key, run_id) DO UPDATE SET {_REPLACED}, heard_at = max(runs.heard_at, excluded.heard_at) "
    "WHERE excluded.mark > runs.mark"
)


class Arrival(NamedTuple):
    """An event and the JSON text it came as, which is kept whole, with the fields that nobody here knows."""

    event: Event
    payload: str


class Dirty(NamedTuple):
    """A run with events that its row does not show, as of ``mark``."""

    run: RunKey
    mark: int


class Deletion(NamedTuple):
    """How many runs went, and whether there are more that should."""

    runs: int
    more: bool


class Pruned(NamedTuple):
    """How many runs were ever pruned, and when the newest of them was last active."""

    runs: int
    before: int | None


_encode: Final = msgspec.json.Encoder().encode


class Store(RunQueries):
    """One database, used by any number of threads.

    Opens the file at ``path``, and makes it (readable for its owner only) where there is none. Times are
    microseconds since the epoch. Every method raises :class:`StoreError` when the database refuses.

    Rows lag behind the events until a :class:`~failpath_otel.local.store.projector.Projector` has caught up;
    ``stirred`` is set whenever there is something for it to do or to tell.
    """

    def __init__(self, path: Path) -> None:
        self._decode = msgspec.json.Decoder(Record).decode
        self._database = Database(path, prepare)
        self.stirred = threading.Event()
        if self._database.rows("SELECT 1 FROM dirty LIMIT 1"):
            self.stirred.set()

    def close(self) -> None:
        """Ends what is being asked right now and closes the file. The store cannot be used afterwards.

        Takes 0.3 s at most: what another process holds up is left to SQLite, which loses nothing that was accepted.
        """
        self._database.close()

    # Events

    def add(self, arrivals: Iterable[Arrival], received_at: int) -> int:
        """Stores the events that are not there yet, all or none, and says how many those were."""
        with self._database.errors():
            values = [_event_values(arrival, received_at) for arrival in arrivals]
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
        if new > 0:
            self.stirred.set()
        return max(0, new)

    def events(self, run: RunKey) -> list[Record]:
        """Every event of a run, in no particular order; none for a run that is not there."""
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

    def received(self, run: RunKey) -> dict[str, int]:
        """When each event of a run was received, by the event's id."""
        query = "SELECT id, received_at FROM events WHERE flow_key = ? AND run_id = ?"
        return dict(self._database.rows(query, *run))

    def find(self, run_id: str, *, flow_key: str | None = None) -> RunKey | None:
        """The run with this id; where several flows have one, that of ``flow_key`` or the one that was active last.

        Finds a run that has no row yet as well.
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

    def revision(self) -> int:
        """The highest revision that was given; never goes back, also not when the file is opened again."""
        return self._database.number("SELECT revision FROM meta")

    def store_id(self) -> str:
        """A random name that the file was given when it was made."""
        return str(self._database.rows("SELECT store_id FROM meta")[0][0])

    def dirty(self, limit: int, *, newest: bool = True) -> list[Dirty]:
        """Up to ``limit`` runs that have events which their rows do not show, the newest or the oldest mark first."""
        order = "DESC" if newest else "ASC"
        rows = self._database.rows(f"SELECT flow_key, run_id, mark FROM dirty ORDER BY mark {order} LIMIT ?", limit)  # noqa: S608
        return [Dirty(RunKey(flow_key, run_id), mark) for flow_key, run_id, mark in rows]

    def put(self, summaries: Sequence[tuple[Dirty, RunSummary | None]]) -> int:
        """Stores what was worked out for runs that are still dirty, and gives each the next revision; returns the last.

        ``mark`` is what :meth:`dirty` said before the events were read: a run with a higher one by now stays dirty,
        and a row that was worked out from newer events stays. A run without a summary stays as it is.
        """
        with self._database.transaction() as connection:
            (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
            values: list[tuple[object, ...]] = []
            for (run, mark), summary in summaries:
                # A run that was deleted meanwhile is no longer dirty, and must not come back.
                dirty = connection.execute(
                    "SELECT received_at FROM dirty WHERE flow_key = ? AND run_id = ?", run
                ).fetchone()
                if summary is not None and dirty is not None:
                    revision += 1
                    values.append(_row_values(summary, revision, mark, max(summary.active_at, dirty[0])))
            connection.executemany(_SAVE, values)
            connection.executemany(
                "DELETE FROM dirty WHERE flow_key = ? AND run_id = ? AND mark <= ?",
                [(*run, mark) for (run, mark), _ in summaries],
            )
            connection.execute("UPDATE meta SET revision = ?", (revision,))
        return int(revision)

    def touch(self, runs: Iterable[RunKey]) -> int:
        """Gives runs new revisions without a change, and returns the last revision."""
        with self._database.transaction() as connection:
            (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
            for number, run in enumerate(runs, revision + 1):
                connection.execute("UPDATE runs SET revision = ? WHERE flow_key = ? AND run_id = ?", (number, *run))
                revision = number
            connection.execute("UPDATE meta SET revision = ?", (revision,))
        self.stirred.set()
        return int(revision)

    # Deletion

    def size(self) -> int:
        """Bytes of the file that hold something."""
        pages = self._database.number(
            "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        )
        return pages * self._database.number("PRAGMA page_size")

    def pruned(self) -> Pruned:
        """What :meth:`delete_oldest` has deleted since the file was made."""
        return Pruned(*self._database.rows("SELECT pruned_runs, pruned_before FROM meta")[0])

    def delete_oldest(self, before: int | None = None) -> Deletion:
        """Deletes, in one small transaction, some of the runs that were heard of last before a time, the oldest first.

        What comes late is heard of when it comes, so that nothing goes that has only just been accepted. Without a time
        any run may go. What is too large for one transaction needs several calls: ask until there is no ``more``, and
        let others in between.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT flow_key, run_id, active_at FROM runs INDEXED BY runs_by_age WHERE heard_at < ? "
                "ORDER BY heard_at LIMIT ?",
                (_END_OF_TIME if before is None else before, _DELETED_RUNS + 1),
            ).fetchall()
            gone = _delete(connection, [RunKey(*row[:2]) for row in rows[:_DELETED_RUNS]])
            if gone:
                connection.execute(
                    "UPDATE meta SET pruned_runs = pruned_runs + ?, pruned_before = max(coalesce(pruned_before, 0), ?)",
                    (gone, max(row[2] for row in rows[:gone])),
                )
        return Deletion(gone, more=gone < len(rows))

    def delete_flow(self, flow_key: str) -> int:
        """Deletes every run of a flow, in small transactions, and says how many those were."""
        deleted = 0
        while True:
            with self._database.transaction() as connection:
                rows = connection.execute(
                    "SELECT flow_key, run_id FROM runs WHERE flow_key = ? "
                    "UNION SELECT flow_key, run_id FROM dirty WHERE flow_key = ? LIMIT ?",
                    (flow_key, flow_key, _DELETED_RUNS),
                ).fetchall()
                deleted += _delete(connection, [RunKey(*row) for row in rows])
            if not rows:
                return deleted

    def shrink(self) -> bool:
        """Gives some of what deleted runs have left back to the file system, where it is much; says whether it did."""
        free = self._database.number("PRAGMA freelist_count")
        if free * _FREE_SHARE < self._database.number("PRAGMA page_count"):
            return False
        self._database.shrink(_SHRUNK_PAGES)
        return self._database.number("PRAGMA freelist_count") < free


def _delete(connection: sqlite3.Connection, runs: Sequence[RunKey]) -> int:
    """Deletes runs until enough is done for one transaction, and says how many are gone whole."""
    room = _DELETED_EVENTS
    for gone, run in enumerate(runs):
        room -= connection.execute(
            "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE flow_key = ? AND run_id = ? LIMIT ?)",
            (*run, room),
        ).rowcount
        if room <= 0:
            # The row goes with the last of its events, so that what was begun is always found again.
            return gone
        connection.execute("DELETE FROM runs WHERE flow_key = ? AND run_id = ?", run)
        connection.execute("DELETE FROM dirty WHERE flow_key = ? AND run_id = ?", run)
    return len(runs)


def _event_values(arrival: Arrival, received_at: int) -> tuple[str | int, ...]:
    event = arrival.event
    return (
        event.id,
        event.flow_key,
        event.run_id,
        event.step_key,
        event.span_id,
        event.status,
        instant(event.timestamp),
        received_at,
        arrival.payload,
    )


def _row_values(summary: RunSummary, revision: int, mark: int, heard_at: int) -> tuple[object, ...]:
    overview = (getattr(summary, name) for name in RunOverview.__struct_fields__)
    return (*overview, revision, mark, heard_at, summary.search, _encode(summary.attempts))
