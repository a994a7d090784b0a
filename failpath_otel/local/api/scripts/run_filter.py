"""Which runs a client asks for: the filters of ``/api/runs`` and ``/api/changes``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from starlette.datastructures import QueryParams

from failpath_otel import semconv
from failpath_otel.local.api.parameters import STATUSES, meta_in, one_of, time_in
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.runs.pairs import pairs_of
from failpath_otel.local.runs.view import RunView
from failpath_otel.local.store.run_row import RunKey, RunRow

DERIVED: Final[tuple[Liveness, ...]] = ("silent", "gone")
"""What is shown in place of ``running``, which does not follow from records."""


@dataclass(frozen=True)
class RunFilter:
    """The runs that pass all filters that are given.

    ``statuses`` may name ``silent`` and ``gone`` as well; ``running`` includes both. ``since`` is the earliest activity
    in microseconds since the epoch. ``meta`` are pairs ``name=value`` of the metadata of its steps, all of them.
    """

    flow_key: str | None = None
    run_id: str | None = None
    statuses: frozenset[str] = frozenset()
    since: int | None = None
    meta: tuple[str, ...] = ()

    @property
    def stored_statuses(self) -> list[str] | None:
        """The statuses of the rows among which the runs are; ``None`` for all."""
        found = {semconv.STATUS_RUNNING if status in DERIVED else status for status in self.statuses}
        return sorted(found) or None

    @property
    def reads_liveness(self) -> bool:
        """Whether rows that are ``running`` pass by their liveness alone."""
        return semconv.STATUS_RUNNING not in self.statuses and not self.statuses.isdisjoint(DERIVED)

    def takes_row(self, row: RunRow, current: Mapping[RunKey, Liveness] | None = None) -> bool:
        """Return whether the run of a row may pass; ``current`` is the liveness of running runs, where it is known."""
        if self.flow_key not in (None, row.flow_key) or self.run_id not in (None, row.run_id):
            return False
        if self.since is not None and row.active_at < self.since:
            return False
        if not self.statuses or row.status in self.statuses:
            return True
        if row.status != semconv.STATUS_RUNNING or not self.reads_liveness:
            return False
        return current is None or current.get(row.key) in self.statuses

    def takes(self, run: RunView) -> bool:
        """Return whether a run passes by its status and its metadata."""
        if self.meta and not {*self.meta} <= {*pairs_of(run.steps)}:
            return False
        return not self.statuses or run.status in self.statuses or run.liveness in self.statuses


def filter_in(query: QueryParams) -> RunFilter:
    """Return the filters of a query. Raise ``HTTPException`` (400)."""
    known = (*STATUSES, *DERIVED)
    statuses = frozenset(cast("str", one_of(word, known)) for word in query.getlist("status"))
    return RunFilter(query.get("flow"), query.get("run"), statuses, time_in(query.get("since")), meta_in(query))
