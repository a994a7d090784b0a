"""The JSON of the page's API: rows, flows, graphs, runs. Times are RFC 3339 in UTC."""

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

import msgspec
from msgspec.structs import asdict

from failpath_otel.local.api.page.error_answers import NamedError
from failpath_otel.local.flows.flows import FlowDetails
from failpath_otel.local.flows.graph.edge import Kind
from failpath_otel.local.flows.layout import PlacedEdge
from failpath_otel.local.flows.statistics import StepStats, step_stats_of
from failpath_otel.local.liveness.liveness import Liveness
from failpath_otel.local.runs.summary import RunOverview
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.store.run_row import RunKey, RunRow
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Status

_UNSEEN: Final = step_stats_of([], [])


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Camel case, as in the wire contract."""


class Row(RunOverview[str], frozen=True):
    """A run as one row of a list. ``pinned``: it is not pruned. ``imported``: it came as a file."""

    revision: int
    liveness: Liveness | None
    pinned: bool
    imported: bool


class Node(StepStats, frozen=True):
    """A step in the graph of its flow: its place, and its figures over the newest runs.

    Steps that differ only in a number may be one node: its key is their pattern (``resize-*``), ``members`` are
    their keys, its figures are those of all of them, and ``failed_members`` is the number of those that have failed.
    ``gone`` are the runs in which it is running but its process is gone; ``running`` does not count these.
    """

    step_key: str
    label: str
    members: list[str]
    failed_members: int
    gone: int
    x: int
    y: int
    width: int
    height: int


class Edge(PlacedEdge, frozen=True):
    """An edge from step to step, and the number of runs that took it.

    Its kind: the target comes after the source (``next``), it runs again after it (``back``), it is among the first
    steps that run inside it (``inside``).
    """

    taken: int
    kind: Kind


class Graph(Answer, frozen=True):
    """A flow's graph; ``declared`` where its shape comes from a file.

    ``listed``: it has too many nodes to be drawn. All places and sizes are 0 then, and there are no edges.
    """

    width: int
    height: int
    declared: bool
    listed: bool
    nodes: list[Node]
    edges: list[Edge]


class RowList(Answer, frozen=True):
    """Runs, the one that was active last first; ``next`` continues behind the last of them.

    ``error`` is the kind of error that was asked for.
    """

    revision: int
    now: str
    runs: list[Row]
    next: str | None
    error: NamedError | None


class LoggedEvent(Answer, frozen=True):
    """One record of a run, without its stack and metadata; ``attempt`` is the number of the attempt it belongs to."""

    id: str
    timestamp: str
    received_at: str | None
    step_key: str
    status: Status
    span_id: str
    attempt: int
    duration_ms: float | None
    error: ErrorInfo | None


class Neighbour(Answer, frozen=True):
    """The run before or after another one."""

    run_id: str


class StepLine(Answer, frozen=True, omit_defaults=True):
    """One attempt of a step in a run too long to be sent whole: a ``StepView`` with what its row in a list shows.

    The message of its error is one line, and cut; ``process`` is that of an attempt that runs. What is missing is null.
    ``still``: the run came as a file, and nothing of it runs here.
    """

    step_key: str
    attempt: int
    status: Status
    span_id: str
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: float | None = None
    error: ErrorInfo | None = None
    process: ProcessInfo | None = None
    liveness: Liveness | None = None
    parent_span_id: str | None = None
    process_is_here: bool = False
    still: bool = False


class ImportNote(Answer, frozen=True):
    """When a run came as a file, and when its newest event was received where that was made.

    ``mixed``: events of a sender were received since.
    """

    at: str
    as_of: str
    mixed: bool


class RunPage(Answer, frozen=True):
    """The view of one run; ``run`` is a ``RunView`` whose errors have their stacks as ``frames`` too.

    Unless it is ``whole``, the steps of ``run`` are :class:`StepLine` and there are no ``events``: the run is long, and
    both are asked for in parts. ``trace_id`` is the first that a step has, ``clock_ahead_ms`` how far in the future the
    time of an event was when it was received: 0 where all were in the past. ``imported`` is set if it came as a file.
    """

    revision: int
    now: str
    whole: bool
    run: dict[str, Any]
    row: Row
    graph: Graph
    events: list[LoggedEvent] | None
    event_count: int
    processes: list[ProcessInfo]
    trace_id: str | None
    previous: Neighbour | None
    next: Neighbour | None
    p50_ms: dict[str, float]
    trace_url: str | None
    imported: ImportNote | None
    clock_ahead_ms: float


class EventPage(Answer, frozen=True):
    """A part of the events of a run, in order of time: those from ``offset`` on, of ``total``."""

    revision: int
    now: str
    offset: int
    total: int
    events: list[LoggedEvent]


class StepPage(Answer, frozen=True):
    """All that is known of one attempt of a step: a ``StepView`` whose error has its stack as ``frames`` too."""

    revision: int
    now: str
    step: dict[str, Any]


class Keep(Answer, frozen=True):
    """How long and how much is kept: days, and MiB (2**20 bytes)."""

    days: float
    megabytes: float


class Pruned(Answer, frozen=True):
    """How many runs were pruned, and the newest activity among them."""

    runs: int
    before: str | None


class StatusAnswer(Answer, frozen=True):
    """The state of the receiver."""

    version: str
    store_id: str
    revision: int
    now: str
    url: str
    runs: int
    flows: int
    window: int
    window_attempts: int
    trace_url: str | None
    keep: Keep
    pruned: Pruned
    flows_file: str | None
    sample: bool
    pinned: int
    read_only: bool


def row_of(run: RunRow, liveness: Liveness | None) -> Row:
    """Return the row of a run. Its liveness may have been assessed at another time; the row's status decides."""
    columns: dict[str, Any] = asdict(run)
    columns["started"] = to_rfc3339(run.started)
    columns["ended"] = optional_rfc3339(run.ended)
    columns["active_at"] = to_rfc3339(run.active_at)
    columns["pinned"] = bool(run.pinned)
    columns["imported"] = columns.pop("exported_liveness") is not None
    its = cast("Liveness | None", run.exported_liveness or liveness)
    return Row(**columns, liveness=liveness_in(run.status, its))


