"""The edges of a flow's graph, as its runs show them: each with its kind and the number of runs that took it."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from failpath_otel.local.flows.graph.edge import Edge, Kind
from failpath_otel.local.flows.graph.evidence import Runs
from failpath_otel.local.flows.graph.numbering import Numbering
from failpath_otel.local.flows.graph.occurrences import bits
from failpath_otel.local.flows.graph.order import Order
from failpath_otel.local.flows.graph.units import Unit


class _Edge(NamedTuple):
    kind: Kind
    source: int
    target: int


def inferred(runs: Runs, numbering: Numbering) -> list[Edge]:
    """Return the edges between the nodes of these runs, none of them twice.

    A run has taken an edge if it had both nodes, and none of those that come between.
    """
    return _Inference(Order(len(numbering.nodes), runs), runs).edges(numbering.nodes)


class _Inference:
    def __init__(self, order: Order, runs: Runs) -> None:
        self._order = order
        self._runs = runs
        self._known: dict[int, tuple[list[_Edge], int]] = {}
        self._first: dict[int, int] = {}
        for of_run in runs:
            for unit in of_run:
                self._first[unit.parent] = self._first.get(unit.parent, 0) | unit.first

    def edges(self, nodes: Sequence[str]) -> list[Edge]:
        taken: Counter[_Edge] = Counter()
        for of_run, count in self._runs.items():
            for edge in {edge for unit in of_run for edge in self._of_unit(unit)}:
                taken[edge] += count
        found: dict[tuple[int, int], Edge] = {}
        for (kind, source, target), count in sorted(taken.items(), key=lambda item: (-item[1], item[0])):
            # Where a node is both inside another and after it, the more frequent one counts.
            found.setdefault((source, target), Edge(nodes[source], nodes[target], count, kind))
        return list(found.values())

    def _of_unit(self, unit: Unit) -> list[_Edge]:
        order = self._order
        ways, beginnings = self._ways_of(order.present(unit))
        edges = list(ways)
        if unit.parent >= 0:
            # What others always ran before is none of the first, even where it is not clear which of them it follows.
            first = beginnings & self._first[unit.parent] & ~(1 << unit.parent)
            edges += [_Edge("inside", unit.parent, node) for node in bits(first)]
        for node, between in unit.repeats:
            place = order.place_of(node)
            places, after = order.places(between), 0
            if places & order.before[place]:
                # It ran again as a part of what did.
                continue
            for other in bits(places):
                if order.before[other] >> place & 1:
                    after |= 1 << other
            edges += [_Edge("back", order.node_at[other], node) for other in order.last(after)]
        return edges

    def _ways_of(self, present: int) -> tuple[list[_Edge], int]:
        """Return the ways between the nodes of a run, and those that no way leads to."""
        known = self._known.get(present)
        if known is not None:
            return known
        order = self._order
        ways: list[_Edge] = []
        beginnings = 0
        places = order.places(present)
        for place in bits(places):
            node = order.node_at[place]
            before = order.before[place] & places
            if not before:
                beginnings |= 1 << node
                continue
            ways += [_Edge("next", order.node_at[other], node) for other in order.directly(before)]
        known = self._known[present] = (ways, beginnings)
        return known
