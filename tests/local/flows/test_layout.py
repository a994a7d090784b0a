"""A layout puts boxes where they do not overlap and edges where they can be followed, every time the same."""

import random
from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel.local.flows import layers
from failpath_otel.local.flows.layout import (
    GAP_X,
    GAP_Y,
    NODE_HEIGHT,
    NODE_WIDTH,
    Layout,
    PlacedEdge,
    PlacedNode,
    _layout,
    layout,
    listed,
)

Graph = tuple[list[str], list[tuple[str, str]]]


def _forget() -> None:
    _layout.cache_clear()


def _graph(text: str) -> Graph:
    """``a>b>c d`` is two edges and four nodes."""
    nodes: dict[str, None] = {}
    edges: list[tuple[str, str]] = []
    for part in text.split():
        way = part.split(">")
        nodes.update(dict.fromkeys(way))
        edges += pairwise(way)
    return list(nodes), edges


def _draw(text: str) -> Layout:
    return layout(*_graph(text))


def _node(drawing: Layout, key: str) -> PlacedNode:
    (found,) = [node for node in drawing.nodes if node.step_key == key]
    return found


def _edge(drawing: Layout, source: str, target: str) -> PlacedEdge:
    (found,) = [edge for edge in drawing.edges if (edge.source, edge.target) == (source, target)]
    return found


def _middles(drawing: Layout, keys: str) -> list[int]:
    return [_node(drawing, key).y + NODE_HEIGHT // 2 for key in keys]


def _columns(drawing: Layout, keys: str) -> list[int]:
    left = min(node.x for node in drawing.nodes)
    return [(_node(drawing, key).x - left) // (NODE_WIDTH + GAP_X) for key in keys]


def _enters(start: tuple[int, int], end: tuple[int, int], box: PlacedNode) -> bool:
    """Whether a straight line has points in the inside of a box: clips the line's parameter at all four sides."""
    low, high = 0.0, 1.0
    sides = (
        (start[0], end[0] - start[0], box.x, box.x + box.width),
        (start[1], end[1] - start[1], box.y, box.y + box.height),
    )
    for origin, way, least, most in sides:
        if way == 0:
            if not least < origin < most:
                return False
            continue
        first, second = sorted(((least - origin) / way, (most - origin) / way))
        low, high = max(low, first), min(high, second)
    return low < high


def _check(drawing: Layout) -> None:
    boxes = {node.step_key: node for node in drawing.nodes}
    for box in drawing.nodes:
        assert (box.width, box.height) == (NODE_WIDTH, NODE_HEIGHT)
        assert 0 <= box.x <= drawing.width - box.width
        assert 0 <= box.y <= drawing.height - box.height
    for one, other in combinations(drawing.nodes, 2):
        beside = abs(one.x - other.x) >= NODE_WIDTH + GAP_X
        assert beside or abs(one.y - other.y) >= NODE_HEIGHT + GAP_Y, (one, other)
    for edge in drawing.edges:
        source, target = boxes[edge.source], boxes[edge.target]
        left, right = (target, source) if edge.back else (source, target)
        points = edge.points[::-1] if edge.back else edge.points
        assert left.x + left.width < right.x
        assert points[0][0] == left.x + left.width
        assert points[-1][0] == right.x
        assert left.y < points[0][1] < left.y + left.height
        assert right.y < points[-1][1] < right.y + right.height
        assert all(one[0] <= other[0] for one, other in pairwise(points))
        for x, y in points:
            assert 0 <= x <= drawing.width
            assert 0 <= y <= drawing.height
        crossed = [box.step_key for box in drawing.nodes for line in pairwise(points) if _enters(*line, box)]
        assert crossed == []


_NAMES = [f"n{number}" for number in range(14)]
_GRAPHS = st.tuples(
    st.lists(st.sampled_from(_NAMES), unique=True),
    st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_NAMES)), unique=True, max_size=30),
)


@settings(deadline=None)
@given(_GRAPHS)
def test_boxes_keep_their_distance_and_edges_lead_around_them(graph: Graph) -> None:
    nodes, edges = graph
    drawing = layout(nodes, edges)
    assert [node.step_key for node in drawing.nodes] == nodes
    assert {(edge.source, edge.target) for edge in drawing.edges} == {
        (source, target) for source, target in edges if source != target and source in nodes and target in nodes
    }
    _check(drawing)


