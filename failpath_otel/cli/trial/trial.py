"""A trial: which spans have come, and what rules make of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from failpath_otel.cli.trial.near_misses import near_miss, near_misses, reasons
from failpath_otel.otlp.seen.span import SeenSpan
from failpath_otel.records.matching.keys import OTHER, Names
from failpath_otel.records.matching.values import attributes_to_match
from failpath_otel.records.rule_matches import Candidate
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.rules import StepRule
from failpath_otel.scrubbing.keys import REDACTED
from failpath_otel.semconv import FLOW_KEY, STEP_KEY

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MAX_GROUPS: Final = 2_000
"""Different scopes, names and kinds of spans that are kept."""

_MAX_STEPS: Final = 200
_EXAMPLES: Final = 3
_LOOKED_AT: Final = 5
"""Spans of one name that are looked at for what they miss."""


class SpanName(msgspec.Struct, frozen=True):
    """Spans of one scope, name and kind."""

    scope: str
    name: str
    kind: str


class StepMade(msgspec.Struct):
    """A step that a rule has made of spans of one name."""

    rule: str
    flow: str
    step: str
    spans: int = 0
    run_ids: list[str] = []
    """Some of its run ids, from attributes."""
    without_run_id: int = 0
    """Spans in whose attributes there was no run id: they are in the run around them, or in that of their trace."""
    notes: list[str] = []


class Near(msgspec.Struct, frozen=True):
    """A rule that nearly applies to spans of one name, and what it fails by."""

    rule: str
    reason: str


class SpanResult(msgspec.Struct):
    """What has become of the spans of one scope, name and kind."""

    span: SpanName
    spans: int = 0
    steps: list[StepMade] = []
    states_itself: int = 0
    """Spans that state their own flow or step, to which no rule applies."""
    unmatched: int = 0
    near: list[Near] = []


class UnusedRule(msgspec.Struct):
    """A rule that has applied to no span; ``reason`` is what the nearest span fails by, if one came near."""

    rule: str
    span_name: str
    nearest: SpanName | None = None
    reason: str = ""


class TrialResult(msgspec.Struct):
    """The result of a trial."""

    spans: int
    steps: int
    missed: int
    """Spans that came, and were not seen."""
    results: list[SpanResult]
    unused: list[UnusedRule]


@dataclass(frozen=True)
class NamedRule:
    """A rule, and where it is."""

    rule: StepRule
    where: str


class Trial:
    """Takes spans, and keeps what rules make of them.

    Args:
        rules: the rules, in order.
    """

    def __init__(self, rules: Sequence[NamedRule]) -> None:
        self._named: Final = tuple(rules)
        self._rules: Final = tuple(each.rule for each in rules)
        self._in_use: Final = Rules(self._rules, many_services=True)
        self._results: Final[dict[SpanName, SpanResult]] = {}
        self._examples: Final[dict[SpanName, SeenSpan]] = {}
        self._used: Final[set[int]] = set()
        self.spans = 0
        """The spans so far."""
        self.missed = 0
        """Spans that came, and were not seen."""

    def take(self, spans: Iterable[SeenSpan]) -> None:
        """Take spans that have ended."""
        for span in spans:
            self.spans += 1
            name = SpanName(span.scope, span.name, span.kind.name.lower())
            result = self._results.get(name)
            if result is None:
                if len(self._results) >= MAX_GROUPS:
                    self.missed += 1
                    continue
                result = self._results[name] = SpanResult(name)
                self._examples[name] = span
            result.spans += 1
            self._judge(span, result)

    def _judge(self, span: SeenSpan, result: SpanResult) -> None:
        if FLOW_KEY in span.attributes or STEP_KEY in span.attributes:
            result.states_itself += 1
            return
        attributes = attributes_to_match(cast("ReadableSpan", span))  # it has all that is read
        chosen = self._in_use.choice_for(span, attributes)
        if chosen is not None:
            self._count_step(attributes, chosen, result)
            return
        result.unmatched += 1
        if result.unmatched <= _LOOKED_AT:
            for place, reason in near_misses(self._rules, span):
                near = Near(self._named[place].where, reason)
                if near not in result.near:
                    result.near.append(near)

    def _count_step(self, attributes: dict[str, Any], chosen: Candidate, result: SpanResult) -> None:
        place = next(number for number, rule in enumerate(self._rules) if rule is chosen.rule)
        self._used.add(place)
        where = self._named[place].where
        names = chosen.names(attributes)
        assert names is not None  # the span has ended
        # What looks like a secret is no key and no run id; here it comes without.
        names = Names(*(OTHER if REDACTED in key else key for key in names))
        made = next((each for each in result.steps if (each.rule, each.flow, each.step) == (where, *names)), None)
        if made is None:
            if len(result.steps) >= _MAX_STEPS:
                return
            made = StepMade(where, names.flow, names.step)
            if OTHER in names:
                made.notes += [
                    f"{key} is {OTHER!r}: there is nothing usable for {template!r}, or there are more than max_keys"
                    for key, name, template in (
                        ("flow", names.flow, chosen.rule.flow),
                        ("step", names.step, chosen.rule.step),
                    )
                    if name == OTHER != template
                ]
            result.steps.append(made)
        made.spans += 1
        run_id = chosen.run_id(attributes)
        if not run_id or REDACTED in run_id:
            made.without_run_id += 1
        elif run_id not in made.run_ids and len(made.run_ids) < _EXAMPLES:
            made.run_ids.append(run_id)

    def result(self) -> TrialResult:
        """Return the result so far."""
        results = sorted(self._results.values(), key=lambda each: (not each.steps, -each.spans, each.span.name))
        steps = sum(made.spans for each in results for made in each.steps)
        unused = [self._unused(place) for place in range(len(self._rules)) if place not in self._used]
        return TrialResult(self.spans, steps, self.missed, results, unused)

    def _unused(self, place: int) -> UnusedRule:
        named = self._named[place]
        found = UnusedRule(named.where, named.rule.span_name)
        best = 0.0
        for name, span in self._examples.items():
            near = near_miss(named.rule, span)
            if near is None and not reasons(named.rule, span):
                near = 1.0, "an earlier rule applies"
            if near is not None and near[0] > best:
                best, found.nearest, found.reason = near[0], name, near[1]
        return found
