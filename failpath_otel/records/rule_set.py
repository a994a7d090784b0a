"""The rules of a program, and the spans that they are for."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.trace import SpanKind

from failpath_otel import limits, semconv
from failpath_otel.records.matching.globs import Matcher, expression, is_literal, matcher
from failpath_otel.records.matching.service_keys import ServiceKeys
from failpath_otel.records.matching.values import attributes_as_dict
from failpath_otel.records.rule_matches import Candidate, Candidates, Patience, RuleInUse
from failpath_otel.records.rules import StepRule
from failpath_otel.scrubbing.values import clean_text


class Rules:
    """Rules that were checked against each other, and the spans that they match. Used on any thread.

    Most spans match no rule, so that case is fast: each pair of scope and name is matched once and cached.

    Args:
        rules: the first one that matches a span applies.
        many_services: whether the spans are those of many services, each of which has the ``max_keys`` of a rule.
    """

    def __init__(self, rules: Sequence[StepRule], *, many_services: bool = False) -> None:
        self._cache: Final[dict[tuple[str, str], Candidates | None]] = {}
        self._patience: Final[dict[tuple[str, tuple[int, ...]], Patience]] = {}
        self._has_seen_entry = False
        self.has_matched = False
        """Whether a rule has matched any span."""
        # With their place, because the first rule applies, literal or not.
        self._literal: Final[dict[str, list[tuple[int, Matcher, RuleInUse]]]] = {}
        self._globs: Final[list[tuple[int, Matcher, Matcher, RuleInUse]]] = []
        services = ServiceKeys() if many_services else None
        for place, rule in enumerate(rules):
            scope, in_use = matcher(rule.scope), RuleInUse(rule, services)
            if is_literal(rule.span_name):
                self._literal.setdefault(rule.span_name, []).append((place, scope, in_use))
            else:
                self._globs.append((place, matcher(rule.span_name), scope, in_use))
        names = "|".join(expression(rule.span_name) for rule in rules if not is_literal(rule.span_name))
        self._may_match: Final[Matcher] = re.compile(names or "(?!)").match

    def candidates(self, scope: str, name: str) -> Candidates | None:
        """Return the rules for spans with this name and instrumentation scope; ``None`` if there are none."""
        # Bounded, because some names contain a whole URL or statement.
        key = (scope[: limits.MAX_NAME_CHARS], name[: limits.MAX_NAME_CHARS])
        try:
            return self._cache[key]
        except KeyError:
            found = self._find(*key)
        if len(self._cache) >= limits.MAX_CACHED_NAMES:
            self._cache.clear()  # for unbounded names; frequent ones soon return
            self._patience.clear()
        self._cache[key] = found
        self.has_matched = self.has_matched or (found is not None and found.only is not None)
        return found

    def unmatched_since_entry(self) -> list[tuple[str, str]]:
        """Return :meth:`unmatched`, but nothing before the first ``SERVER`` or ``CONSUMER`` span.

        A worker that has had nothing to do may have spans of its start only.
        """
        return self.unmatched() if self._has_seen_entry else []

    def unmatched(self) -> list[tuple[str, str]]:
        """Return the cached scopes and names if no rule has matched any span."""
        return [] if self.has_matched else list(self._cache)

    def candidates_for(self, span: Any, scope: Any) -> Candidates | None:  # noqa: ANN401 - a span of OpenTelemetry's SDK, or one that reads alike
        """Return the rules for name and kind of *span* and its *scope*; ``None`` if it states its own flow or step."""
        key = ("" if scope is None else scope.name, span.name)
        try:
            found = self._cache[key]  # inlined: this runs for each span
        except (KeyError, TypeError):
            # OpenTelemetry does not check the type of a name.
            found = self.candidates(*key) if isinstance(key[0], str) and isinstance(key[1], str) else None
            self._has_seen_entry = self._has_seen_entry or getattr(span, "kind", None) in _ENTRIES
        if found is None:
            return None
        found = found.for_kind(span.kind)
        if found is None:
            return None
        attributes = span.attributes or ()
        if type(attributes) is not dict:
            attributes = attributes_as_dict(span)  # in which names are looked up faster
        return None if semconv.FLOW_KEY in attributes or semconv.STEP_KEY in attributes else found

    def may_match(self, scope: str, name: str, kind: SpanKind, may_have: Callable[[str], bool]) -> bool:
        """Return whether a rule may match a span of which only this is known; ``may_have`` is asked for attributes."""
        named = self.candidates(scope, name)
        found = None if named is None else named.for_kind(kind)
        return found is not None and found.may_apply(may_have)

    def choice_for(self, span: Any, attributes: Mapping[str, Any]) -> Candidate | None:  # noqa: ANN401 - as above
        """Return the rule for a span that has ended, which has these attributes."""
        found = self.candidates_for(span, span.instrumentation_scope)
        return None if found is None else self.choice_of(found, span, attributes)

    def choice_of(self, found: Candidates, span: Any, attributes: Mapping[str, Any]) -> Candidate | None:  # noqa: ANN401 - as above
        """Do the same for a span whose rules :meth:`candidates_for` has found."""
        chosen = found.only or found.choose(span.kind, attributes)[0]
        if chosen is not None:
            self.has_matched = True
        return chosen

    def _find(self, scope: str, name: str) -> Candidates | None:
        found = [(place, rule) for place, matches, rule in self._literal.get(name, ()) if matches(scope)]
        if self._may_match(name):
            found += [(place, rule) for place, named, of, rule in self._globs if named(name) and of(scope)]
        if not found:
            return None
        found.sort(key=lambda each: each[0])
        last = next((number for number, (_, rule) in enumerate(found) if rule.applies_always), len(found))
        places = tuple(place for place, _ in found[: last + 1])
        patience = self._patience.setdefault((scope, places), Patience())
        return Candidates([Candidate(rule, name) for _, rule in found[: last + 1]], patience)


def format_unmatched(misses: Sequence[tuple[str, str]]) -> str:
    """Format scopes and names of spans for the log."""
    more = f", and {len(misses) - _NAMED} more" if len(misses) > _NAMED else ""
    named = ", ".join(f"{name!r} of scope {scope!r}" for scope, name in misses[:_NAMED])
    return clean_text(named, limits.MAX_UNMATCHED_CHARS) + more


_NAMED: Final = 10
"""How many scopes and names the log shows."""

_ENTRIES: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
