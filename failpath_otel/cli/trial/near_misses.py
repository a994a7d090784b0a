"""Why a rule does not apply to a span, and which rules nearly do."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from failpath_otel.otlp.seen.span import SeenSpan
from failpath_otel.records.matching.conditions import Condition
from failpath_otel.records.matching.globs import Glob
from failpath_otel.records.rules import StepRule
from failpath_otel.scrubbing.values import clean_text, text_of

_SIMILAR: Final = 0.6
"""How much of two names has to be the same for a pattern to be near a name."""

_ASKED: Final = 1.0
"""How near a rule is by what it asks for besides name and scope."""

_SHOWN: Final = 3
"""Rules that are shown for one span."""

_MAX_CHARS: Final = 80


def reasons(rule: StepRule, span: SeenSpan) -> list[str]:
    """Return why *rule* does not apply to *span*; nothing if it does."""
    return [reason for _, reason in _failures(rule, span)]


def near_miss(rule: StepRule, span: SeenSpan) -> tuple[float, str] | None:
    """Return how near *rule* is to *span*, from 0 to 1, and what it fails by; ``None`` if it applies, or is far off.

    It is near if its name and its scope match, or if one thing alone differs, and not by far.
    """
    failures = list(_failures(rule, span))
    if not failures:
        return None
    score = 1.0 / len(failures) if all(failure[0] == _ASKED for failure in failures) else 0.0
    if len(failures) == 1:
        score = failures[0][0]
    return (score, ", and ".join(reason for _, reason in failures)) if score > 0 else None


def near_misses(rules: Sequence[StepRule], span: SeenSpan) -> list[tuple[int, str]]:
    """Return the places of the rules that are near *span*, the nearest first, and what each fails by."""
    found = [(near, place) for place, rule in enumerate(rules) if (near := near_miss(rule, span)) is not None]
    found.sort(key=lambda each: (-each[0][0], each[1]))
    return [(place, reason) for (_, reason), place in found[:_SHOWN]]


def _failures(rule: StepRule, span: SeenSpan) -> Iterator[tuple[float, str]]:
    """Yield how near the rule is by each thing that differs, from 0 to 1, and what that is."""
    if not Glob(rule.span_name).matches(span.name):
        yield _similarity(rule.span_name, span.name), f"span_name is {_shown(span.name)}, not {_shown(rule.span_name)}"
    if not Glob(rule.scope).matches(span.scope):
        yield 0.9, f"scope is {_shown(span.scope)}, not {_shown(rule.scope)}"
    kind = span.kind.name.lower()
    if rule.kind is not None and rule.kind != kind:
        yield _ASKED, f"kind is {kind}, not {rule.kind}"
    for name, expected in (rule.where or {}).items():
        condition = Condition(name, expected)
        verdict = condition.verdict(span.attributes)
        if verdict == "missing":
            yield _ASKED, f"there is no attribute {_shown(name)}"
        elif verdict == "differs":
            value = _value(condition, span.attributes)
            yield _ASKED, f"attribute {_shown(name)} is {_shown(value)}, not {_shown(expected)}"


def _value(condition: Condition, attributes: Mapping[str, Any]) -> object:
    return next(attributes[name] for name in condition.names if name in attributes)


def _similarity(pattern: str, name: str) -> float:
    """Return how near a pattern is to a name; 0 where it is far from it."""
    if Glob(pattern.lower()).matches(name.lower()):
        return 0.9
    plain = pattern.replace("*", "").replace("?", "")
    ratio = SequenceMatcher(None, plain.lower(), name.lower()).ratio() if plain else 0.0
    return 0.9 * ratio if ratio >= _SIMILAR else 0.0


def _shown(value: object) -> str:
    return clean_text(repr(value) if isinstance(value, str) else text_of(value, _MAX_CHARS), _MAX_CHARS)
