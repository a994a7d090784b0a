"""Which steps are one node, and what a graph of very many steps is."""

import time

from failpath_otel.local.flows.graph.edge import Edge
from failpath_otel.local.flows.shape import MAX_DRAWN, DeclaredFlow, Node, SeenRun, Shape, shape_of
from failpath_otel.local.flows.statistics import node_stats, step_stats
from failpath_otel.local.runs.summary import AttemptSummary
from tests.local.events import event
from tests.local.flows.summaries import attempt, stored
from tests.local.page import Page


def at_once(*keys: str) -> list[AttemptSummary]:
    """A run of steps that all begin at once, and end one after the other."""
    return [attempt(key, number, 1_000 + number) for number, key in enumerate(keys)]


def shape(*runs: list[AttemptSummary], declared: DeclaredFlow | None = None) -> Shape:
    return shape_of([SeenRun(run) for run in runs], declared)


def nodes(found: Shape) -> dict[str, int]:
    """The nodes with their numbers of members."""
    return {node.step_key: len(node.members) for node in found.nodes}


def test_steps_with_a_number_each_are_one_node_where_the_first_of_them_was_seen() -> None:
    found = shape(at_once("begin", *[f"part-{number}-of-a" for number in range(1, 12)], "end"))
    assert nodes(found) == {"begin": 0, "part-*-of-a": 11, "end": 0}
    assert found.nodes[1].label == "part-*-of-a"
    assert found.nodes[1].members[1:3] == ("part-2-of-a", "part-3-of-a")
    assert found.nodes[1].members[-1] == "part-11-of-a"


def test_a_few_are_not() -> None:
    assert len(nodes(shape(at_once(*[f"part-{number}" for number in range(9)])))) == 9


def test_declared_steps_are_not() -> None:
    declared = DeclaredFlow("f", (Node("part-3", "Three"),))
    found = shape(at_once(*[f"part-{number}" for number in range(11)]), declared=declared)
    assert nodes(found) == {"part-3": 0, "part-*": 10}


def test_steps_that_follow_each_other_are_not_whatever_their_numbers_are() -> None:
    for order in (list(range(30)), list(range(30))[::-1], [number * 7 % 30 for number in range(30)]):
        run = [attempt(f"stage-{number}", 10 * place, 10 * place + 9) for place, number in enumerate(order)]
        assert len(nodes(shape(run, run, run))) == 30


def test_lanes_are_not_unless_there_are_very_many() -> None:
    for lanes, expected in ((12, 24), (60, 2)):
        keys = [f"lane-{lane:02}-{step}" for step in ("load", "store") for lane in range(lanes)]
        assert len(nodes(shape(at_once(*keys)))) == expected


def test_steps_inside_different_steps_are_not() -> None:
    run = [attempt(f"outer-{key}", 0, 100, span=key) for key in "ab"]
    run += [attempt(f"part-{number}", number, 50, parent="ab"[number % 2]) for number in range(20)]
    assert len(nodes(shape(run))) == 22
    inside_one = [attempt("outer", 0, 100, span="a")]
    inside_one += [attempt(f"part-{number}", number, 50, parent="a") for number in range(20)]
    found = shape(inside_one)
    assert nodes(found) == {"outer": 0, "part-*": 20}
    assert found.edges == [Edge("outer", "part-*", 1, "inside")]


def test_a_pattern_that_is_the_key_of_a_step_too_is_none() -> None:
    assert len(nodes(shape(at_once("part-*", *[f"part-{number}" for number in range(20)])))) == 21


def test_the_figures_of_a_node_are_those_of_its_members_together() -> None:
    keys = [f"part-{number}" for number in range(10)]
    runs = [
        stored("1", [attempt(key, 0, 10 + 10 * number) for number, key in enumerate(keys)]),
        stored(
            "2",
            [
                attempt("part-0", 0, 10, "error", newest=False),
                attempt("part-0", 20, 40),
                attempt("part-1", 30, 50, "error"),
                attempt("part-2", 60, None),
                attempt("other", 0, 5),
            ],
        ),
        stored("3", [attempt("other", 0, 5)]),
    ]
    steps = step_stats(runs)
    found = node_stats(runs, steps, {"part-*": keys, "other": ()})
    assert found["other"] == steps["other"]
    together = found["part-*"]
    assert (together.runs, together.ended, together.failed, together.running) == (2, 12, 1, 1)
    assert together.failure_rate == 1 / 12
    # Of 10 10 20 20 20 30 40 … 100 the seventh.
    assert (together.p50_ms, together.p95_ms) == (40.0, 100.0)
    # `part-1` began after `part-0` had failed, and is no retry of it.
    assert (together.failed_attempts, together.retries, together.retried_runs) == (2, 1, 1)


def test_the_page_gets_members_and_their_figures(page: Page) -> None:
    page.add(
        *[event("success", 2, started=1, step=f"part-{number}", span=f"{number}") for number in range(11)],
        event("error", 3, started=1, step="part-11", span="11"),
        event("success", 5, started=4, step="end", span="end"),
    )
    graph = page.flow("checkout")["graph"]
    part, end = graph["nodes"]
    assert (part["stepKey"], len(part["members"]), part["runs"], part["failed"]) == ("part-*", 12, 1, 1)
    assert (end["stepKey"], end["members"], graph["listed"]) == ("end", [], False)
    assert [(edge["source"], edge["target"], edge["kind"], edge["taken"]) for edge in graph["edges"]] == [
        ("part-*", "end", "next", 1)
    ]
    assert page.run("run-1")["graph"] == graph


def test_a_graph_of_too_many_nodes_is_a_list_without_places(page: Page) -> None:
    names = [f"{one}{two}" for one in "abcdefghijklmnopqrstuvwxyz" for two in "abcdefghijklmnopqrst"]
    assert len(names) > MAX_DRAWN
    page.add(*[event("success", number, started=number, step=key, span=key) for number, key in enumerate(names)])
    graph = page.flow("checkout")["graph"]
    assert (graph["listed"], graph["edges"], graph["width"], graph["height"]) == (True, [], 0, 0)
    assert [node["stepKey"] for node in graph["nodes"]] == names
    assert {(node["x"], node["y"], node["width"], node["height"]) for node in graph["nodes"]} == {(0, 0, 0, 0)}


def test_ten_thousand_steps_are_a_matter_of_a_moment() -> None:
    for run in (at_once(*[f"part-{number}" for number in range(10_000)]), at_once(*map(_word, range(10_000)))):
        began = time.process_time()
        shape(run)
        assert time.process_time() - began < 1


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