def optional_rfc3339(microseconds: int | None) -> str | None:
    """Return a time as RFC 3339, if there is one."""
    return None if microseconds is None else to_rfc3339(microseconds)


def liveness_in(status: Status, liveness: Liveness | None) -> Liveness | None:
    """Return the liveness of a run with this status, which has one only while it is running."""
    return (liveness or "live") if status == "running" else None


def figures_of(stats: StepStats | None, gone: int) -> dict[str, Any]:
    """Return the figures of a step, or of a node, in ``gone`` of whose running runs its process is not there."""
    its = _UNSEEN if stats is None else stats
    gone = min(gone, its.running)
    return {**asdict(its), "running": its.running - gone, "gone": gone}


def graph_of(details: FlowDetails, gone: Mapping[RunKey, Collection[str]]) -> Graph:
    """Return the graph of a flow; ``gone`` are the steps that have lost their process, by run."""
    shape, layout, stats = details.shape, details.layout, details.figures
    lost = details.count_gone(gone)
    failed = {step_key for step_key, its in details.steps.items() if its.failed}
    named = {node.step_key: node for node in shape.nodes}
    joined = {(edge.source, edge.target): edge for edge in shape.edges}
    nodes = [
        Node(
            **figures_of(
                stats.get(placed.step_key),
                sum(lost[key] for key in named[placed.step_key].members or (placed.step_key,)),
            ),
            **asdict(placed),
            label=named[placed.step_key].label,
            members=list(named[placed.step_key].members),
            failed_members=len(failed.intersection(named[placed.step_key].members)),
        )
        for placed in layout.nodes
    ]
    edges = [
        Edge(
            **asdict(edge),
            taken=joined[edge.source, edge.target].taken,
            kind="back" if edge.back else joined[edge.source, edge.target].kind,
        )
        for edge in layout.edges
    ]
    return Graph(layout.width, layout.height, shape.declared, listed=shape.listed, nodes=nodes, edges=edges)
