"""The columns of a layered graph, and the order in each from top to bottom."""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

Pair = tuple[int, int]

MAX_BENDS: Final = 3000
"""The most bends of one graph: beyond that the longest edges go around, because sorting would take too long."""

_SWEEPS: Final = 6


class Layers(NamedTuple):
    """A graph whose nodes, ``0 … size - 1``, stand in columns from left to right.

    An edge over several columns has a bend in each of those between; bends are numbered from ``size`` on. ``before``
    and ``after`` name the neighbours of every node and bend in the columns next to its own.
    """

    size: int
    columns: list[list[int]]
    before: list[list[int]]
    after: list[list[int]]
    bends: dict[Pair, range]
    around: list[Pair]


def back_edges(size: int, edges: Iterable[Pair]) -> set[Pair]:
    """Return the edges that close a cycle of a depth-first walk; without them the graph has no cycle.

    The walk is in depth, from the nodes that nothing leads to and then from the others, and takes the edges as they
    come.
    """
    targets: list[list[int]] = [[] for _ in range(size)]
    entered = [False] * size
    for source, target in edges:
        targets[source].append(target)
        entered[target] = True
    found: set[Pair] = set()
    unseen, done = set(range(size)), set[int]()
    for root in sorted(range(size), key=lambda node: (entered[node], node)):
        if root not in unseen:
            continue
        unseen.remove(root)
        way = [(root, iter(targets[root]))]
        while way:
            node, rest = way[-1]
            target = next(rest, -1)
            if target < 0:
                done.add(node)
                way.pop()
            elif target in unseen:
                unseen.remove(target)
                way.append((target, iter(targets[target])))
            elif target not in done:
                found.add((node, target))
    return found


def layered(size: int, edges: Sequence[Pair]) -> Layers:
    """Place each node of a graph without cycles right of its predecessors, in an order with few crossings.

    Where the crossings leave a choice, nodes with lower numbers stand higher.
    """
    place = _longest_ways(size, edges)
    columns: list[list[int]] = [[] for _ in range(max(place, default=-1) + 1)]
    rank: list[tuple[int, int]] = []
    for node in range(size):
        columns[place[node]].append(node)
        rank.append((node, -1))
    layers = Layers(size, columns, [[] for _ in rank], [[] for _ in rank], {}, [])
    for source, target in sorted(edges, key=lambda edge: (place[edge[1]] - place[edge[0]], edge)):
        between = range(place[source] + 1, place[target])
        if len(rank) - size + len(between) > MAX_BENDS:
            layers.around.append((source, target))
            continue
        bends = range(len(rank), len(rank) + len(between))
        layers.bends[source, target] = bends
        for bend, column in zip(bends, between, strict=True):
            columns[column].append(bend)
            rank.append((target, source))
            layers.before.append([])
            layers.after.append([])
        way = [source, *bends, target]
        for left, right in pairwise(way):
            layers.after[left].append(right)
            layers.before[right].append(left)
    for items in columns:
        # A long edge goes where its target will be, below earlier ones.
        items.sort(key=lambda item: rank[item])
    return _untangled(layers)


def _longest_ways(size: int, edges: Iterable[Pair]) -> list[int]:
    """Return for each node the number of nodes on the longest way to it."""
    targets: list[list[int]] = [[] for _ in range(size)]
    open_edges = [0] * size
    for source, target in edges:
        targets[source].append(target)
        open_edges[target] += 1
    length = [0] * size
    ready = [node for node in range(size) if not open_edges[node]]
    for node in ready:
        for target in targets[node]:
            length[target] = max(length[target], length[node] + 1)
            open_edges[target] -= 1
            if not open_edges[target]:
                ready.append(target)
    return length


def _untangled(layers: Layers) -> Layers:
    columns = [list(column) for column in layers.columns]
    best, fewest = columns, _crossings(columns, layers.after)
    for _ in range(_SWEEPS):
        if not fewest:
            break
        columns = [list(column) for column in columns]
        _sweep(columns, layers.before, range(1, len(columns)), -1)
        _sweep(columns, layers.after, range(len(columns) - 2, -1, -1), 1)
        crossings = _crossings(columns, layers.after)
        if crossings < fewest:
            best, fewest = columns, crossings
    return layers._replace(columns=best)


def _sweep(columns: list[list[int]], neighbours: list[list[int]], order: Iterable[int], step: int) -> None:
    """Sort columns by the barycenter of each item's neighbours in the column that was sorted before."""
    for at in order:
        place = _places(columns[at + step])
        columns[at].sort(key=_barycenter(_places(columns[at]), place, neighbours))


def _barycenter(own: dict[int, int], other: dict[int, int], neighbours: list[list[int]]) -> Callable[[int], float]:
    def key(item: int) -> float:
        joined = neighbours[item]
        return sum(other[neighbour] for neighbour in joined) / len(joined) if joined else own[item]

    return key


def _places(column: Sequence[int]) -> dict[int, int]:
    return {item: place for place, item in enumerate(column)}


def _crossings(columns: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> int:
    crossings = 0
    for left, right in pairwise(columns):
        place = _places(right)
        seen: list[int] = []
        for item in left:
            ends = sorted(place[neighbour] for neighbour in after[item])
            crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return crossings
