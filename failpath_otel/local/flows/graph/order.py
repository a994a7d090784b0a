"""Which nodes come before which, as far as all runs of a flow show it (decision 0025)."""

from collections.abc import Sequence

from failpath_otel.local.flows.graph.evidence import Evidence, Runs, turned
from failpath_otel.local.flows.graph.occurrences import bits
from failpath_otel.local.flows.graph.units import Unit


class Order:
    """The order of nodes that is no coincidence.

    Nodes are numbered anew here, by places: each stands behind those that may come before it. ``before[b]`` is the set
    of those that come before ``b``, directly or not.
    """

    def __init__(self, size: int, runs: Runs) -> None:
        self._evidence = Evidence(size, runs)
        self.node_at = _in_order(self._evidence.possible)
        self._place_of = {node: place for place, node in enumerate(self.node_at)}
        self._possible = [self.places(self._evidence.possible[node]) for node in self.node_at]
        self._beside = [self.places(self._evidence.beside[node]) for node in self.node_at]
        self._presents = [self.places(present) for present in self._evidence.presents]
        self.last = _Reduction(self._possible)
        """Of a set of places, those after which, as far as it is known, no other one of it can come."""
        self.before: list[int] = []
        self._depth: list[int] = []
        for place in range(size):
            before = self._strong(place) | self._adjoining(place)
            for other in bits(before):
                if other < place:
                    before |= self.before[other]
            self.before.append(before & ~(1 << place))
            self._depth.append(1 + max((self._depth[other] for other in bits(before) if other < place), default=0))
        self.directly = _Reduction(self.before)
        """Of a set of places, those that come before no other one of it."""

    def place_of(self, node: int) -> int:
        """Return the place of a node."""
        return self._place_of[node]

    def places(self, nodes: int) -> int:
        """Return the places of a set of nodes."""
        found = 0
        for node in bits(nodes):
            found |= 1 << self._place_of[node]
        return found

    def present(self, unit: Unit) -> int:
        """Return the nodes of a unit that it can say something of, by their numbers."""
        return self._evidence.present(unit)

    def _strong(self, place: int) -> int:
        if not self._beside[place]:
            return 0
        node, found = self.node_at[place], 0
        for other in bits(self._possible[place]):
            if self._beside[other] and self._evidence.is_strong(self.node_at[other], node):
                found |= 1 << other
        return found

    def _adjoining(self, place: int) -> int:
        """Return those directly before a place where all that is beside them comes before all that is beside it.

        Where branches join, a short branch always ends long before the others, and need not have to do with what
        comes after these. It has if it was the last to end in some runs, or is as deep as one that was.
        """
        before = {self._possible[place] & present for present in self._presents if present >> place & 1}
        close = {other for those in before for other in self.last(those)}
        close = {other for other in close if self._is_cut(other, place)}
        last = {other for other in close if self._evidence.is_last(self.node_at[other], self.node_at[place])}
        least = min((self._depth[other] for other in last if other < place), default=0)
        found = 0
        for other in close:
            if other in last or not self._beside[other] or (other < place and self._depth[other] >= least):
                found |= 1 << other
        return found

    def _is_cut(self, one: int, other: int) -> bool:
        """Return whether one place, with all beside it, comes before another one, with all beside that.

        Where nothing is beside one of the two, that is so.
        """
        if not (self._beside[one] and self._beside[other]):
            return True
        before = self._beside[one] | 1 << one
        return not any(before & ~self._possible[after] for after in (other, *bits(self._beside[other])))


class _Reduction:
    """Reduces sets of places to those that come before no other one of the set, in an order."""

    def __init__(self, before: Sequence[int]) -> None:
        self._rest = [~(earlier | 1 << place) for place, earlier in enumerate(before)]

    def __call__(self, places: int) -> list[int]:
        rest, found = self._rest, []
        while places:
            last = places.bit_length() - 1
            found.append(last)
            places &= rest[last]
        return found


def _in_order(before: list[int]) -> list[int]:
    """Return all nodes, each behind those before it; where these go in a circle, one with few before it comes first."""
    waiting = [earlier.bit_count() for earlier in before]
    after = turned(before)
    ready = [node for node, count in enumerate(waiting) if not count]
    found: list[int] = []
    placed: set[int] = set()
    while len(found) < len(before):
        if not ready:
            ready.append(min((n for n in range(len(before)) if n not in placed), key=waiting.__getitem__))
        node = ready.pop(0)
        if node in placed:
            continue
        placed.add(node)
        found.append(node)
        for other in bits(after[node]):
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return found
