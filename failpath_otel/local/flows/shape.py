"""The shape of a flow's graph: its steps and edges, as declared in a file or as observed in runs."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

import msgspec

from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.run_row import RunRow

MAX_EDGES: Final = 2000
"""The most edges of one run; beyond that, when many steps run at once, each step keeps one edge."""


Kind = Literal["next", "back", "inside"]
"""Of an edge: the target comes after the source; it runs again after it; it is the first that runs inside it."""


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """A step of a flow, and its label.

    Steps that differ only in a number may be one node: its key is their pattern (``resize-*``), ``members`` are
    their keys.
    """

    step_key: str
    label: str
    members: tuple[str, ...] = ()


class Edge(msgspec.Struct, frozen=True, rename="camel"):
    """An edge from ``source`` to ``target``, its kind, and the number of runs that took it."""

    source: str
    target: str
    taken: int
    kind: Kind = "next"


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """The graph of a flow; ``declared`` says that a file named its steps."""

    nodes: list[Node]
    edges: list[Edge]
    declared: bool


class DeclaredFlow(msgspec.Struct, frozen=True):
    """A flow as declared in a file; edges are optional."""

    flow_key: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...] = ()


def observed_edges(attempts: Sequence[AttemptSummary]) -> set[tuple[str, str]]:
    """Return the edges of one run: B follows A if A ended before B began, and no other step fits between.

    A step lasts from the start of its first attempt to the end of its last; what has no start is an instant. Of a run
    with more than :data:`MAX_EDGES` such pairs, only the latest end before each step counts.
    """
    spans = _spans(attempts)
    ended, predecessors = _predecessors(spans)
    if sum(last - first for first, last in predecessors) > MAX_EDGES:
        predecessors = [(max(first, last - 1), last) for first, last in predecessors]
    return {
        (spans[ended[at][1]].step_key, span.step_key)
        for span, (first, last) in zip(spans, predecessors, strict=True)
        for at in range(first, last)
    }


@dataclass(frozen=True)
class CachedRun:
    """A run at one revision; what follows from it is computed once."""

    row: RunRow
    attempts: list[AttemptSummary]

    @cached_property
    def edges(self) -> set[tuple[str, str]]:
        """Its :func:`observed_edges`."""
        return observed_edges(self.attempts)


def shape_of(
    runs: Sequence[Sequence[AttemptSummary]],
    declared: DeclaredFlow | None,
    edges: Sequence[Collection[tuple[str, str]]] | None = None,
) -> Shape:
    """Return the shape of a flow from its runs, oldest first.

    ``edges`` are what :func:`observed_edges` says of each run, where that is known already.

    Declared steps come first and keep their order, the others follow as they were first seen. Where edges are
    declared they stand for all that was seen between declared steps; a run has taken one if the one step had ended
    when the other began.
    """
    labels = {} if declared is None else {node.step_key: node.label for node in declared.nodes}
    fixed = () if declared is None else declared.edges
    nodes = dict(labels)
    seen: dict[tuple[str, str], int] = {}
    taken = dict.fromkeys(fixed, 0)
    for place, attempts in enumerate(runs):
        for attempt in attempts:
            nodes.setdefault(attempt.step_key, attempt.step_key)
        for edge in sorted(observed_edges(attempts) if edges is None else edges[place]):
            seen[edge] = seen.get(edge, 0) + 1
        if fixed:
            spans = {span.step_key: span for span in _spans(attempts)}
            for source, target in fixed:
                if source in spans and target in spans and spans[source].is_before(spans[target]):
                    taken[source, target] += 1
    if fixed:
        seen = {edge: count for edge, count in seen.items() if not (edge[0] in labels and edge[1] in labels)}
    # Runs that all differ add up to many edges; the most frequent ones are kept.
    common = sorted(seen.items(), key=lambda item: -item[1])[: MAX_EDGES + len(nodes)]
    return Shape(
        nodes=[Node(step_key, label) for step_key, label in nodes.items()],
        edges=[Edge(*edge, count) for edge, count in [*taken.items(), *common]],
        declared=declared is not None,
    )


class _Span(NamedTuple):
    """When a step happened. Those of the same microsecond sort by key, so that they follow each other one way only."""

    start: int
    end: float
    step_key: str

    def is_before(self, other: "_Span") -> bool:
        return self.end <= other.start and self < other


def _spans(attempts: Iterable[AttemptSummary]) -> list[_Span]:
    starts: dict[str, int] = {}
    ends: dict[str, float] = {}
    is_open: dict[str, bool] = {}
    newest: dict[str, int] = {}
    for attempt in attempts:
        key, ended = attempt.step_key, attempt.ended
        start = ended if attempt.started is None else attempt.started
        if start is None:
            continue
        starts[key] = min(start, starts.get(key, start))
        if ended is not None:
            ends[key] = max(ended, ends.get(key, ended))
        if start >= newest.get(key, start):
            # An older attempt without an end was abandoned for a newer one.
            newest[key], is_open[key] = start, ended is None
    return sorted(
        # A clock that was set back may end a step before its start.
        _Span(start, float("inf") if is_open[key] else max(start, ends[key]), key)
        for key, start in starts.items()
    )


def _predecessors(spans: Sequence[_Span]) -> tuple[list[tuple[float, int]], list[tuple[int, int]]]:
    """Return the ends of all spans in order, with their spans' places, and each span's range of predecessors.

    What ended before a span is a beginning of that order. Of these the one that began last stands between the span
    and all that ended before that; the others are its predecessors.
    """
    ended = sorted((span.end, place) for place, span in enumerate(spans))
    latest: list[int] = []
    for _, place in ended:
        latest.append(max(place, latest[-1]) if latest else place)
    ranges: list[tuple[int, int]] = []
    for place, span in enumerate(spans):
        last = bisect_left(ended, (span.start, place))
        if not last:
            ranges.append((0, 0))
            continue
        between = latest[last - 1]
        first = bisect_right(ended, (spans[between].start, len(spans)), hi=last)
        # An instant does not end after its own start, and is a predecessor all the same.
        ranges.append((min(first, bisect_left(ended, (spans[between].end, between))), last))
    return ended, ranges
