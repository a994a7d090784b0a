"""Rules over trees of spans whose attributes come late, against a model that knows all attributes from the start."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Tracer, set_span_in_context

from failpath_otel import StepRule, limits
from failpath_otel.records import rule_matches
from failpath_otel.records.rule_conflicts import first_conflict
from failpath_otel.spans.late_timer import LateTimer
from tests.properties.tape import Tape, properties
from tests.properties.test_any_rules import applies

VALUES = st.dictionaries(st.sampled_from("pq"), st.sampled_from("xy"), max_size=2)
KINDS = st.sampled_from([SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT])
RULES = st.lists(
    st.builds(
        StepRule,
        st.sampled_from(["flow", "other"]),
        st.sampled_from(["a", "b", "{attr:p|'none'}"]),
        span_name=st.sampled_from(["*", "*", "a*", "b"]),
        kind=st.none() | st.sampled_from(["server", "internal"]),
        where=st.none() | st.dictionaries(st.sampled_from("pq"), st.sampled_from("x*"), min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=4,
).filter(lambda rules: first_conflict(rules) is None)


@dataclass(frozen=True)
class Planned:
    """A span to make, with those inside; attributes come with its start, before those inside, or after them."""

    name: str
    kind: SpanKind
    at_start: dict[str, str]
    late: dict[str, str]
    is_after: bool
    at_once: bool
    inside: tuple["Planned", ...] = ()
    number: int = 0

    def attributes(self) -> dict[str, str]:
        return {**self.late, **self.at_start}

    def numbered(self, numbers: Iterator[int]) -> "Planned":
        own = next(numbers)
        return replace(self, number=own, inside=tuple(each.numbered(numbers) for each in self.inside))


def planned(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Planned]:
    return st.builds(Planned, st.sampled_from("ab"), KINDS, VALUES, VALUES, st.booleans(), st.booleans(), inside)


def numbered(trees: list[Planned]) -> list[Planned]:
    numbers = itertools.count()
    return [tree.numbered(numbers) for tree in trees]


BELOW = st.recursive(
    planned(st.just(())), lambda below: planned(st.lists(below, min_size=1, max_size=3).map(tuple)), max_leaves=4
)
TREES = st.lists(planned(st.lists(BELOW, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=2).map(numbered)


def request(plan: Planned) -> Planned:
    """A request with work inside, of which everything that rules ask for is there at the start."""

    def work(each: Planned) -> Planned:
        attributes = {"p": "y", "q": "y", **each.attributes()}
        return replace(each, kind=SpanKind.INTERNAL, at_start=attributes, inside=tuple(map(work, each.inside)))

    return numbered([replace(work(plan), kind=SpanKind.SERVER, name="a")])[0]


REQUESTS = planned(st.lists(BELOW, min_size=1, max_size=3).map(tuple)).map(request)


def make(tracer: Tracer, plan: Planned, made: dict[int, int], parent: Any = None) -> Iterator[None]:
    """Makes a span and those inside; yields when it is open, and ends it when it is resumed."""
    span = tracer.start_span(plan.name, parent, kind=plan.kind, attributes=plan.at_start)
    made[span.get_span_context().span_id] = plan.number
    late = {key: value for key, value in plan.late.items() if key not in plan.at_start}
    if not plan.is_after:
        span.set_attributes(late)
    yield
    inside = [make(tracer, each, made, set_span_in_context(span)) for each in plan.inside]
    for each in inside:
        next(each)
        if not plan.at_once:
            next(each, None)
    if plan.at_once:
        for each in inside:
            next(each, None)
    if plan.is_after:
        span.set_attributes(late)
    span.end()


Steps = list[tuple[int, str, str]]
"""The number of each span that is a step, with the step's key and status."""


def steps_of(rules: list[StepRule], trees: list[Planned]) -> Steps:
    provider = TracerProvider(shutdown_on_exit=False)
    tape = Tape(provider=provider, rules=rules)
    made: dict[int, int] = {}
    for tree in trees:
        for _ in make(provider.get_tracer("web"), tree, made):
            pass
    tape.flush()
    reporter = tape._join.reporter
    assert not any((reporter._rule_spans.open, reporter._rule_spans.awaiting, reporter._open, reporter._ignored))
    return sorted((made[int(record.span_id, 16)], record.step_key, record.status) for record in tape.records())


