"""The graph of a flow, as its runs alone show it, is the one that a person would draw of the program."""

import random
import re
from collections.abc import Mapping
from typing import Final

import pytest

from failpath_otel.local.flows.shape import SeenRun, shape_of
from failpath_otel.local.runs.summary import AttemptSummary
from tests.local.flows.summaries import attempt
from tests.local.flows.workflows import (
    AnyOrder,
    Choice,
    Interleaved,
    Loop,
    Maybe,
    Par,
    Part,
    Pool,
    Seq,
    Step,
    random_program,
    score,
)

RESIZED: Final = [f"resize-{number:03}" for number in range(1, 201)]


def _lanes(lanes: int, steps: int) -> list[Part]:
    return [Seq(*[f"lane-{lane}-{'abcdef'[step]}" for step in range(steps)]) for lane in range(1, lanes + 1)]


def _named(key: str) -> str:
    return re.sub(r"^(resize-|part-)\d+$", r"\1*", key)


PROGRAMS: Final[Mapping[str, tuple[Part, int]]] = {
    "a chain": (Seq(*"abcdef"), 1),
    "a chain of numbers": (Seq(*[f"stage-{number}" for number in range(1, 31)]), 5),
    "a fork and a join": (Seq("a", Par("b", "c", "d"), "e"), 10),
    "a fork of which one branch is always faster": (Seq("a", Par(Step("b", 1_000), "c"), "d"), 20),
    "a fork inside a fork": (Seq("a", Par(Seq("b", Par("c", "d"), "e"), Seq("f", "g")), "h"), 40),
    "lanes": (Par(*_lanes(12, 3)), 10),
    "lanes that join": (Seq("start", Par(*_lanes(12, 3)), "end"), 10),
    "lanes of different length": (Par(Seq("x"), Seq(*"abc"), Seq(*"defghi"), *_lanes(4, 2)), 20),
    "lanes that alternate in one thread": (Interleaved(*_lanes(12, 3)), 150),
    "a step that nothing waits for": (Seq("a", Par(Seq(*"bcde"), "mail")), 40),
    "a loop": (Seq("start", Loop(0.5, "fetch", "check"), "done"), 10),
    "a loop with retries": (
        Seq("start", Loop(0.5, Step("fetch", retried=0.3), Step("check", retried=0.2)), "done"),
        15,
    ),
    "a loop beside a branch": (Seq("a", Par(Seq(Loop(0.5, "b", "c"), "d"), Seq("e", "f")), "g"), 30),
    "retries beside a branch": (Seq("a", Par(Step("b", retried=0.3), Seq(Step("c", retried=0.3), "d")), "e"), 20),
    "a fan-out": (Seq("split", Par(*RESIZED), "merge"), 3),
    "a fan-out with few workers": (Seq("split", Pool(8, *RESIZED), "merge"), 3),
    "a fan-out in one thread": (Seq("split", AnyOrder(*RESIZED[:40]), "merge"), 15),
    "nesting": (Seq("a", Step("b", inside=Seq("c", Par("d", "e"), Step("f", inside=Seq("g", "h")))), "i"), 5),
    "many in a step": (Seq("a", Step("b", inside=Seq(*[f"{x}{y}" for x in "pqrstu" for y in "abcdefghij"])), "c"), 2),
    "many at once in a step": (Seq("a", Step("b", inside=Par(*[f"part-{number}" for number in range(60)])), "c"), 3),
    "optional steps": (Seq("a", Maybe(0.6, "b"), "c", Maybe(0.5, "d"), Maybe(0.5, "e"), "f"), 20),
    "one of two branches": (Seq("a", Choice("b", Seq("c", "d")), "e"), 20),
    "steps in any order": (Seq("a", AnyOrder("x", "y", "z"), "b"), 20),
    "a mix": (
        Seq(
            "receive",
            Maybe(0.7, "validate"),
            Par(
                Seq("load", Step("import", inside=Seq("parse", Loop(0.4, "write", "verify"), "commit"))),
                Seq(Step("notify", 140_000), Maybe(0.5, "escalate")),
            ),
            AnyOrder("archive", "index"),
            Par(*[f"resize-{number:02}" for number in range(30)]),
            "done",
        ),
        60,
    ),
    "several processes": (
        Seq(
            "a",
            Step("b", process="x"),
            "c",
            Par(Step("d", process="y"), Seq(Step("e", process="z"), "f")),
            Step("g", 5_000, process="x"),
            "h",
        ),
        40,
    ),
}
"""Each with the number of runs that its graph is inferred from."""


