"""The layout of a flow's graph: the positions of steps and edges, which depend on its shape alone."""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from math import ceil, sqrt
from typing import Final, NamedTuple

import msgspec

from failpath_otel.local.flows.alignment import aligned
from failpath_otel.local.flows.layers import Pair, back_edges, layered

NODE_WIDTH: Final = 208
NODE_HEIGHT: Final = 84
GAP_X: Final = 64
GAP_Y: Final = 24

_MARGIN: Final = 16
"""Around everything, for strokes and for the ring around what has the focus."""

_EDGE_GAP: Final = 16
"""Between an edge and a box that it passes; half of it also between two boxes with an edge between them."""

_BEND_GAP: Final = 12
_BACK_PORT: Final = 26
"""How far below the middle of a box an edge that leads back touches it, beside those that lead on."""

_LANES: Final = 8
_LANE_GAP: Final = 8
_FEWEST_IN_ROW: Final = 5

Point = tuple[int, int]


class PlacedNode(msgspec.Struct, frozen=True, rename="camel"):
    """A box; ``x`` and ``y`` are its top left corner."""

    step_key: str
    x: int
    y: int
    width: int
    height: int


class PlacedEdge(msgspec.Struct, frozen=True, rename="camel"):
    """A line over ``points``, from the border of its source to that of its target.

    ``back`` says that it closes a cycle and runs from right to left.
    """

    source: str
    target: str
    back: bool
    points: tuple[Point, ...]


class Layout(msgspec.Struct, frozen=True, rename="camel"):
    """A drawing in whole units; everything lies between 0 and its width and height."""

    width: int
    height: int
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]


def layout(nodes: Sequence[str], edges: Collection[tuple[str, str]], back: Collection[tuple[str, str]] = ()) -> Layout:
    """Place a graph from left to right; the order of ``nodes`` decides where nothing else does.

    ``back`` are those of the edges that are known to lead back. Others that close a cycle are found.

    Parts of the graph that no edge joins stand below each other, and under them, row by row, the nodes without edges.
    An edge from a node to itself, or with an end that is no node, is left out.
    """
    return _layout(tuple(dict.fromkeys(nodes)), frozenset(edges), frozenset(back))


def listed(nodes: Iterable[str]) -> Layout:
    """Return a layout without places, for a graph that is too large to be drawn."""
    return Layout(0, 0, tuple(PlacedNode(node, 0, 0, 0, 0) for node in nodes), ())


class _Drawing(NamedTuple):
    """A part of the graph, from (0, 0) on: the top left corners of its nodes, and its edges."""

    columns: int
    height: int
    corners: list[Point]
    lines: dict[Pair, tuple[Point, ...]]


@lru_cache(maxsize=128)
def _layout(
    nodes: tuple[str, ...], edges: frozenset[tuple[str, str]], known_back: frozenset[tuple[str, str]]
) -> Layout:
    number = {node: at for at, node in enumerate(nodes)}
    pairs = sorted(
        (number[source], number[target])
        for source, target in edges
        if source != target and source in number and target in number
    )
    back = _back(len(nodes), pairs, {(number[s], number[t]) for s, t in known_back if s in number and t in number})
    corners: dict[int, Point] = {}
    lines: dict[Pair, tuple[Point, ...]] = {}
    alone: list[int] = []
    columns, y = 0, 0
    for part, part_edges in _parts(len(nodes), pairs):
        if not part_edges:
            alone += part
            continue
        local = {node: at for at, node in enumerate(part)}
        drawing = _draw(len(part), [(local[s], local[t], (s, t) in back) for s, t in part_edges])
        corners.update((part[at], _moved(corner, y)) for at, corner in enumerate(drawing.corners))
        for (source, target), line in drawing.lines.items():
            lines[part[source], part[target]] = tuple(_moved(point, y) for point in line)
        columns = max(columns, drawing.columns)
        y += drawing.height + GAP_Y
    in_row = max(columns, _FEWEST_IN_ROW, ceil(sqrt(len(alone) * (NODE_HEIGHT + GAP_Y) / (NODE_WIDTH + GAP_X))))
    for at, node in enumerate(alone):
        row, column = divmod(at, in_row)
        corners[node] = _moved((_left(column), row * (NODE_HEIGHT + GAP_Y)), y)
        columns = max(columns, column + 1)
    bottom = max((corner[1] + NODE_HEIGHT for corner in corners.values()), default=0)
    bottom = max([bottom, *(point[1] for line in lines.values() for point in line)])
    return Layout(
        width=_left(columns) - GAP_X + 2 * _MARGIN if nodes else 0,
        height=bottom + _MARGIN if nodes else 0,
        nodes=tuple(PlacedNode(node, *corners[at], NODE_WIDTH, NODE_HEIGHT) for at, node in enumerate(nodes)),
        edges=tuple(PlacedEdge(nodes[s], nodes[t], (s, t) in back, lines[s, t]) for s, t in pairs),
    )