@settings(deadline=None)
@given(_GRAPHS, st.randoms(use_true_random=False))
def test_the_order_of_the_edges_changes_nothing(graph: Graph, rng: random.Random) -> None:
    nodes, edges = graph
    drawing = layout(nodes, edges)
    shuffled = list(edges)
    rng.shuffle(shuffled)
    # Not from the cache, which would have it whatever the order.
    _forget()
    assert layout(nodes, shuffled) == drawing


@settings(deadline=None)
@given(_GRAPHS)
def test_without_circles_nothing_leads_back_and_with_them_what_is_left_has_none(graph: Graph) -> None:
    nodes, edges = graph
    forward = layout(nodes, [(source, target) for source, target in edges if source < target])
    assert not any(edge.back for edge in forward.edges)
    ahead = [(edge.source, edge.target) for edge in layout(nodes, edges).edges if not edge.back]
    assert not any(edge.back for edge in layout(nodes, ahead).edges)


def test_coordinates_are_whole_numbers_also_in_json() -> None:
    drawing = _draw("a>b>d a>c>d a>d d>a")
    numbers = msgspec.json.encode(drawing).decode()
    assert "." not in numbers
    assert '"stepKey"' in numbers


def test_a_chain_is_one_line_from_left_to_right() -> None:
    drawing = _draw("a>b>c>d")
    assert len({node.y for node in drawing.nodes}) == 1
    assert _columns(drawing, "abcd") == [0, 1, 2, 3]
    assert all(len(edge.points) == 2 for edge in drawing.edges)


def test_steps_at_once_stand_symmetrically_in_their_first_order() -> None:
    drawing = _draw("a>b>e a>c>e a>d>e")
    a, b, c, d, e = _middles(drawing, "abcde")
    assert a == c == e
    assert c - b == d - c == NODE_HEIGHT + GAP_Y


def test_two_branches_stand_evenly_around_what_they_come_from() -> None:
    drawing = _draw("a>b a>c b>p b>q c>r c>s c>t")
    a, b, c = _middles(drawing, "abc")
    p, q, r, s, t = _middles(drawing, "pqrst")
    assert 2 * a == b + c
    assert 2 * b == p + q
    assert c == s
    assert p < q < r < s < t


def test_an_edge_that_passes_steps_by_leaves_their_line_straight() -> None:
    drawing = _draw("a>b>c>d a>d")
    assert len(set(_middles(drawing, "abcd"))) == 1
    points = _edge(drawing, "a", "d").points
    assert len(points) == 4
    assert points[1][1] == points[2][1] > _node(drawing, "b").y + NODE_HEIGHT


def test_an_edge_that_closes_a_circle_is_marked_and_runs_beside_the_others() -> None:
    drawing = _draw("a>b>c c>a c>b")
    assert {(edge.source, edge.target) for edge in drawing.edges if edge.back} == {("c", "a"), ("c", "b")}
    ahead, back = _edge(drawing, "b", "c").points, _edge(drawing, "c", "b").points
    assert {y for _, y in ahead}.isdisjoint({y for _, y in back})


@settings(deadline=None)
@given(_GRAPHS, st.sets(st.integers(0, 29)))
def test_edges_that_are_known_to_lead_back_do_so_unless_the_others_lead_the_same_way(
    graph: Graph, known: set[int]
) -> None:
    nodes, edges = graph
    back = [edge for number, edge in enumerate(edges) if number in known]
    drawing = layout(nodes, edges, back)
    _check(drawing)
    assert {(edge.source, edge.target) for edge in drawing.edges} == {
        (edge.source, edge.target) for edge in layout(nodes, edges).edges
    }


def test_a_loop_leads_back_where_it_is_known_to_and_not_where_its_steps_stand_first() -> None:
    # Without knowing, a walk from `a` would find `a>b` first, and `b>a` the way back.
    nodes, edges = _graph("a>b b>a")
    assert [edge.source for edge in layout(nodes, edges).edges if edge.back] == ["b"]
    drawing = layout(nodes, edges, [("a", "b")])
    assert [edge.source for edge in drawing.edges if edge.back] == ["a"]
    assert _columns(drawing, "ba") == [0, 1]


