"""Rules: which spans of other tracers are steps."""

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from fnmatch import translate
from typing import Any, Final

from opentelemetry.trace import SpanKind

from failpath_otel import limits, semconv
from failpath_otel.errors import ConfigurationError
from failpath_otel.public import public
from failpath_otel.scrubbing.keys import is_secret_key
from failpath_otel.scrubbing.text import redact_values
from failpath_otel.scrubbing.values import clean_text, text_of, type_name


@public
@dataclass(frozen=True)
class StepRule:
    """Makes a step of every span whose name and instrumentation scope match, unless it is a step already.

    ``running`` is reported when such a span starts, and the outcome when it ends: ``error`` if its status is ``ERROR``,
    else ``success``. None of its attributes become metadata.

    Args:
        flow: the flow key.
        step: the step key.
        span_name: the span's name. ``*`` matches any text and ``?`` any character; case matters.
        scope: the name of the instrumentation scope, usually the instrumentation's module; ``*`` and ``?`` as above.
        run_id: the name of a span attribute, or else of a baggage entry, that holds the run id. Without it, or if
            the span has neither, the run id is the baggage entry ``failpath.run.id``, else that of the enclosing step
            of the same flow, else the trace id.

    Raises:
        ConfigurationError: an argument is no text, is empty or too long, or ``run_id`` looks like the name of a secret.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> import failpath_otel
        >>> provider = TracerProvider()
        >>> rule = failpath_otel.StepRule("checkout", "charge-card", span_name="POST /charge", run_id="order.id")
        >>> failpath = failpath_otel.configure(
        ...     project_key="fp_project_xxx", rules=[rule], tracer_provider=provider
        ... )
        >>> with provider.get_tracer("shop").start_as_current_span("POST /charge", attributes={"order.id": "order-17"}):
        ...     pass
        >>> failpath.flush()
        True
    """

    flow: str
    step: str
    _: KW_ONLY
    span_name: str
    scope: str = "*"
    run_id: str | None = None

    def __post_init__(self) -> None:
        for name, most in _LENGTHS.items():
            given: object = getattr(self, name)
            if given is None and name == "run_id":
                continue
            if not isinstance(given, str):
                msg = f"{name} of a rule must be a text, got {text_of(given, 80)!r} ({type_name(given)})"
                raise ConfigurationError(msg)
            if not given.strip() or not given.isprintable() or len(given) > most:
                allowed = f"1 to {most} printable characters"
                raise ConfigurationError(f"{name} of a rule must have {allowed}, got {clean_text(given, 80)!r}")
        if self.run_id is not None and is_secret_key(self.run_id):
            msg = f"run_id of a rule must not name a secret, and {clean_text(self.run_id, 80)!r} looks like one"
            raise ConfigurationError(msg)


_LENGTHS: Final = {
    "flow": limits.MAX_KEY_CHARS,
    "step": limits.MAX_KEY_CHARS,
    "span_name": limits.MAX_PATTERN_CHARS,
    "scope": limits.MAX_PATTERN_CHARS,
    "run_id": limits.MAX_PATTERN_CHARS,
}


