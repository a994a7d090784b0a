"""The JSON of flows: rows, the list of them, and the page of one. Times are RFC 3339 in UTC."""

from collections.abc import Mapping, Sequence

from msgspec.structs import asdict

from failpath_otel.flows.drift import Drift
from failpath_otel.local.api.page.answers import Answer, Graph, Row, liveness_in, optional_rfc3339
from failpath_otel.local.api.page.error_answers import FlowErrors
from failpath_otel.local.api.page.trend_answers import TrendAnswer, trend_answer
from failpath_otel.local.board.board import FlowFigures
from failpath_otel.local.flows.statistics import FlowStats
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.local.trends.trends import Trend
from failpath_otel.records.record import Status


class Outcome(Answer, frozen=True):
    """How one run of a flow ended, or that it is running."""

    run_id: str
    status: Status
    liveness: Liveness | None


class FlowRow(FlowStats, frozen=True):
    """A flow as one row: figures over its newest runs; ``running``, ``silent`` and ``gone`` over all current ones.

    ``total`` is the number of its runs in the range of time, of which ``runs`` are the newest, and the figures are
    over these. ``outcomes`` are the newest twenty, the oldest of them first. A flow that has not run yet has no
    ``last_seen``.
    """

    flow_key: str
    total: int
    trend: TrendAnswer
    outcomes: list[Outcome]
    running: int
    silent: int
    gone: int
    last_seen: str | None


class SilentRuns(Answer, frozen=True):
    """How many runs are silent or have lost their process, and the newest of them."""

    count: int
    runs: list[Row]


class FlowList(Answer, frozen=True):
    """Flows in an order, ``flows`` from ``offset`` on, out of ``total``.

    ``order`` is the number of the order: asked for again with it, the flows stand as they do here, and new ones at the
    end. ``moved`` says that they would stand otherwise by now.
    """

    revision: int
    now: str
    flows: list[FlowRow]
    silent: SilentRuns
    offset: int
    total: int
    order: int
    moved: bool


class FlowKeys(Answer, frozen=True):
    """The keys of all flows, in alphabetical order."""

    revision: int
    now: str
    keys: list[str]


class Window(Answer, frozen=True):
    """The newest ``runs`` of ``of`` runs in the range of time; ``since`` is the oldest activity among them."""

    runs: int
    of: int
    since: str | None


class FlowPage(Answer, frozen=True):
    """The view of one flow; ``drift`` is how its runs differ from the file of declared flows.

    The graph is of the ``window``.
    """

    revision: int
    now: str
    flow: FlowRow
    window: Window
    graph: Graph
    errors: FlowErrors
    runs: list[Row]
    drift: list[Drift]


def window_of(runs: Sequence[RunRow], total: int) -> Window:
    """Return the window of the newest of ``total`` runs, the newest activity first."""
    return Window(len(runs), max(total, len(runs)), to_rfc3339(runs[-1].active_at) if runs else None)


def outcome_of(run_id: str, status: Status, liveness: Liveness | None) -> Outcome:
    """Return how a run ended, or that it is running."""
    return Outcome(run_id, status, liveness_in(status, liveness))


def flow_row(
    flow_key: str,
    figures: FlowFigures,
    trend: Trend,
    shown: Mapping[RunKey, Liveness],
    *,
    counts: Mapping[Liveness, int],
    last_seen: int | None,
) -> FlowRow:
    """Return the row of a flow; ``shown`` is how its running runs stand, and ``counts`` how many run here."""
    outcomes = [
        outcome_of(run.run_id, run.status, shown.get(RunKey(flow_key, run.run_id))) for run in reversed(figures.newest)
    ]
    return FlowRow(
        **asdict(figures.stats),
        flow_key=flow_key,
        total=figures.total,
        trend=trend_answer(trend),
        outcomes=outcomes,
        running=counts.get("live", 0),
        silent=counts.get("silent", 0),
        gone=counts.get("gone", 0),
        last_seen=optional_rfc3339(last_seen),
    )