@pytest.mark.parametrize(("fails", "skew"), [(0, 0), (0.02, 0), (0, 3_000)], ids=["good", "failing", "other clocks"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_graph_is_what_a_person_would_draw(name: str, fails: float, skew: float) -> None:
    program, runs = PROGRAMS[name]
    found = score(program, runs, named=_named, fails=fails, skew=skew)
    assert found.wrong == set()
    assert len(found.missing) <= 0.05 * len(found.right | found.missing), found.missing
    assert found.right


def test_so_are_the_graphs_of_programs_that_are_put_together_by_chance() -> None:
    right = missing = 0
    # A failing one is made again by its number.
    for number in range(40):
        chance = random.Random(number)
        program = random_program(chance, chance.randint(3, 16))
        found = score(program, 40, number, fails=chance.choice([0, 0.02]))
        assert found.wrong == set(), number
        right += len(found.right)
        missing += len(found.missing)
    assert right > 400
    assert missing <= 0.05 * (right + missing)


def _edges(*runs: list[AttemptSummary]) -> set[tuple[str, str, str]]:
    return {(edge.kind, edge.source, edge.target) for edge in shape_of([SeenRun(run) for run in runs], None).edges}


def test_what_runs_at_once_and_alternates_is_not_joined_by_a_single_run() -> None:
    run = [attempt("a", 0, 10), attempt("x", 5, 12), attempt("b", 11, 20), attempt("y", 13, 30)]
    assert _edges(run) == set()


def test_a_run_that_another_process_began_anew_is_no_loop() -> None:
    died = [attempt("a", 0, 10), attempt("a", 50, 60), attempt("b", 11, 20), attempt("b", 61, 70)]
    assert _edges([*died, attempt("c", 21, 30), attempt("c", 71, 80)]) == {
        ("next", "a", "b"),
        ("next", "b", "c"),
        ("back", "c", "a"),
    }
    assert _edges([*died, attempt("c", 21, None, newest=False), attempt("c", 71, 80)]) == {
        ("next", "a", "b"),
        ("next", "b", "c"),
    }


def test_a_loop_that_leaves_in_its_middle_is_left_there() -> None:
    run = [
        attempt("draft", 0, 10),
        attempt("review", 11, 20),
        attempt("review", 31, 40),
        attempt("fix", 21, 30),
        attempt("publish", 41, 50),
    ]
    assert _edges(run) == {
        ("next", "draft", "review"),
        ("next", "review", "fix"),
        ("back", "fix", "review"),
        ("next", "review", "publish"),
    }


def test_runs_that_do_not_say_what_is_inside_of_what_change_nothing_about_it() -> None:
    def run(parent: str | None) -> list[AttemptSummary]:
        inside = [attempt("b", 11, 15, parent=parent), attempt("c", 16, 29, parent=parent)]
        return [attempt("a", 0, 5), attempt("outer", 10, 30, span="o"), *inside, attempt("d", 31, 40)]

    expected = {("next", "a", "outer"), ("inside", "outer", "b"), ("next", "b", "c"), ("next", "outer", "d")}
    assert _edges(run("o")) == _edges(run("o"), run(None)) == expected
    # Steps inside a step whose own records are lost have their order.
    assert _edges([each for each in run("o") if each.step_key != "outer"]) == {("next", "a", "d"), ("next", "b", "c")}


def test_an_order_of_which_one_run_in_a_hundred_is_an_outlier_is_one() -> None:
    usual = [attempt("a", 0, 10), attempt("b", 20, 30)]
    other = [attempt("a", 20, 30), attempt("b", 0, 10)]
    assert _edges(*[usual] * 99, other) == {("next", "a", "b")}
    assert _edges(*[usual] * 20, other) == set()


def test_skips_of_the_same_moment_have_no_order() -> None:
    run = [attempt("a", 0, 10), *[attempt(key, None, 12) for key in "zyx"], attempt("b", 20, 30)]
    assert _edges(run) == {("next", "a", key) for key in "xyz"} | {("next", key, "b") for key in "xyz"}
