"""The shape of a flow's graph: its nodes and edges, as declared in a file or as its runs show them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from failpath_otel.local.flows.graph import run_edges
from failpath_otel.local.flows.graph.edge import Edge
from failpath_otel.local.flows.graph.folding import folded
from failpath_otel.local.flows.graph.inference import inferred
from failpath_otel.local.flows.graph.numbering import Numbering
from failpath_otel.local.flows.graph.units import Unit, units_of
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.store.run_row import RunRow

MAX_DRAWN: Final = 500
"""The most nodes of a graph that is drawn; a larger one is a list of its nodes."""


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """A node: a step of a flow, and its label.

    Steps whose keys differ by a number only may be one node: its key is their pattern (``resize-*``), ``members`` are
    their keys.
    """

    step_key: str
    label: str
    members: tuple[str, ...] = ()


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """The graph of a flow; ``declared`` says that a file named its steps.

    ``listed``: it has more than :data:`MAX_DRAWN` nodes, and no edges.
    """

    nodes: list[Node]
    edges: list[Edge]
    declared: bool
    listed: bool = False


class DeclaredFlow(msgspec.Struct, frozen=True):
    """A flow as declared in a file; edges are optional."""

    flow_key: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...] = ()


class SeenRun:
    """The attempts of one run, and what they show; computed once as long as nodes have the same numbers."""

    def __init__(self, attempts: Sequence[AttemptSummary]) -> None:
        self.attempts = attempts
        self._units: tuple[Numbering, tuple[Unit, ...]] | None = None

    @cached_property
    def step_keys(self) -> dict[str, None]:
        """Its steps, in their order."""
        return dict.fromkeys(attempt.step_key for attempt in self.attempts)

    @cached_property
    def edges(self) -> set[tuple[str, str]]:
        """The edges that this run has by itself."""
        return run_edges.observed_edges(self.attempts)

    def units(self, numbering: Numbering) -> tuple[Unit, ...]:
        """Return what it shows of the order of nodes with these numbers."""
        known = self._units
        if known is None or known[0] is not numbering:
            known = self._units = (numbering, units_of(self.attempts, numbering))
        return known[1]


@dataclass(frozen=True)
class CachedRun:
    """A run at one revision; what follows from it is computed once."""

    row: RunRow
    attempts: list[AttemptSummary]

    @cached_property
    def seen(self) -> SeenRun:
        """What its attempts show."""
        return SeenRun(self.attempts)


class Numberings:
    """The numbering of a flow's nodes, kept for the next time as long as the same steps are folded."""

    def __init__(self) -> None:
        self._current = Numbering()

    def of(self, folded_steps: dict[str, str], nodes: int) -> Numbering:
        """Return a numbering for so many nodes; numbers of nodes that no run has any more are not kept for ever."""
        if folded_steps != self._current.folded or len(self._current.nodes) > 2 * nodes + 16:
            self._current = Numbering(folded_steps)
        return self._current


def shape_of(runs: Sequence[SeenRun], declared: DeclaredFlow | None, numberings: Numberings | None = None) -> Shape:
    """Return the shape of a flow from its runs, oldest first.

    Declared steps come first and keep their order, the others follow as they were first seen. Where edges are
    declared they stand for all that was seen between declared steps; a run has taken one if the one step had ended
    when the other began.
    """
    labels = {} if declared is None else {node.step_key: node.label for node in declared.nodes}
    steps = dict.fromkeys(labels)
    for run in runs:
        steps |= run.step_keys
    pattern_of = folded([run.attempts for run in runs], steps, labels)
    nodes = _nodes(steps, labels, pattern_of)
    if len(nodes) > MAX_DRAWN:
        return Shape(nodes, [], declared is not None, listed=True)
    numbering = (numberings or Numberings()).of(pattern_of, len(nodes))
    edges = inferred(Counter(run.units(numbering) for run in runs), numbering)
    if declared is not None and declared.edges:
        taken = Counter(pair for run in runs for pair in run_edges.taken(declared.edges, run.attempts))
        edges = [
            *(Edge(*pair, taken[pair]) for pair in declared.edges),
            *(edge for edge in edges if not (edge.source in labels and edge.target in labels)),
        ]
    # Steps that are left out in many ways add up to many edges; the most frequent ones are kept.
    kept = sorted(edges, key=lambda edge: -edge.taken)[: run_edges.MAX_EDGES + len(nodes)]
    return Shape(nodes, kept if len(kept) < len(edges) else edges, declared is not None)


def observed_edges_of(runs: Sequence[SeenRun]) -> list[Edge]:
    """Return the edges that each run has by itself, with the number of runs; the most frequent ones first."""
    seen = Counter(edge for run in runs for edge in sorted(run.edges))
    return [Edge(*edge, count) for edge, count in seen.most_common(run_edges.MAX_EDGES + len(runs))]


def _nodes(steps: dict[str, None], labels: dict[str, str], pattern_of: dict[str, str]) -> list[Node]:
    members: dict[str, list[str]] = {}
    for step in steps:
        of_node = members.setdefault(pattern_of.get(step, step), [])
        if step in pattern_of:
            of_node.append(step)
    return [Node(node, labels.get(node, node), tuple(sorted(its, key=_natural))) for node, its in members.items()]


def _natural(key: str) -> tuple[int, str]:
    return len(key), key
