"""The comparison of a run with another one of its flow, for the page."""

from typing import Final, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.page.answers import Row, row_of
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.flows.comparison import (
    Changed,
    ComparedRun,
    ComparedStep,
    Comparison,
    compare,
    usual_durations,
)
from failpath_otel.local.flows.grid import column, lines
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.store.run_row import RunKey, RunRow, StoredRun

Problem = Literal["same", "unknown", "none"]

_NOTHING: Final = Comparison([], [])


class ComparePage(msgspec.Struct, frozen=True, rename="camel"):
    """A run, ``own``, compared with an ``other`` one of its flow.

    Where there is no other one, ``problem`` says why: it is the ``same`` run, it is ``unknown``, or none was asked for
    and ``none`` before it was good. ``last_good``, ``previous`` and ``next`` are ids of runs to choose: the newest good
    one before it, and those that began just before and after it. ``metadata`` differs alike in every step.
    """

    revision: int
    now: str
    own: Row
    other: Row | None
    problem: Problem | None
    last_good: str | None
    previous: str | None
    next: str | None
    steps: list[ComparedStep]
    metadata: list[Changed]


class CompareRoutes:
    """The route of comparisons."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """The route."""
        return [route("compare/{run_id:anything}", self.compare)]

    def compare(self, request: Request) -> ComparePage:
        """Return the comparison of a run with the one in the query, or with the last good one before it."""
        revision, now = heading(self._receiver)
        store, query = self._receiver.store, request.query_params
        key = store.find(request.path_params["run_id"], flow_key=query.get("flow") or None)
        own = None if key is None else self._stored(key)
        if key is None or own is None:
            raise HTTPException(404, "no such run")
        good = store.runs.last_good(key)
        before, after = store.runs.neighbours(key)
        asked = query.get("with") or None
        with_key = good if asked is None else RunKey(key.flow_key, asked)
        problem: Problem | None = None
        other: StoredRun | None = None
        if with_key is None:
            problem = "none"
        elif with_key == key:
            problem = "same"
        elif (other := self._stored(with_key)) is None:
            problem = "unknown"
        found = _NOTHING if other is None else self._compare(own, other)
        return ComparePage(
            revision=revision,
            now=now,
            own=self._row(own.row),
            other=None if other is None else self._row(other.row),
            problem=problem,
            last_good=None if good is None else good.run_id,
            previous=None if before is None else before.run_id,
            next=None if after is None else after.run_id,
            steps=found.steps,
            metadata=found.metadata,
        )

    def _compare(self, own: StoredRun, other: StoredRun) -> Comparison:
        details = self._receiver.flows.details(own.row.flow_key)
        declared = () if details.declared is None else details.declared.nodes
        both = self._compared(own), self._compared(other)
        oldest_first = sorted((run.column for run in both), key=lambda each: each.row.started)
        usual = usual_durations(details.runs, min(own.row.started, other.row.started))
        return compare(*both, lines(oldest_first, details), usual, {node.step_key: node.label for node in declared})

    def _compared(self, run: StoredRun) -> ComparedRun:
        return ComparedRun(column(*run), self._receiver.store.metadata(run.row.key))

    def _stored(self, key: RunKey) -> StoredRun | None:
        return next(iter(self._receiver.store.runs.stored([key])), None)

    def _row(self, row: RunRow) -> Row:
        return row_of(row, self._receiver.monitor.liveness(row.key) if row.status == "running" else None)
