"""Which of the rules for a scope and a name applies to a span, and the names that it gives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.trace import SpanKind

from failpath_otel import limits
from failpath_otel.records.matching.conditions import Condition, Verdict
from failpath_otel.records.matching.globs import Wildcards
from failpath_otel.records.matching.keys import BoundedKeys, KeyLog, Names
from failpath_otel.records.matching.service_keys import RuleKeys, ServiceKeys, service_of
from failpath_otel.records.matching.templates import Template
from failpath_otel.records.matching.values import RESOURCE, text_of_attribute, usable_run_id
from failpath_otel.records.rules import KINDS, StepRule
from failpath_otel.scrubbing.key_parts import clean_key_part


class RuleInUse:
    """A rule with what it has made so far.

    Args:
        rule: the rule.
        services: has the keys where the spans are those of many services.
    """

    def __init__(self, rule: StepRule, services: ServiceKeys | None = None) -> None:
        self.rule: Final = rule
        self.kind: Final = None if rule.kind is None else KINDS[rule.kind]
        self.conditions: Final = tuple(Condition(name, expected) for name, expected in (rule.where or {}).items())
        self.applies_always: Final = self.kind is None and not self.conditions
        """It asks for nothing but a scope and a name."""
        self.flow: Final = Template(rule.flow)
        self.step: Final = Template(rule.step)
        run_id = Template(rule.run_id or "")
        self.run_id: Final = None if run_id.is_fixed else run_id
        """The template of the run id, where it is one and not the name of an attribute."""
        self.wildcards: Final = Wildcards(rule.span_name)
        self.fixed_flow: Final = self.flow.text if self.flow.is_fixed else None
        fixed_step = self.step.text if self.step.is_fixed else None
        self.fixed_names: Final = (
            None if self.fixed_flow is None or fixed_step is None else Names(self.fixed_flow, fixed_step)
        )
        self._resources: Final = (*self.flow.resources, *self.step.resources)
        self._depends_on_span: Final = bool(self.flow.attributes or self.step.attributes)
        self._services: Final = None if self.fixed_names is not None else services
        self.reads_attributes: Final = bool(self._depends_on_span or self._resources or self._services is not None)
        """Flow or step depend on attributes, of the span or of its resource."""
        log = KeyLog(repr(rule.span_name))
        self._keys: Final = BoundedKeys(rule.max_keys, self.fixed_flow, fixed_step, log, log.too_many)
        self._keys_of_services: Final = RuleKeys(rule.max_keys, self.fixed_flow, fixed_step, log)

    def origin_of(self, attributes: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return what flow and step depend on beside the name of a span; ``None`` if it is too much to be kept."""
        if self._depends_on_span:
            return None
        resource = attributes.get(RESOURCE) or {} if self._resources else {}
        found = tuple([text_of_attribute(resource.get(name)) for name in self._resources])
        if self._services is not None:
            found = service_of(attributes), *found
        return found if max(map(len, found), default=0) <= limits.MAX_KEY_CHARS else None

    def names(self, flow: str | None, step: str | None, attributes: Mapping[str, Any]) -> Names:
        """Return the keys for what flow and step have become of a span with these attributes."""
        if self._services is None:
            return self._keys.names(flow, step)
        return self._services.names(self._keys_of_services, service_of(attributes), flow, step)


class Candidate:
    """A rule for a scope and a name, with what its wildcards stand for in that name."""

    __slots__ = ("_known", "in_use", "rule", "wildcards")

    def __init__(self, in_use: RuleInUse, name: str) -> None:
        self.in_use: Final = in_use
        self.rule: Final = in_use.rule
        self.wildcards: Final = in_use.wildcards.captured(name)
        # With what they depend on, of the most recent span: most programs have one resource.
        self._known: tuple[tuple[str, ...], Names] | None = (
            None if in_use.fixed_names is None else ((), in_use.fixed_names)
        )

    def verdict(self, kind: object, attributes: Mapping[str, Any]) -> Verdict:
        """Return whether the rule applies to a span of this kind with these attributes."""
        in_use = self.in_use
        if in_use.kind is not None and kind is not in_use.kind:
            return "differs"
        found: Verdict = "matches"
        for condition in in_use.conditions:
            verdict = condition.verdict(attributes)
            if verdict == "differs":
                return verdict
            if verdict == "missing":
                found = verdict
        return found

    def names(self, attributes: Mapping[str, Any], *, may_wait: bool = False) -> Names | None:
        """Return the names of the step; ``None`` if they may change once the span has more attributes.

        Args:
            attributes: those that the span has by now.
            may_wait: there can be more later.
        """
        in_use = self.in_use
        known = self._known
        origin = in_use.origin_of(attributes) if in_use.reads_attributes else ()
        if known is not None and known[0] == origin:
            return known[1]
        flow, flow_is_complete = in_use.flow.render(self.wildcards, attributes, clean_key_part)
        step, step_is_complete = in_use.step.render(self.wildcards, attributes, clean_key_part)
        if may_wait and not (flow_is_complete and step_is_complete):
            return None
        names = in_use.names(flow, step, attributes)
        if origin is not None:
            self._known = origin, names
        return names

    def run_id(self, attributes: Mapping[str, Any], *, may_wait: bool = False) -> str:
        """Return the run id in the span's attributes; empty if there is none, or if it may change as above."""
        name, template = self.rule.run_id, self.in_use.run_id
        if name is None:
            return ""
        if template is None:
            return usable_run_id(attributes.get(name))
        text, is_complete = template.render(self.wildcards, attributes)
        return "" if may_wait and not is_complete else usable_run_id(text)


