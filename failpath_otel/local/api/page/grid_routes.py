"""The grid of a flow for the page: its newest runs and their steps, compactly."""

from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from failpath_otel.local.api.cursor import cursor_in, cursor_text
from failpath_otel.local.api.page.answers import row_of
from failpath_otel.local.api.page.route import heading, route
from failpath_otel.local.api.parameters import limit_in, range_in
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.grid import Column, FailingSince, Line, column, failing_since, lines
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.receiver import Receiver
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.run_row import RunRow
from failpath_otel.records.record import Status

_RUNS: Final = 60
_MAX_RUNS: Final = 200

MAX_CELLS: Final = 100_000
"""The most attempts of an answer: it has as many runs as have them together, and the newest one always."""

_LETTERS: Final[dict[Status | Liveness, str]] = {
    "success": "s",
    "error": "e",
    "skipped": "k",
    "running": "r",
    "live": "r",
    "silent": "i",
    "gone": "g",
}
_ABSENT: Final = "."


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Camel case, as in the wire contract."""


class GridRun(_Answer, frozen=True):
    """A run, as a column.

    ``cells`` has a letter for each step of the grid in order: ``s`` for success, ``e`` error, ``k`` skipped,
    ``r`` running, ``i`` silent, ``g`` gone, or a dot where the run did not have the step. ``durations`` has the
    milliseconds of those that are no dots, in the same order.
    """

    run_id: str
    status: Status
    liveness: Liveness | None
    started_at: str
    duration_ms: float | None
    cells: str
    durations: list[float | None]


class StepFailing(_Answer, frozen=True):
    """Since when a step fails, and the first run in which it did.

    Since then ``failed`` of ``ended`` runs, ``failed_before`` of ``ended_before`` earlier ones: where there are none of
    those, it may have begun earlier.
    """

    since: str
    run_id: str
    failed: int
    ended: int
    failed_before: int
    ended_before: int


class GridStep(_Answer, frozen=True):
    """A step, as a line; ``depth`` says in how many others it runs, the innermost of which stands above it."""

    step_key: str
    label: str
    depth: int
    failing: StepFailing | None


class Grid(_Answer, frozen=True):
    """The runs of a flow, the one that began first first, and its steps in the order of its graph.

    An entry of ``errors`` names a run and a step by their places, and a text by its place in ``texts``; one of
    ``repeated`` has instead how often that step was tried and failed. ``next`` continues with older runs.
    """

    revision: int
    now: str
    runs: list[GridRun]
    steps: list[GridStep]
    texts: list[str]
    errors: list[tuple[int, int, int]]
    repeated: list[tuple[int, int, int, int]]
    next: str | None


class GridRoutes:
    """The route of the grid."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def routes(self) -> list[Route]:
        """The route."""
        return [route("grid/{flow_key:anything}", self.grid)]

    def grid(self, request: Request) -> Grid:
        """Return the newest runs of a flow in a range of time, with their steps."""
        query = request.query_params
        limit = min(limit_in(query.get("limit"), _RUNS), _MAX_RUNS)
        within, before = range_in(query), cursor_in(query.get("before"))
        revision, now = heading(self._receiver)
        flow_key: str = request.path_params["flow_key"]
        details = self._receiver.flows.details(flow_key)
        if not details.runs and details.declared is None:
            raise HTTPException(404, "no such flow")
        rows = self._receiver.store.runs.rows(limit + 1, flow_key=flow_key, within=within, before=before)
        shown = _affordable(rows[:limit])
        columns = self._columns(shown, details)
        known = columns
        if before is None and within.until is None:
            read = {each.row.run_id for each in columns}
            known = _in_order(
                [*columns, *(column(run.row, run.attempts) for run in details.runs if run.row.run_id not in read)]
            )
        labels = {} if details.declared is None else {node.step_key: node.label for node in details.declared.nodes}
        steps, since = lines(columns, details), failing_since(known)
        texts: dict[str, int] = {}
        errors, repeated = _exceptions(columns, steps, texts)
        return Grid(
            revision=revision,
            now=now,
            runs=[self._run(each, steps) for each in columns],
            steps=[_step(line, labels.get(line.step_key, line.step_key), since.get(line.step_key)) for line in steps],
            texts=list(texts),
            errors=errors,
            repeated=repeated,
            next=cursor_text(shown[-1].place) if shown and len(shown) < len(rows) else None,
        )

    def _columns(self, rows: Sequence[RunRow], details: FlowDetails) -> list[Column]:
        """Return the columns of these runs, the one that began first first; deleted ones are missing."""
        known = {(run.row.run_id, run.row.revision): run.attempts for run in details.runs}
        unknown = [row.key for row in rows if (row.run_id, row.revision) not in known]
        read = {stored.row.run_id: stored for stored in self._receiver.store.runs.stored(unknown)}
        found: list[Column] = []
        for row in rows:
            attempts = known.get((row.run_id, row.revision))
            if attempts is not None:
                found.append(column(row, attempts))
            elif row.run_id in read:
                found.append(column(*read[row.run_id]))
        return _in_order(found)

    def _run(self, each: Column, steps: Sequence[Line]) -> GridRun:
        row, cells, durations = each.row, [], []
        liveness = self._liveness(each) if row.status == "running" else {}
        for line in steps:
            attempt = each.newest.get(line.step_key)
            if attempt is None:
                cells.append(_ABSENT)
                continue
            cells.append(_LETTERS[liveness.get(line.step_key) or attempt.status])
            durations.append(None if attempt.duration_ms is None else round(attempt.duration_ms, 1))
        shown = row_of(row, self._receiver.monitor.liveness(row.key) if row.status == "running" else None)
        return GridRun(
            row.run_id, row.status, shown.liveness, shown.started, row.duration_ms, "".join(cells), durations
        )

    def _liveness(self, each: Column) -> dict[str, Liveness | None]:
        running = [attempt for attempt in each.newest.values() if attempt.status == "running"]
        assessed = self._receiver.assess(each.row.key, running).attempts
        return {attempt.step_key: its for attempt, its in zip(running, assessed, strict=True)}


def _affordable(rows: Sequence[RunRow]) -> Sequence[RunRow]:
    room = MAX_CELLS
    for place, row in enumerate(rows):
        room -= row.steps + row.retries
        if room < 0 and place:
            return rows[:place]
    return rows


def _in_order(columns: Sequence[Column]) -> list[Column]:
    return sorted(columns, key=lambda each: (each.row.started, each.row.run_id))


def _step(line: Line, label: str, since: FailingSince | None) -> GridStep:
    its = None
    if since is not None:
        _, *counts = since.failing
        its = StepFailing(to_rfc3339(since.since), since.run_id, *counts)
    return GridStep(line.step_key, label, line.depth, its)


def _exceptions(
    columns: Sequence[Column], steps: Sequence[Line], texts: dict[str, int]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int, int]]]:
    """Return what only some cells have: errors, whose texts are added to ``texts``, and repeated attempts."""
    places = {line.step_key: place for place, line in enumerate(steps)}
    errors: list[tuple[int, int, int]] = []
    repeated: list[tuple[int, int, int, int]] = []
    for run, each in enumerate(columns):
        for step_key, attempt in each.newest.items():
            if attempt.error_name is not None:
                text = texts.setdefault(_text(attempt), len(texts))
                errors.append((run, places[step_key], text))
        repeated += [(run, places[step_key], *counts) for step_key, counts in each.repeated.items()]
    return errors, repeated


def _text(attempt: AttemptSummary) -> str:
    return f"{attempt.error_name}: {attempt.error_message}" if attempt.error_message else attempt.error_name or ""
