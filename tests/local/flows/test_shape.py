"""The shape of a flow follows from when its steps were seen, or from what was declared."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel.local.flows.graph import run_edges
from failpath_otel.local.flows.graph.edge import Edge
from failpath_otel.local.flows.graph.run_edges import MAX_EDGES, observed_edges
from failpath_otel.local.flows.shape import DeclaredFlow, Node, SeenRun, Shape, shape_of
from failpath_otel.local.runs.summary import AttemptSummary
from tests.local.flows.summaries import attempt


def _shape(runs: list[list[AttemptSummary]], declared: DeclaredFlow | None) -> Shape:
    return shape_of([SeenRun(run) for run in runs], declared)


def _edges(shape: Shape) -> dict[tuple[str, str], int]:
    return {(edge.source, edge.target): edge.taken for edge in shape.edges}


def _keys(shape: Shape) -> list[str]:
    return [node.step_key for node in shape.nodes]


def test_steps_one_after_the_other_are_a_chain() -> None:
    run = [attempt("a", 0, 10), attempt("b", 10, 20), attempt("c", 25, 30)]
    assert observed_edges(run) == {("a", "b"), ("b", "c")}


def test_steps_at_the_same_time_fan_out_and_in() -> None:
    run = [attempt("a", 0, 10), attempt("b", 11, 20), attempt("c", 12, 30), attempt("d", 31, 40)]
    assert observed_edges(run) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}


def test_a_step_around_others_is_joined_to_none_of_them() -> None:
    run = [attempt("whole", 0, 100), attempt("a", 1, 10), attempt("b", 20, 90), attempt("after", 100, 101)]
    assert observed_edges(run) == {("a", "b"), ("b", "after"), ("whole", "after")}


def test_nothing_follows_what_still_runs() -> None:
    assert observed_edges([attempt("a", 0, None), attempt("b", 10, 20), attempt("c", 20, 30)]) == {("b", "c")}


def test_a_step_lasts_from_its_first_attempt_to_its_last() -> None:
    run = [
        attempt("a", 0, 5),
        attempt("b", 6, 8, "error", newest=False),
        attempt("b", 20, 30),
        attempt("between", 10, 12),
        attempt("c", 31, 32),
    ]
    assert observed_edges(run) == {("a", "b"), ("a", "between"), ("b", "c"), ("between", "c")}


def test_an_older_attempt_that_never_ended_does_not_keep_a_step_open() -> None:
    run = [attempt("a", 0, None, newest=False), attempt("a", 10, 20), attempt("b", 30, 40)]
    assert observed_edges(run) == {("a", "b")}


def test_a_newest_attempt_without_an_end_keeps_a_step_open() -> None:
    run = [attempt("a", 0, 5, "error", newest=False), attempt("a", 10, None), attempt("b", 30, 40)]
    assert observed_edges(run) == set()


def test_a_skipped_step_is_an_instant_in_its_place() -> None:
    run = [attempt("a", 0, 10), attempt("skipped", None, 10), attempt("c", 10, 20)]
    assert observed_edges(run) == {("a", "skipped"), ("skipped", "c")}


def test_instants_of_one_microsecond_follow_each_other_one_way_only() -> None:
    run = [attempt(key, None, 10) for key in "cab"] + [attempt("d", 10, 10)]
    assert observed_edges(run) == {("a", "b"), ("b", "c"), ("c", "d")}


def test_a_clock_that_was_set_back_within_a_step_makes_it_an_instant() -> None:
    assert observed_edges([attempt("a", 10, 3), attempt("b", 10, 20)]) == {("a", "b")}


def test_a_run_without_steps_has_no_edges() -> None:
    assert observed_edges([]) == set()


_TIMES = st.integers(0, 12)
_RUNS = st.lists(
    st.builds(
        lambda key, start, length: attempt(key, start, None if length is None else start + length),
        st.sampled_from("abcdefghij"),
        _TIMES,
        st.none() | st.integers(0, 5),
    ),
    max_size=10,
    unique_by=lambda one: one.step_key,
)


@settings(deadline=None)
@given(_RUNS)
def test_edges_are_what_the_definition_says(run: list[AttemptSummary]) -> None:
    spans = sorted((a.started or 0, float("inf") if a.ended is None else a.ended, a.step_key) for a in run)

    def leads(first: tuple[int, float, str], second: tuple[int, float, str]) -> bool:
        return first < second and first[1] <= second[0]

    expected = {
        (a[2], b[2])
        for a in spans
        for b in spans
        if leads(a, b) and not any(leads(a, between) and leads(between, b) for between in spans)
    }
    assert observed_edges(run) == expected


@settings(deadline=None)
@given(_RUNS, st.randoms(use_true_random=False))
def test_edges_do_not_depend_on_the_order_of_the_steps(run: list[AttemptSummary], rng: random.Random) -> None:
    shuffled = list(run)
    rng.shuffle(shuffled)
    assert observed_edges(shuffled) == observed_edges(run)


def test_of_too_many_edges_each_step_keeps_the_one_from_what_ended_last_before_it() -> None:
    first = [attempt(f"a{number}", 0, 10 + number) for number in range(50)]
    second = [attempt(f"b{number}", 100, 200) for number in range(50)]
    assert len(first) * len(second) > MAX_EDGES
    assert observed_edges([*first, *second]) == {("a49", f"b{number}") for number in range(50)}


def test_just_so_many_edges_are_all_kept() -> None:
    first = [attempt(f"a{number}", 0, 10) for number in range(40)]
    second = [attempt(f"b{number}", 100, 200) for number in range(50)]
    assert len(observed_edges([*first, *second])) == MAX_EDGES


def test_edges_of_several_runs_are_counted_and_steps_stand_as_they_were_first_seen() -> None:
    runs = [
        [attempt("b", 0, 1), attempt("c", 2, 3)],
        [attempt("a", 0, 1), attempt("b", 2, 3), attempt("c", 4, 5)],
        [attempt("a", 0, 1), attempt("c", 4, 5)],
    ]
    shape = _shape(runs, None)
    assert _keys(shape) == ["b", "c", "a"]
    assert _edges(shape) == {("b", "c"): 2, ("a", "b"): 1, ("a", "c"): 1}
    assert [node.label for node in shape.nodes] == ["b", "c", "a"]
    assert not shape.declared


def test_no_runs_and_nothing_declared_is_an_empty_shape() -> None:
    assert _shape([], None) == Shape([], [], declared=False)


def test_a_flow_that_was_never_seen_is_as_it_was_declared() -> None:
    declared = DeclaredFlow("checkout", (Node("b", "Second"), Node("a", "First")), (("a", "b"),))
    assert _shape([], declared) == Shape([Node("b", "Second"), Node("a", "First")], [Edge("a", "b", 0)], declared=True)


def test_declared_steps_come_first_and_others_behind() -> None:
    declared = DeclaredFlow("checkout", (Node("b", "Second"), Node("a", "First")))
    shape = _shape([[attempt("x", 0, 1), attempt("a", 2, 3), attempt("b", 4, 5)]], declared)
    assert [(node.step_key, node.label) for node in shape.nodes] == [("b", "Second"), ("a", "First"), ("x", "x")]
    assert _edges(shape) == {("x", "a"): 1, ("a", "b"): 1}
    assert shape.declared


def test_declared_edges_stand_for_what_was_seen_between_declared_steps() -> None:
    declared = DeclaredFlow("checkout", tuple(Node(key, key) for key in "abc"), (("a", "b"), ("a", "c")))
    in_a_row = [attempt("a", 0, 1), attempt("x", 2, 3), attempt("b", 4, 5), attempt("c", 6, 7)]
    without_b = [attempt("a", 0, 1), attempt("c", 6, 7)]
    at_once = [attempt("a", 0, 9), attempt("b", 4, 5)]
    shape = _shape([in_a_row, without_b, at_once], declared)
    assert _edges(shape) == {("a", "b"): 1, ("a", "c"): 2, ("a", "x"): 1, ("x", "b"): 1}


def test_of_very_many_edges_over_all_runs_those_stay_that_were_taken_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_edges, "MAX_EDGES", 100)
    # Each run has a few of many steps in a row, so that nearly each comes next to each other one in some run.
    steps = [f"{letter}{other}" for letter in "abcd" for other in "abcdefghij"]
    rng = random.Random(5)
    usual = [attempt(step, 2 * place, 2 * place + 1) for place, step in enumerate(steps)]
    runs = [usual] * 5
    for _ in range(60):
        chosen = sorted(rng.sample(range(len(steps)), 8))
        runs.append([attempt(steps[place], 2 * place, 2 * place + 1) for place in chosen])
    shape = _shape(runs, None)
    assert len(shape.edges) == 100 + len(steps)
    kept = _edges(shape)
    assert all((one, other) in kept for one, other in pairwise(steps))
