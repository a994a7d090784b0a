"""Rules: which spans of other tracers are steps, although they carry none of our names."""

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
    """Makes a step of every span whose name and instrumentation scope match, and that is not a step already.

    ``running`` is reported when such a span starts, and the outcome when it ends: ``error`` where its status is
    ``ERROR``, else ``success``. None of its attributes become metadata.

    Args:
        flow: the flow key; 1 to 200 characters.
        step: the step key; 1 to 200 characters.
        span_name: the span's name. ``*`` stands for any text and ``?`` for any character; upper and lower case differ.
        scope: the name of the instrumentation scope, most often the module of the instrumentation; ``*`` and ``?`` as
            above. Default: any.
        run_id: the name of a span attribute, or else of a baggage entry, that holds the run id. Without it, or where
            the span has neither, the run id is the baggage entry ``failpath.run.id``, else that of the step of the
            same flow that the span is in, else the trace id.

    Raises:
        ConfigurationError: one of them is not a string, is empty or too long, or ``run_id`` names what looks like a
            secret.

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
                msg = f"{name} of a rule must have {allowed}, got {clean_text(given, 80)!r}"
                raise ConfigurationError(msg)
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
    """Rules that have been checked against each other, and what they say of a span.

    Most spans match no rule, so that is what has to be quick: each pair of scope and name is looked at once, and kept.

    Args:
        rules: the first one that matches a span holds.
    """

    __slots__ = ("_cache", "_globs", "_has_seen_entry", "_literal", "_may_match", "has_matched")

    def __init__(self, rules: Sequence[StepRule]) -> None:
        self._cache: Final[dict[tuple[str, str], StepRule | None]] = {}
        self._has_seen_entry = False
        self.has_matched = False
        """Whether there was a span that a rule is for."""
        # By their place, because the first one holds, whatever its kind.
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
        """The rule for a span with this name, of this instrumentation scope."""
        # Some put a whole URL or a statement there, whose length others decide on.
        key = (scope[: limits.MAX_NAME_CHARS], name[: limits.MAX_NAME_CHARS])
        try:
            return self._cache[key]
        except KeyError:
            found = self._find(*key)
        if len(self._cache) >= limits.MAX_CACHED_NAMES:
            self._cache.clear()  # names that come but once are many; those that come again are soon back
        self._cache[key] = found
        self.has_matched = self.has_matched or found is not None
        return found

    def unmatched_since_entry(self) -> list[tuple[str, str]]:
        """The scopes and names of spans that were seen, and are still kept.

        None as soon as any rule has matched, and none before the first request or message: a worker that has had
        nothing to do may well have spans, of its start.
        """
        return self.unmatched() if self._has_seen_entry else []

    def unmatched(self) -> list[tuple[str, str]]:
        """The same, whatever kinds of spans there were."""
        return [] if self.has_matched else list(self._cache)

    def rule_for(self, span: Any) -> StepRule | None:  # noqa: ANN401 - a span of OpenTelemetry's SDK, or one that reads alike
        """The rule for ``span``, unless it says itself which flow or step it is."""
        scope = span.instrumentation_scope
        key = ("" if scope is None else scope.name, span.name)
        try:
            rule = self._cache[key]  # as `match` does, without a call for each span of the application
        except (KeyError, TypeError):
            # OpenTelemetry does not look at what an application gives as a name.
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
    """The run id that ``span`` holds in the attribute that ``rule`` names, by now; empty where there is none."""
    return "" if rule.run_id is None else usable_run_id((span.attributes or {}).get(rule.run_id))


def usable_run_id(value: object) -> str:
    """A run id that somebody else has sent; empty where it cannot be one, or has a secret in it."""
    if isinstance(value, (tuple, list)) and value:
        value = value[0]  # captured HTTP headers are lists
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MAX_ID_BITS:
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > limits.MAX_RUN_ID_CHARS:
        return ""
    return value if value.strip() and redact_values(value) == value else ""


def format_unmatched(misses: Sequence[tuple[str, str]]) -> str:
    """Scopes and names of spans, as the log shows them."""
    more = f", and {len(misses) - _NAMED} more" if len(misses) > _NAMED else ""
    named = ", ".join(f"{name!r} of scope {scope!r}" for scope, name in misses[:_NAMED])
    return clean_text(named, limits.MAX_UNMATCHED_CHARS) + more


_NAMED: Final = 10
"""Of how many kinds of spans the log speaks where no rule matches."""

_ENTRIES: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
_MAX_ID_BITS: Final = 64
"""Python refuses to write out numbers that are much larger."""

_Pattern = Callable[[str], object]


def _is_literal(glob: str) -> bool:
    return not set(glob) & set("*?")


def _expression(glob: str) -> str:
    return translate(glob.replace("[", "[[]"))  # with us, a bracket is a bracket


def _pattern(glob: str) -> _Pattern:
    return re.compile(_expression(glob)).match


def first_conflict(rules: Sequence[StepRule]) -> tuple[int, int] | None:
    """The places of two rules that are for one span, where their patterns show that; ``None`` where none do.

    They show it where one pattern is the same as the other, or matches all that the other does. Of others, as ``a*``
    and ``*b``, the first rule holds.
    """
    globs = [(_Glob(rule.span_name), _Glob(rule.scope)) for rule in rules]
    for later, (name, scope) in enumerate(globs):
        for earlier, (other_name, other_scope) in enumerate(globs[:later]):
            if name.overlaps(other_name) and scope.overlaps(other_scope):
                return earlier, later
    return None


class _Glob:
    __slots__ = ("matches", "text")

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.matches: Final = text.__eq__ if _is_literal(text) else _pattern(text)

    def overlaps(self, other: "_Glob") -> bool:
        # A pattern that matches the other one's text, its stars and all, matches all that this does.
        return bool(self.matches(other.text) or other.matches(self.text))