class Rules:
    """Rules that were checked against each other, and the spans that they match. Used on any thread.

    Most spans match no rule, so that case is fast: each pair of scope and name is matched once and cached.

    Args:
        rules: the first one that matches a span applies.
    """

    def __init__(self, rules: Sequence[StepRule]) -> None:
        self._cache: Final[dict[tuple[str, str], StepRule | None]] = {}
        self._has_seen_entry = False
        self.has_matched = False
        """Whether a rule has matched any span."""
        # With their place, because the first rule applies, literal or not.
        self._literal: Final[dict[str, list[tuple[int, _Pattern, StepRule]]]] = {}
        self._globs: Final[list[tuple[int, _Pattern, _Pattern, StepRule]]] = []
        for place, rule in enumerate(rules):
            scope = _pattern(rule.scope)
            if _is_literal(rule.span_name):
                self._literal.setdefault(rule.span_name, []).append((place, scope, rule))
            else:
                self._globs.append((place, _pattern(rule.span_name), scope, rule))
        names = "|".join(_expression(rule.span_name) for rule in rules if not _is_literal(rule.span_name))
        self._may_match: Final[_Pattern] = re.compile(names or "(?!)").match

    def match(self, scope: str, name: str) -> StepRule | None:
        """Return the rule for spans with this name and instrumentation scope."""
        # Bounded, because some names contain a whole URL or statement.
        key = (scope[: limits.MAX_NAME_CHARS], name[: limits.MAX_NAME_CHARS])
        try:
            return self._cache[key]
        except KeyError:
            found = self._find(*key)
        if len(self._cache) >= limits.MAX_CACHED_NAMES:
            self._cache.clear()  # for unbounded names; frequent ones soon return
        self._cache[key] = found
        self.has_matched = self.has_matched or found is not None
        return found

    def unmatched_since_entry(self) -> list[tuple[str, str]]:
        """Return :meth:`unmatched`, but nothing before the first ``SERVER`` or ``CONSUMER`` span.

        A worker that has had nothing to do may have spans of its start only.
        """
        return self.unmatched() if self._has_seen_entry else []

    def unmatched(self) -> list[tuple[str, str]]:
        """Return the cached scopes and names if no rule has matched any span."""
        return [] if self.has_matched else list(self._cache)

    def rule_for(self, span: Any) -> StepRule | None:  # noqa: ANN401 - a span of OpenTelemetry's SDK, or one that reads alike
        """Return the rule for *span*, unless the span states its own flow or step."""
        scope = span.instrumentation_scope
        key = ("" if scope is None else scope.name, span.name)
        try:
            rule = self._cache[key]  # inlined: this runs for each span
        except (KeyError, TypeError):
            # OpenTelemetry does not check the type of a name.
            rule = self.match(*key) if isinstance(key[0], str) and isinstance(key[1], str) else None
            self._has_seen_entry = self._has_seen_entry or getattr(span, "kind", None) in _ENTRIES
        if rule is None:
            return None
        attributes = span.attributes or ()
        return None if semconv.FLOW_KEY in attributes or semconv.STEP_KEY in attributes else rule

    def _find(self, scope: str, name: str) -> StepRule | None:
        found = [(place, rule) for place, matches, rule in self._literal.get(name, ()) if matches(scope)]
        if self._may_match(name):
            found += [(place, rule) for place, named, of, rule in self._globs if named(name) and of(scope)]
        return min(found, key=lambda each: each[0])[1] if found else None


def run_id_in_attribute(rule: StepRule, span: Any) -> str:  # noqa: ANN401 - as above
    """Return the run id in the span attribute that *rule* names; empty if it is not there yet."""
    return "" if rule.run_id is None else usable_run_id((span.attributes or {}).get(rule.run_id))


def usable_run_id(value: object) -> str:
    """Return a run id from outside as text; empty if it cannot be one or contains a secret."""
    if isinstance(value, (tuple, list)) and value:
        value = value[0]  # captured HTTP headers are lists
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MAX_ID_BITS:
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > limits.MAX_RUN_ID_CHARS:
        return ""
    return value if value.strip() and redact_values(value) == value else ""


def format_unmatched(misses: Sequence[tuple[str, str]]) -> str:
    """Format scopes and names of spans for the log."""
    more = f", and {len(misses) - _NAMED} more" if len(misses) > _NAMED else ""
    named = ", ".join(f"{name!r} of scope {scope!r}" for scope, name in misses[:_NAMED])
    return clean_text(named, limits.MAX_UNMATCHED_CHARS) + more


_NAMED: Final = 10
"""How many scopes and names the log shows."""

_ENTRIES: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
_MAX_ID_BITS: Final = 64
"""Python refuses to format much larger numbers."""

_Pattern = Callable[[str], object]


def _is_literal(glob: str) -> bool:
    return not set(glob) & set("*?")


def _expression(glob: str) -> str:
    return translate(glob.replace("[", "[[]"))  # brackets are literal here


def _pattern(glob: str) -> _Pattern:
    return re.compile(_expression(glob)).match


def first_conflict(rules: Sequence[StepRule]) -> tuple[int, int] | None:
    """Return the places of two rules that apply to one span, as far as their patterns show that; else ``None``.

    They do if one pattern equals the other or matches all that the other matches. For others, as ``a*`` and ``*b``, the
    first rule applies.
    """
    globs = [(_Glob(rule.span_name), _Glob(rule.scope)) for rule in rules]
    for later, (name, scope) in enumerate(globs):
        for earlier, (other_name, other_scope) in enumerate(globs[:later]):
            if name.overlaps(other_name) and scope.overlaps(other_scope):
                return earlier, later
    return None


class _Glob:
    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.matches: Final = text.__eq__ if _is_literal(text) else _pattern(text)

    def overlaps(self, other: "_Glob") -> bool:
        # A pattern that matches the other pattern's text matches everything that the other matches.
        return bool(self.matches(other.text) or other.matches(self.text))