class Candidates:
    """The rules for one scope and one name, in order; those behind one that always applies are left out.

    Args:
        choices: these rules; at least one.
        patience: how long it is worth to wait for attributes, by kinds of spans.
    """

    __slots__ = ("_asked", "_by_kind", "_choices", "_patience", "only")

    def __init__(self, choices: Sequence[Candidate], patience: "Patience") -> None:
        self._choices: Final = tuple(choices)
        self._patience: Final = patience
        self.only: Final = choices[0] if choices[0].in_use.applies_always else None
        """The rule, if it applies to all spans of this scope and name."""
        # What the rules ask for, if each of them asks for some attribute of spans of any kind.
        self._asked: Final = (
            frozenset(name for choice in choices for each in choice.in_use.conditions for name in each.names)
            if all(choice.in_use.conditions for choice in choices) and self._is_of_one_kind(choices)
            else frozenset[str]()
        )
        self._by_kind: Final[dict[object, Candidates | None] | None] = (
            {} if any(choice.in_use.kind is not None for choice in choices) else None
        )

    @staticmethod
    def _is_of_one_kind(choices: Sequence[Candidate]) -> bool:
        return all(choice.in_use.kind is None for choice in choices)

    def for_kind(self, kind: object) -> "Candidates | None":
        """Return the rules for spans of this kind; ``None`` if there are none."""
        by_kind = self._by_kind
        if by_kind is None:
            return self
        try:
            return by_kind[kind]
        except KeyError:
            choices = [choice for choice in self._choices if choice.in_use.kind in {None, kind}]
            by_kind[kind] = found = _OfOneKind(choices, self._patience) if choices else None
            return found
        except TypeError:  # OpenTelemetry does not check the type of a kind
            return None

    def choose(self, kind: SpanKind | None, attributes: Mapping[str, Any]) -> tuple[Candidate | None, bool]:
        """Return the first rule that applies, and whether an attribute that is missing could make it another one."""
        if self._asked and self._asked.isdisjoint(attributes):
            return None, True  # in most cases of a rule for any name
        is_open = False
        for choice in self._choices:
            verdict = choice.verdict(kind, attributes)
            if verdict == "matches":
                return choice, is_open
            is_open = is_open or verdict == "missing"
        return None, is_open

    def may_apply(self, may_have: Callable[[str], bool]) -> bool:
        """Return whether one may apply to a span of their kind, of which it is known what attributes it may have."""
        return any(
            all(any(map(may_have, condition.names)) for condition in choice.in_use.conditions)
            for choice in self._choices
        )

    def has(self, rule: StepRule) -> bool:
        """Return whether *rule* is one of them."""
        return any(choice.rule == rule for choice in self._choices)

    def is_worth_waiting(self, kind: SpanKind) -> bool:
        """Return whether to wait for an attribute that is missing at the start of a span."""
        return self._patience.is_left(kind)

    def waited(self, kind: SpanKind, *, for_something: bool) -> None:
        """Note whether an attribute has come that was waited for."""
        self._patience.waited(kind, for_something=for_something)


class _OfOneKind(Candidates):
    """Rules that all are for one kind, or for any."""

    __slots__ = ()

    @staticmethod
    def _is_of_one_kind(choices: Sequence[Candidate]) -> bool:  # noqa: ARG004 - they are
        return True

    def for_kind(self, kind: object) -> "Candidates | None":  # noqa: ARG002 - it is that kind
        """Return the same rules."""
        return self


class Patience:
    """Whether attributes that rules ask for come after the start of spans, of one scope and the same rules.

    A rule for all names that asks for an attribute would otherwise have each span without it watched.
    """

    def __init__(self) -> None:
        self._left: Final[dict[SpanKind, int]] = {}

    def is_left(self, kind: SpanKind) -> bool:
        """Return whether to wait: until that was in vain for some spans in a row, and again at times."""
        left = self._left.get(kind, _IN_VAIN)
        if left > 0:
            return True
        # Other threads may count at the same time; it need not be exact.
        self._left[kind] = left - 1 if left > -_UNTIL_NEXT else 1
        return False

    def waited(self, kind: SpanKind, *, for_something: bool) -> None:
        """Note whether an attribute has come that was waited for."""
        self._left[kind] = _IN_VAIN if for_something else self._left.get(kind, _IN_VAIN) - 1


_IN_VAIN: Final = 32
"""Spans in a row whose attributes are waited for in vain before others are not waited for."""

_UNTIL_NEXT: Final = 256
"""Spans that are not waited for until one is again."""