def test_a_list_has_no_places() -> None:
    drawing = listed(["a", "b"])
    assert [(node.step_key, node.x, node.y, node.width, node.height) for node in drawing.nodes] == [
        ("a", 0, 0, 0, 0),
        ("b", 0, 0, 0, 0),
    ]
    assert (drawing.width, drawing.height, drawing.edges) == (0, 0, ())


def test_a_long_way_there_and_back_are_two_lines() -> None:
    drawing = _draw("a>b>c>d a>d d>a")
    _check(drawing)
    levels = [{y for _, y in _edge(drawing, *ends).points[1:-1]} for ends in (("a", "d"), ("d", "a"))]
    assert levels[0].isdisjoint(levels[1])


def test_what_nothing_leads_to_is_where_a_circle_begins() -> None:
    drawing = _draw("b>c>b a>b")
    assert _columns(drawing, "abc") == [0, 1, 2]


def test_crossings_that_need_not_be_are_not_there() -> None:
    drawing = layout(["a", "b", "c", "p", "q", "r"], [("a", "r"), ("b", "q"), ("c", "p"), ("b", "r"), ("b", "p")])
    a, b, c = _middles(drawing, "abc")
    p, q, r = _middles(drawing, "pqr")
    assert (a < b < c, r < q < p) in {(True, True), (False, False)}


def test_parts_that_nothing_joins_stand_below_each_other() -> None:
    drawing = _draw("a>b x>y")
    a, x = _middles(drawing, "ax")
    assert x - a == NODE_HEIGHT + GAP_Y
    assert _columns(drawing, "abxy") == [0, 1, 0, 1]


def test_steps_without_edges_fill_rows_under_the_rest_in_their_order() -> None:
    drawing = layout(["p", "a", "q", "b", "r", "s", "t", "u"], [("a", "b")])
    assert _columns(drawing, "ab") == [0, 1]
    assert _columns(drawing, "pqrstu") == [0, 1, 2, 3, 4, 0]
    rows = [y - _middles(drawing, "a")[0] for y in _middles(drawing, "pqrstu")]
    assert rows == [NODE_HEIGHT + GAP_Y] * 5 + [2 * (NODE_HEIGHT + GAP_Y)]


def test_very_many_steps_without_edges_are_about_as_wide_as_high() -> None:
    drawing = layout([f"n{number}" for number in range(1000)], [])
    _check(drawing)
    assert 0.8 < drawing.width / drawing.height < 1.25


def test_nothing_is_an_empty_layout() -> None:
    assert layout([], []) == Layout(0, 0, (), ())


def test_edges_to_themselves_or_to_nowhere_are_left_out_and_repeated_nodes_stand_once() -> None:
    assert layout(["a", "b", "a"], [("a", "b"), ("a", "a"), ("a", "x"), ("x", "b")]) == layout(["a", "b"], [("a", "b")])


def test_a_chain_of_5000_steps_needs_no_recursion() -> None:
    names = [f"n{number}" for number in range(5000)]
    drawing = layout(names, [*pairwise(names), (names[-1], names[0])])
    assert len({node.y for node in drawing.nodes}) == 1
    assert [edge.source for edge in drawing.edges if edge.back] == ["n4999"]


@pytest.mark.parametrize("circles", [False, True])
def test_edges_beyond_what_can_be_sorted_go_around_everything(circles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MAX_BENDS", 40)
    _forget()
    rng = random.Random(3)
    names = [f"n{number}" for number in range(40)]
    pairs = {(rng.randrange(40), rng.randrange(40)) for _ in range(120)}
    edges = [(names[one], names[other]) for one, other in pairs if one < other or (circles and one > other)]
    drawing = layout(names, [*edges, *pairwise(names)])
    _forget()
    lowest = max(node.y + node.height for node in drawing.nodes)
    assert any(max(y for _, y in edge.points) > lowest for edge in drawing.edges)
    _check(drawing)


def test_300_steps_with_2000_edges_are_laid_out() -> None:
    rng = random.Random(7)
    names = [f"n{number}" for number in range(300)]
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < 2000:
        pairs.add((rng.randrange(300), rng.randrange(300)))
    drawing = layout(names, [(names[one], names[other]) for one, other in pairs if one != other])
    assert {node.step_key for node in drawing.nodes} == set(names)
    assert len(drawing.edges) == sum(one != other for one, other in pairs)