def _back(size: int, pairs: Sequence[Pair], known: set[Pair]) -> set[Pair]:
    """Return the edges that lead back: those that are ``known`` to, and others that close a cycle."""
    back = known.intersection(pairs)
    back |= back_edges(size, [pair for pair in pairs if pair not in back])
    turned = {(target, source) if (source, target) in back else (source, target) for source, target in pairs}
    # What is said to lead back may be the only way there.
    return back_edges(size, pairs) if back_edges(size, sorted(turned)) else back


def _left(column: int) -> int:
    return column * (NODE_WIDTH + GAP_X)


def _moved(point: Point, y: int) -> Point:
    return point[0] + _MARGIN, point[1] + y + _MARGIN


def _parts(count: int, pairs: Iterable[Pair]) -> list[tuple[list[int], list[Pair]]]:
    """Return the connected parts of a graph, each with its edges, by their first nodes."""
    joined: list[list[int]] = [[] for _ in range(count)]
    for source, target in pairs:
        joined[source].append(target)
        joined[target].append(source)
    part_of = [-1] * count
    parts: list[tuple[list[int], list[Pair]]] = []
    for root in range(count):
        if part_of[root] >= 0:
            continue
        part_of[root] = len(parts)
        found = [root]
        for node in found:
            for other in joined[node]:
                if part_of[other] < 0:
                    part_of[other] = len(parts)
                    found.append(other)
        parts.append((sorted(found), []))
    for pair in pairs:
        parts[part_of[pair[0]]][1].append(pair)
    return parts


def _draw(count: int, edges: Sequence[tuple[int, int, bool]]) -> _Drawing:
    """Place one part. Back edges are reversed, so that they are routed between the boxes like the others."""
    both_ways = {(source, target) for source, target, _ in edges} & {(target, source) for source, target, _ in edges}
    turned = sorted({(target, source) if back else (source, target) for source, target, back in edges})
    layers = layered(count, turned)
    middles = aligned(layers, _distance)
    column_of = {item: at for at, column in enumerate(layers.columns) for item in column}
    top = min(middle - (NODE_HEIGHT // 2 if item < count else 0) for item, middle in enumerate(middles))
    middles = [middle - top for middle in middles]
    corners = [(_left(column_of[node]), middles[node] - NODE_HEIGHT // 2) for node in range(count)]
    bottom = max(middle + (NODE_HEIGHT // 2 if item < count else 0) for item, middle in enumerate(middles))
    lane_of: dict[int, int] = {}
    lines: dict[Pair, tuple[Point, ...]] = {}
    for source, target, back in edges:
        left, right = (target, source) if back else (source, target)
        port = _BACK_PORT if back else 0
        beside = _BEND_GAP // 2 if back and (left, right) in both_ways else 0
        start = (corners[left][0] + NODE_WIDTH, middles[left] + port)
        end = (corners[right][0], middles[right] + port)
        if (left, right) in layers.bends:
            between = [
                (x, middles[bend] + beside)
                for bend in layers.bends[left, right]
                for x in (_left(column_of[bend]), _left(column_of[bend]) + NODE_WIDTH)
            ]
        else:
            lane = lane_of.setdefault(left, len(lane_of) % _LANES)
            between = _around(start, end, lane, bottom + _EDGE_GAP + lane * _LANE_GAP)
        line = _straightened([start, *between, end])
        lines[source, target] = tuple(reversed(line)) if back else line
    if layers.around:
        bottom += _EDGE_GAP + _LANES * _LANE_GAP
    return _Drawing(len(layers.columns), bottom, corners, lines)


def _distance(upper: bool, lower: bool) -> int:  # noqa: FBT001 - the two are alike
    if upper and lower:
        return NODE_HEIGHT + GAP_Y
    return NODE_HEIGHT // 2 + _EDGE_GAP if upper or lower else _BEND_GAP


def _around(start: Point, end: Point, lane: int, y: int) -> list[Point]:
    """Return the way of an edge below everything: down and up between columns, where no boxes are."""
    down, up = start[0] + _LANE_GAP * lane // 2 + _LANE_GAP, end[0] - _LANE_GAP * lane // 2 - _LANE_GAP
    return [(down, start[1]), (down, y), (up, y), (up, end[1])]


def _straightened(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points without those in the middle of level stretches."""
    kept = [
        here
        for before, here, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == here[1] == after[1]
    ]
    return points[0], *kept, points[-1]
