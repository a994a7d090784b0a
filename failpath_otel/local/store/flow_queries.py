"""The SQL of figures of flows: narrow rows of many runs, all of them from one index."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from failpath_otel.local.runs.pairs import pairs_in
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange
from failpath_otel.records.record import Status

_CHUNK: Final = 10_000
"""Rows that are read at once, in about 10 ms, so that other readers do not wait for more."""

_NEWEST: Final = 2_000
"""The newest runs of a flow among which good ones are searched."""

_EVENTS: Final = 20
"""The most events of a run whose metadata is read."""


class EndedRun(NamedTuple):
    """A run that succeeded or failed; ``active_at`` is in microseconds since the epoch."""

    active_at: int
    failed: bool
    duration_ms: float | None


class ListedRun(NamedTuple):
    """What the list of flows shows of a run."""

    active_at: int
    run_id: str
    status: Status
    duration_ms: float | None
    failed_attempts: int
    retries: int


_LISTED: Final = ", ".join(ListedRun.__annotations__)


class FlowQueries:
    """Queries over the runs of flows. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, database: Database, chunk: int = _CHUNK) -> None:
        self._database: Final = database
        self._chunk: Final = chunk

    def count(self, flow_key: str, within: TimeRange = ALL_TIME) -> int:
        """Return the number of runs of a flow in a range of time."""
        conditions = " AND ".join(["flow_key = ?", *within.conditions])
        return self._database.number(
            f"SELECT count(*) FROM runs INDEXED BY runs_of_flow WHERE {conditions}",  # noqa: S608
            flow_key,
            *within.values,
        )

    def changed(self, after_revision: int, limit: int) -> list[tuple[str, int]]:
        """Return the flow and revision of up to ``limit`` runs that changed after a revision, in that order."""
        return self._database.rows(
            "SELECT flow_key, revision FROM runs INDEXED BY runs_by_revision WHERE revision > ? "
            "ORDER BY revision LIMIT ?",
            after_revision,
            limit,
        )

    def newest(self, flow_key: str, limit: int, within: TimeRange = ALL_TIME) -> list[ListedRun]:
        """Return up to ``limit`` runs of a flow in a range of time, the newest activity first."""
        conditions = " AND ".join(["flow_key = ?", *within.conditions])
        rows = self._database.rows(
            f"SELECT {_LISTED} FROM runs INDEXED BY runs_of_flow WHERE {conditions} "  # noqa: S608
            "ORDER BY active_at DESC, run_id LIMIT ?",
            flow_key,
            *within.values,
            limit,
        )
        return [ListedRun(*row) for row in rows]

    def ended(self, flow_key: str, within: TimeRange = ALL_TIME) -> list[EndedRun]:
        """Return all runs of a flow in a range of time that succeeded or failed, the oldest first."""
        runs = (run for chunk in self._chunks(flow_key, within) for run in chunk)
        return ended_of(reversed(list(runs)))

    def by_flow(self, within: TimeRange = ALL_TIME) -> Iterator[tuple[str, list[ListedRun]]]:
        """Yield every flow that has runs in a range of time, with all of these, the newest activity first."""
        conditions = "".join(f" AND {condition}" for condition in within.conditions)
        query = (
            f"SELECT flow_key, {_LISTED} FROM runs INDEXED BY runs_of_flow "  # noqa: S608
            f"WHERE flow_key > ?{conditions} ORDER BY flow_key, active_at DESC, run_id LIMIT ?"
        )
        last = ""
        while True:
            rows = self._database.rows(query, last, *within.values, self._chunk)
            flows = [(key, [ListedRun(*row[1:]) for row in own]) for key, own in groupby(rows, itemgetter(0))]
            if len(rows) == self._chunk:
                # The last flow may have more, and one that fills a chunk is read by itself.
                cut, _ = flows.pop()
                if not flows:
                    flows = [(cut, [run for chunk in self._chunks(cut, within) for run in chunk])]
            yield from flows
            if len(rows) < self._chunk:
                return
            last = flows[-1][0]

    def good_pairs(self, flow_key: str, limit: int) -> list[tuple[str, list[str]]]:
        """Return the id and the pairs of metadata of up to ``limit`` successful runs among the newest of a flow."""
        rows = self._database.rows(
            "SELECT runs.run_id, pairs FROM (SELECT run_id AS r, status AS s FROM runs INDEXED BY runs_of_flow "
            "WHERE flow_key = ? ORDER BY active_at DESC LIMIT ?) "
            "CROSS JOIN runs ON flow_key = ? AND run_id = r WHERE s = 'success' LIMIT ?",
            flow_key,
            _NEWEST,
            flow_key,
            limit,
        )
        return [(run_id, pairs_in(text)) for run_id, text in rows]

    def metadata(self, runs: Iterable[RunKey]) -> Iterator[dict[str, Any]]:
        """Yield the metadata of each run: that of its first events together."""
        for run in runs:
            rows = self._database.rows(
                "SELECT json_extract(payload, '$.metadata') FROM events WHERE flow_key = ? AND run_id = ? "
                "ORDER BY rowid LIMIT ?",
                *run,
                _EVENTS,
            )
            found: dict[str, Any] = {}
            for (text,) in rows:
                value = msgspec.json.decode(text) if isinstance(text, str) else None
                if isinstance(value, dict):
                    found.update(value)
            yield found

    def _chunks(self, flow_key: str, within: TimeRange) -> Iterator[list[ListedRun]]:
        """Yield the runs of a flow, the newest activity first, some at a time."""
        query = (
            f"SELECT {_LISTED} FROM runs INDEXED BY runs_of_flow "  # noqa: S608
            f"WHERE {' AND '.join(['flow_key = ?', *within.conditions])} AND active_at <= ? "
            "AND (active_at < ? OR run_id > ?) ORDER BY active_at DESC, run_id LIMIT ?"
        )
        at, run_id = (1 << 62), ""
        while True:
            rows = self._database.rows(query, flow_key, *within.values, at, at, run_id, self._chunk)
            chunk = [ListedRun(*row) for row in rows]
            yield chunk
            if len(chunk) < self._chunk:
                return
            at, run_id = chunk[-1].active_at, chunk[-1].run_id


def ended_of(runs: Iterable[ListedRun]) -> list[EndedRun]:
    """Return those runs that succeeded or failed, in the same order."""
    return [
        EndedRun(active_at, status == "error", duration_ms)
        for active_at, _, status, duration_ms, _, _ in runs
        if status in {"success", "error"}
    ]