def expected(rules: list[StepRule], trees: list[Planned]) -> Steps:
    """An ``INTERNAL`` span is a part of the request around it that is a step by the same rule."""
    found: Steps = []

    def visit(plan: Planned, around: tuple[tuple[Planned, StepRule], ...]) -> None:
        attributes = plan.attributes()
        rule = next(
            (each for each in rules if applies(each, "web", plan.name, plan.kind.name.lower(), attributes)), None
        )
        if rule is not None and plan.kind is SpanKind.INTERNAL and around:
            nearest, its = around[-1]
            if nearest.kind is not SpanKind.INTERNAL and its is rule:
                rule = None
        if rule is not None:
            around = (*around, (plan, rule))
            step = attributes.get("p") or "none" if rule.step.startswith("{") else rule.step
            found.extend((plan.number, step, status) for status in ("running", "success"))
        for each in plan.inside:
            visit(each, around)

    for tree in trees:
        visit(tree, ())
    return sorted(found)


@pytest.fixture(scope="module", autouse=True)
def _no_timer() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LateTimer, "start", lambda _: None)
        patch.setattr(limits, "LATE_RUN_ID", limits.MAX_SECONDS)
        yield


@properties(40)
@given(rules=RULES, trees=TREES)
def test_late_attributes_make_the_steps_that_they_make_at_the_start(
    rules: list[StepRule], trees: list[Planned]
) -> None:
    assert steps_of(rules, trees) == expected(rules, trees)


Places = list[tuple[int, str, str, int | None]]
"""The number of each span that is a step, with the step's key, its run and the number of the span that it is in."""


def places_of(rules: list[StepRule], request: Planned, *, late: bool) -> tuple[Places, bool]:
    """Also return whether work was reported before it was known what the request becomes."""
    provider = TracerProvider(shutdown_on_exit=False)
    tape = Tape(provider=provider, rules=rules)
    tracer, made = provider.get_tracer("web"), dict[str, int]()
    given = {**request.attributes(), "run": "of the request"}

    def visit(plan: Planned, parent: Any, attributes: dict[str, str]) -> Any:
        span = tracer.start_span(plan.name, parent, kind=plan.kind, attributes=attributes)
        made[f"{span.get_span_context().span_id:016x}"] = plan.number
        for each in plan.inside:
            visit(each, set_span_in_context(span), each.attributes()).end()
        return span

    root = visit(request, None, {} if late else given)
    is_early = bool(tape.records())
    root.set_attributes(given)
    root.end()
    tape.flush()
    records = tape.records()
    run_ids = {record.trace_id: "that of the trace" for record in records}
    return sorted(
        (
            made[record.span_id],
            record.step_key,
            run_ids.get(record.run_id, record.run_id),
            None if record.parent_span_id is None else made[record.parent_span_id],
        )
        for record in records
    ), is_early


@properties(40)
@given(rules=RULES.map(lambda rules: [replace(each, run_id="run") for each in rules]), plan=REQUESTS)
def test_work_that_waits_for_its_request_is_in_the_run_and_in_the_step_that_it_is_in_where_nothing_is_late(
    rules: list[StepRule], plan: Planned
) -> None:
    places, is_early = places_of(rules, plan, late=True)
    assume(not is_early)
    assert places == places_of(rules, plan, late=False)[0]


@properties(40)
@given(rules=RULES.map(lambda rules: rules[:1]), trees=TREES)
def test_where_attributes_are_not_waited_for_no_step_is_lost(rules: list[StepRule], trees: list[Planned]) -> None:
    # Of one rule: without a wait, the first one that applies is taken, and not the one that applies at the end.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rule_matches, "_IN_VAIN", 0)
        made = steps_of(rules, trees)
    found = {(number, status) for number, _, status in made}
    assert found >= {(number, status) for number, _, status in expected(rules, trees)}
