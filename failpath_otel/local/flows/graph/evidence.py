"""What all runs of a flow show of the order of two nodes, and how far it may be a coincidence (decision 0025)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from failpath_otel.local.flows.graph.occurrences import bits
from failpath_otel.local.flows.graph.units import PAIR_BITS, TOP, Unit

Runs = Mapping[tuple[Unit, ...], int]
"""The units of each run; runs with the same ones are counted."""

_OUTLIERS: Final = 3
"""The most runs with the other order that a pair may have, at most one of each :data:`_RUNS_AN_OUTLIER`."""

_RUNS_AN_OUTLIER: Final = 50

_CHANCE: Final = 1e-4
"""The least probability at which an order may still be by chance."""

_SLOTS: Final = 16
"""The parts of a run in which the positions of nodes are counted."""

_POSITIONS_OF: Final = 200
"""The most different units whose positions are counted."""

_ADJACENT: Final = ((3, 0.6), (6, 0.4), (8, 0.2))
"""How often, and in which share of the runs with both, two nodes must be adjacent for an order to be no coincidence."""

_LAST: Final = 0.02
"""The share of the runs in which a branch must be the last one to end."""


class Evidence:
    """What the runs of a flow show.

    ``possible[b]`` is the set of nodes that ended before ``b`` began in every run with both; a few outliers are
    allowed. ``beside[b]`` are those that ran at the same time, or now before it and now after it. ``presents`` are the
    sets of nodes of all units, counted.
    """

    def __init__(self, size: int, runs: Runs) -> None:
        self._size = size
        units: Counter[Unit] = Counter()
        for of_run, count in runs.items():
            for unit in of_run:
                units[unit] += count
        self._units = list(units.items())
        self._loose = self._nested()
        self.presents: Counter[int] = Counter()
        for unit, count in self._units:
            self.presents[self.present(unit)] += count
        self._all = sum(self.presents.values())
        self._together = [0] * size
        self._adjacent: Counter[int] = Counter()
        self._positions: list[Counter[int]] = []
        self.possible = self._possible()
        after = turned(self.possible)
        self.beside = [self._together[node] & ~(self.possible[node] | after[node] | 1 << node) for node in range(size)]

    def present(self, unit: Unit) -> int:
        """Return the nodes of a unit that it can say something of."""
        return unit.present & ~self._loose if unit.parent == TOP else unit.present

    def is_last(self, one: int, other: int) -> bool:
        """Return whether the one is the last to end before the other begins, in some runs at least."""
        adjacent = self._adjacent[one << PAIR_BITS | other]
        return adjacent > 0 and adjacent >= _LAST * self._both(one, other)

    def is_strong(self, one: int, other: int) -> bool:
        """Return whether that the one is before the other is no coincidence, although others run at the same time.

        Of two lanes side by side, the beginning of the one comes before the end of the other as a rule, and is no
        reason for it. So the one must often be the last to end before the other begins, or the two keep their order
        although their positions vary so much that chance would have turned them round.
        """
        adjacent = self._adjacent[one << PAIR_BITS | other]
        if adjacent >= _ADJACENT[0][0]:
            both = self._both(one, other)
            if any(adjacent >= least and adjacent >= share * both for least, share in _ADJACENT):
                return True
        turned = self._turned_round(one, other)
        if (1 - turned) ** self._all > _CHANCE:
            return False
        return (1 - turned) ** self._both(one, other) < _CHANCE

    def _nested(self) -> int:
        """Return the nodes that run inside others as a rule: where a run does not say so, it says nothing of them."""
        if all(unit.parent == TOP for unit, _ in self._units):
            return 0
        balance: Counter[int] = Counter()
        for unit, count in self._units:
            for node, _, _ in unit.rows:
                balance[node] += -count if unit.parent == TOP else count
        return sum(1 << node for node, count in balance.items() if count >= 0)

    def _possible(self) -> list[int]:
        """Return for each node those that (nearly) always ended before it began, where both were in a run."""
        before, levels = [0] * self._size, [[0] * (_OUTLIERS + 1) for _ in range(self._size)]
        unclear: Counter[tuple[int, int]] = Counter()
        for unit, count in self._units:
            present = self.present(unit)
            for node, earlier, against in self._rows(unit, present):
                before[node] |= earlier
                self._together[node] |= present
                _count(levels[node], against & present, count)
                for other in bits(present & ~(earlier | against | 1 << node)):
                    unclear[other, node] += count
            for pair in unit.adjacent:
                self._adjacent[pair] += count
        found = [self._always(node, before[node] & self._together[node], level) for node, level in enumerate(levels)]
        for (other, node), count in unclear.items():
            if found[node] >> other & 1 and 2 * count > self._both(other, node):
                found[node] &= ~(1 << other)
        return found

    def _rows(self, unit: Unit, present: int) -> Iterable[tuple[int, int, int]]:
        return unit.rows if present == unit.present else (row for row in unit.rows if present >> row[0] & 1)

    def _always(self, node: int, before: int, against: Sequence[int]) -> int:
        """Return those of the nodes ``before`` that so few runs are ``against`` that these are outliers."""
        always = before & ~against[0]
        for other in bits(before & against[0] & ~against[_OUTLIERS]):
            if self._both(other, node) >= sum(level >> other & 1 for level in against) * _RUNS_AN_OUTLIER:
                always |= 1 << other
        return always

    def _both(self, one: int, other: int) -> int:
        both = 1 << one | 1 << other
        return sum(count for present, count in self.presents.items() if present & both == both)

    def _turned_round(self, one: int, other: int) -> float:
        """Return the probability that two nodes would be the other way round, if only their positions decided."""
        if not self._positions:
            self._positions = self._counted_positions()
        first, second = self._positions[one], self._positions[other]
        latest = max(first, default=-1)
        until = turned = 0
        for slot, count in second.items():
            if slot < latest:
                turned += count * sum(times for later, times in first.items() if later > slot)
            until += count
        return turned / ((sum(first.values()) * until) or 1)

    def _counted_positions(self) -> list[Counter[int]]:
        found: list[Counter[int]] = [Counter() for _ in range(self._size)]
        for unit, _ in self._units[:_POSITIONS_OF]:
            for place, (node, _, _) in enumerate(unit.rows):
                found[node][place * _SLOTS // len(unit.rows)] += 1
        return found


def _count(levels: list[int], nodes: int, times: int) -> None:
    """Count each of the nodes: one that was counted ``n`` times is in the first ``n`` levels, as far as there are."""
    for _ in range(min(times, len(levels))):
        rest = nodes
        for at, level in enumerate(levels):
            levels[at], rest = level | rest, level & rest
            if not rest:
                break


def turned(before: list[int]) -> list[int]:
    """Return for each node those that have it before them."""
    after = [0] * len(before)
    for node, earlier in enumerate(before):
        for other in bits(earlier):
            after[other] |= 1 << node
    return after
