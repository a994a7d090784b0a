"""The SQL of errors: how often each kind happened, when, and in which runs; answered by indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from failpath_otel.local.runs.pairs import pairs_in
from failpath_otel.local.store.database import Database
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange

NEWEST_FAILURES: Final = 2_000
"""The number of newest errors from which those of all flows are counted."""


MOST_OF_FLOW: Final = 20_000
"""The most errors of a flow that are counted, those of its newest runs."""


class ErrorCount(NamedTuple):
    """How often an error ended its step (``failed``) or was made good by another attempt (``recovered``), in runs."""

    fingerprint: str
    failed: int
    recovered: int


class ErrorKind(NamedTuple):
    """What errors of one fingerprint have in common, and the message of the newest of them."""

    fingerprint: str
    flow_key: str
    step_key: str
    name: str
    message: str
    run_id: str
    """The run of the newest of them."""


class ErrorTimes(NamedTuple):
    """In how many of all stored runs there is an error, since when, and until when."""

    total: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True)
class ErrorQueries:
    """Queries over the errors of steps. Thread-safe. Raises ``StoreError`` if the database refuses."""

    database: Database

    def of_flow(self, flow_key: str, window: int, within: TimeRange = ALL_TIME) -> tuple[int, list[ErrorCount]]:
        """Return how many of the newest runs of a flow have ended, and their errors, the most frequent first.

        The newest ``window`` runs of the range count. Those that a retry made good come after those that were not.
        """
        runs = " AND ".join(["flow_key = ?", *within.conditions])
        window_of_runs = (
            "WITH newest AS (SELECT run_id, status FROM runs INDEXED BY runs_of_flow "  # noqa: S608
            f"WHERE {runs} ORDER BY active_at DESC, run_id LIMIT ?) "
        )
        values: list[str | int] = [flow_key, *within.values, window]
        ended = self.database.number(
            f"{window_of_runs} SELECT count(*) FROM newest WHERE status IN ('success', 'error')",  # noqa: S608
            *values,
        )
        rows = self.database.rows(
            f"{window_of_runs} SELECT fingerprint, sum(NOT recovered), sum(recovered) FROM (SELECT "  # noqa: S608
            "fingerprint, recovered, seen FROM newest CROSS JOIN errors ON errors.flow_key = ? "
            "AND errors.run_id = newest.run_id LIMIT ?) "
            "GROUP BY fingerprint ORDER BY 2 DESC, 3 DESC, max(seen) DESC, fingerprint",
            *values,
            flow_key,
            MOST_OF_FLOW,
        )
        return ended, [ErrorCount(*row) for row in rows]

    def of_all_flows(self, within: TimeRange = ALL_TIME) -> list[ErrorCount]:
        """Return the errors among the newest :data:`NEWEST_FAILURES` of all flows, in the same order."""
        rows = self.database.rows(
            "SELECT fingerprint, sum(NOT recovered), sum(recovered) FROM (SELECT fingerprint, recovered, active_at "  # noqa: S608
            f"FROM errors INDEXED BY errors_by_activity WHERE {' AND '.join(within.conditions) or '1'} "
            "ORDER BY active_at DESC LIMIT ?) "
            "GROUP BY fingerprint ORDER BY 2 DESC, 3 DESC, max(active_at) DESC, fingerprint",
            *within.values,
            NEWEST_FAILURES,
        )
        return [ErrorCount(*row) for row in rows]

    def kind(self, fingerprint: str) -> ErrorKind | None:
        """Return the kind of an error with its newest message; ``None`` if no stored run has it."""
        rows = self.database.rows(
            "SELECT fingerprint, flow_key, step_key, name, message, run_id FROM errors INDEXED BY errors_by_time "
            "WHERE fingerprint = ? ORDER BY seen DESC LIMIT 1",
            fingerprint,
        )
        return ErrorKind(*rows[0]) if rows else None

    def pairs(self, fingerprint: str, limit: int, within: TimeRange = ALL_TIME) -> dict[str, list[str]]:
        """Return the pairs of metadata of up to ``limit`` runs with an error, the newest activity first."""
        rows = self.database.rows(
            "SELECT runs.run_id, pairs FROM (SELECT flow_key AS f, run_id AS r FROM errors INDEXED BY errors_of_kind "  # noqa: S608
            f"WHERE {' AND '.join(['fingerprint = ?', *within.conditions])} ORDER BY active_at DESC LIMIT ?) "
            "CROSS JOIN runs ON flow_key = f AND run_id = r",
            fingerprint,
            *within.values,
            limit,
        )
        return {run_id: pairs_in(text) for run_id, text in rows}

    def first_of_run(self, flow_key: str, run_id: str) -> list[ErrorKind]:
        """Return the errors of a run that no other stored run had before."""
        rows = self.database.rows(
            "SELECT fingerprint, flow_key, step_key, name, message, run_id FROM errors "
            "WHERE flow_key = ? AND run_id = ? AND NOT EXISTS ("
            "SELECT 1 FROM errors AS others INDEXED BY errors_by_time "
            "WHERE others.fingerprint = errors.fingerprint AND others.seen <= errors.seen "
            "AND (others.flow_key, others.run_id) != (errors.flow_key, errors.run_id))",
            flow_key,
            run_id,
        )
        return [ErrorKind(*row) for row in rows]

    def times(self, fingerprint: str) -> ErrorTimes | None:
        """Return since when an error is stored; ``None`` if no stored run has it."""
        # One subquery each, because together they would read the time of every row.
        own = "FROM errors INDEXED BY errors_by_time WHERE fingerprint = ?"
        total, first, last = self.database.rows(
            f"SELECT (SELECT count(*) {own}), (SELECT min(seen) {own}), (SELECT max(seen) {own})",
            *[fingerprint] * 3,
        )[0]
        return ErrorTimes(total, first, last) if total else None

    def counts(self, fingerprint: str, edges: Sequence[int]) -> list[int]:
        """Return how often an error was seen from each of these times to the next one."""
        # An index range for each bucket: groups would be sorted.
        if len(edges) < 2:  # noqa: PLR2004
            return []
        rows = self.database.rows(
            f"WITH buckets (begin, until) AS (VALUES {', '.join(['(?, ?)'] * (len(edges) - 1))}) "  # noqa: S608
            "SELECT (SELECT count(*) FROM errors INDEXED BY errors_by_time "
            "WHERE fingerprint = ? AND seen >= begin AND seen < until) FROM buckets",
            *(edge for pair in pairwise(edges) for edge in pair),
            fingerprint,
        )
        return [count for (count,) in rows]

    def oldest_activity(self, flow_key: str) -> int | None:
        """Return the activity of that run of a flow which has been quiet for the longest time."""
        rows = self.database.rows(
            "SELECT active_at FROM runs INDEXED BY runs_of_flow WHERE flow_key = ? ORDER BY active_at LIMIT 1", flow_key
        )
        return rows[0][0] if rows else None
