"""The runs that came as files, each stored as a whole or not at all."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, cast

import msgspec

from failpath_otel.local.runs.event import Event
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import Liveness
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.logs import LogStore, NewLog
from failpath_otel.local.store.run_row import RunKey

_IDS: Final = 400
"""The most ids that one query names."""


class RunConflictError(Exception):
    """A run cannot be stored beside what is here; the text is one line that says why."""


class FiledEvent(NamedTuple):
    """An event of a file: its JSON text, and when it was received where the file was made."""

    event: Event
    payload: str
    received_at: int


class FiledRun(NamedTuple):
    """A run of a file, with what its receiver knew: ``attempts`` are the liveness of running ones, by step and span.

    ``as_of`` is when its newest event was received; ``logs_left_out`` is how many logs there were beside these.
    """

    key: RunKey
    events: Sequence[FiledEvent]
    as_of: int
    liveness: Liveness | None
    attempts: Mapping[tuple[str, str], Liveness]
    logs: Sequence[NewLog] = ()
    logs_left_out: int = 0


class ImportedRun(NamedTuple):
    """What is known of a run that came as a file. ``mixed``: events of a sender were received since."""

    imported_at: int
    as_of: int
    liveness: Liveness | None
    attempts: Mapping[tuple[str, str], Liveness]
    mixed: bool


_Attempts = list[tuple[str, str, Liveness]]
_decode: Final = msgspec.json.Decoder(_Attempts).decode


class Imports:
    """The imported runs of a store. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, database: Database, logs: LogStore) -> None:
        self._database: Final = database
        self._logs: Final = logs

    def get(self, run: RunKey) -> ImportedRun | None:
        """Return what is known of an imported run; ``None`` for any other."""
        rows = self._database.rows(
            "SELECT imported_at, as_of, liveness, attempts, mixed FROM imports WHERE flow_key = ? AND run_id = ?", *run
        )
        if not rows:
            return None
        imported_at, as_of, liveness, attempts, mixed = rows[0]
        by_attempt: dict[tuple[str, str], Liveness] = {
            (step_key, span_id): its for step_key, span_id, its in _decode(attempts)
        }
        return ImportedRun(imported_at, as_of, cast("Liveness | None", liveness or None), by_attempt, bool(mixed))

    def add(self, run: FiledRun, now: int) -> bool:
        """Store a run of a file; return ``False`` if exactly that is here already.

        Raises :class:`RunConflictError` if the run is here with other events, or another run has one of its events.
        """
        ids = {filed.event.id for filed in run.events}
        with self._database.errors():
            values = [_values(run.key, filed) for filed in run.events]
        with self._database.transaction() as connection:
            query = "SELECT id FROM events WHERE flow_key = ? AND run_id = ?"
            here = {found for (found,) in connection.execute(query, run.key)}
            if here == ids:
                return False
            if here:
                raise RunConflictError(
                    f"a run {run.key.run_id!r} of {run.key.flow_key!r} is here already, with other events; delete it"
                    " first"
                )
            for some in _chunks(sorted(ids)):
                query = f"SELECT flow_key, run_id FROM events WHERE id IN ({', '.join('?' * len(some))}) LIMIT 1"  # noqa: S608
                for flow_key, run_id in connection.execute(query, some):
                    raise RunConflictError(f"an event of the file belongs to the run {run_id!r} of {flow_key!r}")
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            connection.execute("UPDATE meta SET mark = mark + 1")
            connection.execute("INSERT INTO dirty SELECT ?, ?, mark, ? FROM meta", (*run.key, now))
            attempts: _Attempts = [(*attempt, its) for attempt, its in run.attempts.items()]
            connection.execute(
                "INSERT INTO imports VALUES (?, ?, ?, ?, ?, ?, 0)",
                (*run.key, now, run.as_of, run.liveness or "", msgspec.json.encode(attempts)),
            )
            self._logs.add_of_file(connection, run.key, run.logs, run.logs_left_out, now)
        return True


def _chunks(ids: Sequence[str]) -> Collection[Sequence[str]]:
    return [ids[start : start + _IDS] for start in range(0, len(ids), _IDS)]


def _values(run: RunKey, filed: FiledEvent) -> tuple[str | int, ...]:
    event, payload, received_at = filed
    at = parse_rfc3339(event.timestamp)
    return event.id, *run, event.step_key, event.span_id, event.status, at, received_at, payload
