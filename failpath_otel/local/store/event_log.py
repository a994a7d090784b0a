"""The events of one run in parts: how many there are, a page of them, those of one step."""

from typing import Final, NamedTuple

import msgspec

from failpath_otel.local.runs.view import STATUS_RANK
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.records.record import Record

_RANK: Final = " ".join(f"WHEN '{status}' THEN {rank}" for status, rank in STATUS_RANK.items())
_CANONICAL_ORDER: Final = f"ORDER BY timestamp, CASE status {_RANK} END, id"
"""As :func:`~failpath_otel.local.runs.view.in_order` has it."""


class StoredEvent(NamedTuple):
    """An event, and when it was received."""

    record: Record
    received_at: int


class EventLog:
    """Queries over the events of a run. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._decode = msgspec.json.Decoder(Record).decode

    def count(self, run: RunKey) -> int:
        """Return the number of events of a run."""
        return self._database.number("SELECT count(*) FROM events WHERE flow_key = ? AND run_id = ?", *run)

    def page(self, run: RunKey, offset: int, limit: int) -> list[StoredEvent]:
        """Return up to ``limit`` events of a run in order of time, without the first ``offset``."""
        # Sorted without their payloads, which would be most of what is moved.
        rows = self._database.rows(
            "WITH part (place) AS (SELECT rowid FROM events WHERE flow_key = ? AND run_id = ? "  # noqa: S608
            f"{_CANONICAL_ORDER} LIMIT ? OFFSET ?) "
            f"SELECT payload, received_at FROM part JOIN events ON events.rowid = place {_CANONICAL_ORDER}",
            *run,
            limit,
            offset,
        )
        return [StoredEvent(self._decode(payload), received_at) for payload, received_at in rows]

    def of_step(self, run: RunKey, step_key: str) -> list[Record]:
        """Return the events of one step of a run, in no particular order."""
        query = "SELECT payload FROM events WHERE flow_key = ? AND run_id = ? AND step_key = ?"
        return [self._decode(payload) for (payload,) in self._database.rows(query, *run, step_key)]

    def clock_ahead_ms(self, run: RunKey) -> float:
        """Return by how much the time of an event was ahead of its receipt, at most, in milliseconds; 0 if none was."""
        query = "SELECT coalesce(max(timestamp - received_at), 0) FROM events WHERE flow_key = ? AND run_id = ?"
        return max(0, self._database.number(query, *run)) / 1000

    def is_projected(self, run: RunKey) -> bool:
        """Return whether the row of a run shows all of its events."""
        return not self._database.rows("SELECT 1 FROM dirty WHERE flow_key = ? AND run_id = ?", *run)
