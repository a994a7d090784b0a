"""The SQL of the list of runs: filters, neighbours and changes, answered without reading events."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from failpath_otel.local.runs.pairs import needle
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.run_row import COLUMNS, RunKey, RunRow, StoredRun
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange

_KEYS: Final = 400
"""The most runs that one query names; SQLite before 3.32 accepts 999 values."""

_ORDER: Final = "ORDER BY active_at DESC, flow_key, run_id LIMIT ?"


_RARE: Final = 5_000
"""The most runs with an error that other filters are applied to one by one."""

_HAS_ERROR: Final = (
    "EXISTS (SELECT 1 FROM errors WHERE errors.flow_key = runs.flow_key AND errors.run_id = runs.run_id "
    "AND fingerprint = ?)"
)

_decode_attempts: Final = msgspec.json.Decoder(list[AttemptSummary]).decode


class RunQueries:
    """Queries over the rows. Thread-safe. Raises ``StoreError`` if the database refuses."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def rows(
        self,
        limit: int,
        *,
        before: tuple[int, str, str] | None = None,
        flow_key: str | None = None,
        statuses: Collection[str] | None = None,
        text: str | None = None,
        only: Collection[RunKey] | None = None,
        within: TimeRange = ALL_TIME,
        error: str | None = None,
        meta: Collection[str] = (),
    ) -> list[RunRow]:
        """Return up to ``limit`` rows that pass all given filters, the newest activity first.

        ``before`` is the activity, flow and run id of the row after which to go on. ``text`` is searched in
        :attr:`RunSummary.search`, in any case. ``only`` restricts the search to these runs, ``within`` the newest
        activity to a range of time, ``error`` to runs with an error of this fingerprint, ``meta`` to runs whose
        :func:`~failpath_otel.local.runs.pairs.pairs_of` has all of these.
        """
        conditions: list[str] = []
        values: list[str | int] = []
        place = _places(before, within, flow_key)
        if statuses is not None:
            conditions.append(f"status IN ({', '.join('?' * len(statuses))})")
            values += statuses
        index = "runs_by_activity" if flow_key is None else "runs_of_flow"
        if text:
            index = "runs_by_text"
            conditions.append("instr(search, ?)")
            # As in `summary.py`, where a line break separates one text from the next.
            values.append(text.casefold().replace("\n", " ").encode(errors="replace").decode())
        for pair in meta:
            index = "runs_by_text"
            conditions.append("instr(pairs, ?)")
            values.append(needle(pair))
        if error is not None and only is None and (not conditions or self._is_rare(error, flow_key)):
            return self._with_error(error, place, conditions, values, limit)
        if error is not None:
            conditions.append(_HAS_ERROR)
            values.append(error)
        # SQLite looks at them in this order: first at what costs the least.
        conditions = [*place[0], *conditions]
        values = [*place[1], *values]
        if only is not None:
            return self._only(list(only), conditions, values, limit)
        query = f"SELECT {COLUMNS} FROM runs INDEXED BY {index} WHERE {_all(conditions)} {_ORDER}"  # noqa: S608
        return [RunRow(*row) for row in self._database.rows(query, *values, limit)]

    def _is_rare(self, error: str, flow_key: str | None) -> bool:
        query = (
            "SELECT count(*) FROM (SELECT 1 FROM errors INDEXED BY errors_of_kind "
            "WHERE fingerprint = ? AND flow_key = coalesce(?, flow_key) LIMIT ?)"
        )
        return self._database.number(query, error, flow_key, _RARE + 1) <= _RARE

    def _with_error(
        self,
        error: str,
        place: tuple[list[str], list[str | int]],
        conditions: list[str],
        values: list[str | int],
        limit: int,
    ) -> list[RunRow]:
        # The errors have an index in the order of the list; of the runs only those are read.
        found = (
            "SELECT flow_key AS f, run_id AS r, active_at AS a FROM errors INDEXED BY errors_of_kind "  # noqa: S608
            f"WHERE {_all(['fingerprint = ?', *place[0]])}"
        )
        query = (
            f"SELECT {COLUMNS} FROM ({found}) CROSS JOIN runs ON flow_key = f AND run_id = r "  # noqa: S608
            f"WHERE {_all(conditions)} ORDER BY a DESC, f, r LIMIT ?"
        )
        return [RunRow(*row) for row in self._database.rows(query, error, *place[1], *values, limit)]

    def _only(self, keys: Sequence[RunKey], conditions: list[str], values: list[str | int], limit: int) -> list[RunRow]:
        found: list[RunRow] = []
        for start in range(0, len(keys), _KEYS):
            some = keys[start : start + _KEYS]
            query = f"SELECT {COLUMNS} FROM {_named(some)} WHERE {_all(conditions)} {_ORDER}"  # noqa: S608
            flat = [part for key in some for part in key]
            found += [RunRow(*row) for row in self._database.rows(query, *flat, *values, limit)]
        return sorted(found, key=lambda row: (-row.active_at, row.flow_key, row.run_id))[:limit]

    def row(self, run: RunKey) -> RunRow | None:
        """Return the row of one run."""
        query = f"SELECT {COLUMNS} FROM runs WHERE flow_key = ? AND run_id = ?"  # noqa: S608
        rows = self._database.rows(query, *run)
        return RunRow(*rows[0]) if rows else None

    def changes(self, after_revision: int, limit: int) -> list[RunRow]:
        """Return up to ``limit`` rows that changed after a revision, each once, in the order of their changes."""
        query = f"SELECT {COLUMNS} FROM runs WHERE revision > ? ORDER BY revision LIMIT ?"  # noqa: S608
        return [RunRow(*row) for row in self._database.rows(query, after_revision, limit)]

    def stored(self, runs: Sequence[RunKey]) -> list[StoredRun]:
        """Return those of these runs that exist, with their attempts, in no particular order."""
        found: list[StoredRun] = []
        for start in range(0, len(runs), _KEYS):
            some = runs[start : start + _KEYS]
            flat = [part for key in some for part in key]
            found += self._stored(_named(some), *flat)
        return found

    def running(self, after_revision: int | None = None) -> list[StoredRun]:
        """Return all ``running`` runs with their attempts, or those that changed after a revision."""
        if after_revision is None:
            return self._stored(
                "runs INDEXED BY runs_running WHERE status = 'running' ORDER BY active_at DESC, flow_key, run_id"
            )
        return self._stored(
            "runs INDEXED BY runs_by_revision WHERE revision > ? AND status = 'running'", after_revision
        )

    def neighbours(self, run: RunKey) -> tuple[RunKey | None, RunKey | None]:
        """Return the runs of the same flow that started just before and just after this one."""
        found: list[RunKey | None] = []
        for compare, direction in (("<", "DESC"), (">", "ASC")):
            rows = self._database.rows(
                "SELECT flow_key, run_id FROM runs INDEXED BY runs_by_start WHERE flow_key = ? AND (started, run_id) "  # noqa: S608
                f"{compare} ((SELECT started FROM runs WHERE flow_key = ? AND run_id = ?), ?) "
                f"ORDER BY started {direction}, run_id {direction} LIMIT 1",
                run.flow_key,
                *run,
                run.run_id,
            )
            found.append(RunKey(*rows[0]) if rows else None)
        return found[0], found[1]

    def last_good(self, run: RunKey) -> RunKey | None:
        """Return the newest successful run of the same flow that started before this one."""
        # Enters the index that has the status, so that it reads no rows of those that failed.
        rows = self._database.rows(
            "SELECT flow_key, run_id FROM runs INDEXED BY runs_of_flow WHERE flow_key = ? AND status = 'success' "
            "AND active_at <= (SELECT active_at FROM runs WHERE flow_key = ? AND run_id = ?) "
            "AND started < (SELECT started FROM runs WHERE flow_key = ? AND run_id = ?) "
            "ORDER BY active_at DESC LIMIT 1",
            run.flow_key,
            *run,
            *run,
        )
        return RunKey(*rows[0]) if rows else None

    def flow_keys(self) -> list[str]:
        """Return the flows that have runs, in alphabetical order."""
        # Steps from one flow to the next; DISTINCT would visit every run.
        rows = self._database.rows(
            "WITH RECURSIVE flows (flow_key) AS (SELECT min(flow_key) FROM runs UNION ALL "
            "SELECT (SELECT min(runs.flow_key) FROM runs WHERE runs.flow_key > flows.flow_key) FROM flows "
            "WHERE flows.flow_key IS NOT NULL) SELECT flow_key FROM flows WHERE flow_key IS NOT NULL"
        )
        return [flow_key for (flow_key,) in rows]

    def count(self, flow_key: str | None = None) -> int:
        """Return the number of runs, of a flow or of all."""
        if flow_key is None:
            return self._database.number("SELECT count(*) FROM runs")
        return self._database.number("SELECT count(*) FROM runs WHERE flow_key = ?", flow_key)

    def revision(self) -> int:
        """Return the highest revision so far; it never decreases, also not when the file is opened again."""
        return self._database.number("SELECT revision FROM meta")

    def store_id(self) -> str:
        """Return the random name that the file was given when it was made."""
        return str(self._database.rows("SELECT store_id FROM meta")[0][0])

    def _stored(self, source: str, *values: str | int) -> list[StoredRun]:
        rows = self._database.rows(f"SELECT {COLUMNS}, attempts FROM {source}", *values)  # noqa: S608
        return [StoredRun(RunRow(*row), _decode_attempts(attempts)) for *row, attempts in rows]


def _places(
    before: tuple[int, str, str] | None, within: TimeRange, flow_key: str | None
) -> tuple[list[str], list[str | int]]:
    """Return the conditions of the places in a list behind one, in a range and of a flow, and their values."""
    conditions, values = list(within.conditions), list[str | int](within.values)
    if flow_key is not None:
        conditions.append("flow_key = ?")
        values.append(flow_key)
    if before is not None:
        # Both conditions, because SQLite enters an index by the first alone.
        conditions.append("active_at <= ? AND (active_at < ? OR (flow_key, run_id) > (?, ?))")
        values += [before[0], before[0], *before[1:]]
    return conditions, values


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "1"


def _named(runs: Sequence[RunKey]) -> str:
    # For `(flow_key, run_id) IN (VALUES …)` SQLite would visit every run; `CROSS` keeps it from doing so here.
    values = ", ".join(["(?, ?)"] * len(runs))
    return f"(VALUES {values}) CROSS JOIN runs ON flow_key = column1 AND run_id = column2"
