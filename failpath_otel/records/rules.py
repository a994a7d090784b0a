"""A rule: which spans of other tracers are steps, and of which names."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from opentelemetry.trace import SpanKind

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.public import public
from failpath_otel.records.matching.conditions import Conditions, Expected
from failpath_otel.records.matching.globs import Wildcards
from failpath_otel.records.matching.templates import Template
from failpath_otel.scrubbing.keys import is_secret_key
from failpath_otel.scrubbing.values import clean_text, text_of, type_name


@public
@dataclass(frozen=True)
class StepRule:
    """Turns every span that matches it into a step, unless the span is already a step.

    ``running`` is reported when such a span starts, and the outcome when it ends: ``error`` if its status is ``ERROR``,
    otherwise ``success``. Its attributes do not become metadata, except those named ``failpath.metadata.<key>``.

    ``flow``, ``step`` and ``run_id`` can be templates: ``{1}`` is the text of the first wildcard in ``span_name``,
    ``{attr:http.route}`` a span attribute (if it is a list, its first item), ``{resource:service.name}`` an attribute
    of the resource of the span, and ``{attr:a|attr:b|1|'text'}`` the first of these that exists. Braces around anything
    else are text; ``{{1}}`` is ``{1}`` as text. A flow or a step becomes ``other`` if it cannot be filled in, is not a
    usable key, or exceeds ``max_keys``. In both, the text of a wildcard or a span attribute is used without query
    strings, SQL literals, e-mail addresses and random ids.

    Args:
        flow: the flow key.
        step: the step key.
        span_name: the span's name. ``*`` matches any text and ``?`` any character; case matters.
        scope: the name of the instrumentation scope, usually the instrumentation's module; ``*`` and ``?`` as above.
        kind: the kind of the span: ``"server"``, ``"client"``, ``"producer"``, ``"consumer"`` or ``"internal"``;
            default: any.
        where: span attributes; all of them must match. A string is a pattern as above, and ``"*"`` matches any value; a
            number or a boolean matches that value; a list matches any of its values. If the attribute is a list, one
            of its items must match. A key can consist of several names, separated by ``|``: the first one that exists
            counts.
        run_id: the name of the span attribute, or otherwise of the baggage entry, that holds the run id; or a template.
            Without it, or if the span has none of these, the run id is the baggage entry ``failpath.run.id``, else that
            of the enclosing step of the same flow, else the trace id.
        max_keys: the maximum number of different pairs of flow and step that the templates of this rule make; in a
            server that receives spans of many services, for each service. Default: 200.

    Raises:
        ConfigurationError: an argument has the wrong type, is empty or too long, a template has an invalid placeholder,
            or ``run_id`` or a template names an attribute that looks like a secret.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> import failpath_otel
        >>> provider = TracerProvider()
        >>> rule = failpath_otel.StepRule("checkout", "{1}", span_name="POST /*", run_id="order.id")
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
    kind: str | None = None
    where: Mapping[str, Expected] | None = None
    run_id: str | None = None
    max_keys: int = limits.MAX_KEYS

    @staticmethod
    def preset(
        name: str, *, flow: str | None = None, run_id: str | None = None, max_keys: int | None = None
    ) -> "tuple[StepRule, ...]":
        """Return the rules of this package for the spans of one library.

        Args:
            name: such as ``"django"`` or ``"celery"``; ``docs/reference/presets.md`` lists them.
            flow: the flow of all these rules, instead of their own; it can be a template of attributes.
            run_id: the same for the run id.
            max_keys: ``max_keys`` of each of these rules, instead of its own.

        Raises:
            ConfigurationError: there is no such preset, or ``flow``, ``run_id`` or ``max_keys`` is not valid for a
                rule.

        Example:
            >>> from failpath_otel import StepRule
            >>> rules = [*StepRule.preset("django", flow="shop"), *StepRule.preset("celery", flow="shop")]
            >>> {rule.flow for rule in rules}
            {'shop'}
        """
        from failpath_otel.records.presets import preset_rules  # noqa: PLC0415 - it makes rules

        return preset_rules(name, flow=flow, run_id=run_id, max_keys=max_keys)[0]

    def __post_init__(self) -> None:
        for name, length in _LENGTHS.items():
            given: object = getattr(self, name)
            if given is None and name == "run_id":
                continue
            if not isinstance(given, str):
                raise _refusal(f"{name} of a rule must be a text, got", given)
            if not given.strip() or not given.isprintable() or len(given) > length:
                allowed = f"1 to {length} printable characters"
                raise ConfigurationError(f"{name} of a rule must have {allowed}, got {clean_text(given, 80)!r}")
        if self.kind is not None and self.kind not in KINDS:
            raise _refusal(f"kind of a rule must be one of {', '.join(KINDS)}, got", self.kind)
        most: Any = self.max_keys
        if not isinstance(most, int) or isinstance(most, bool) or not 0 < most <= limits.MOST_KEYS:
            raise _refusal(f"max_keys of a rule must be a number from 1 to {limits.MOST_KEYS}, got", most)
        self._check_where(self.where)
        for name in ("flow", "step", "run_id"):
            self._check_template(name, getattr(self, name) or "")

    def _check_where(self, given: object) -> None:
        if given is None:
            return
        if not isinstance(given, Mapping):
            raise _refusal("where of a rule must have values by the names of attributes, got", given)
        try:
            conditions = given if isinstance(given, Conditions) else Conditions(given)
        except ValueError as error:
            raise ConfigurationError(f"where of a rule {error}") from None
        # A copy, because a rule cannot be changed.
        object.__setattr__(self, "where", conditions or None)

    def _check_template(self, name: str, text: str) -> None:
        try:
            template = Template(text)
        except ValueError as error:
            raise ConfigurationError(f"{name} of a rule {error}") from None
        wildcards = Wildcards(self.span_name).count
        if template.last_wildcard > wildcards:
            raise ConfigurationError(
                f"{name} of a rule must have no {{{template.last_wildcard}}}, because span_name has"
                f" {wildcards or 'no'} wildcard{'s' * (wildcards != 1)}"
            )
        attributes = (text,) if name == "run_id" and template.is_fixed else template.attributes + template.resources
        for attribute in attributes:
            if is_secret_key(attribute):
                msg = f"{name} of a rule must not name a secret, and {clean_text(attribute, 80)!r} looks like one"
                raise ConfigurationError(msg)


def _refusal(text: str, given: object) -> ConfigurationError:
    return ConfigurationError(f"{text} {text_of(given, 80)!r} ({type_name(given)})")


KINDS: Final[Mapping[Any, SpanKind]] = {
    kind.name.lower(): kind
    for kind in (SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.INTERNAL)
}
"""The kinds of spans by their names in rules."""

_LENGTHS: Final = {
    "flow": limits.MAX_KEY_CHARS,
    "step": limits.MAX_KEY_CHARS,
    "span_name": limits.MAX_PATTERN_CHARS,
    "scope": limits.MAX_PATTERN_CHARS,
    "run_id": limits.MAX_PATTERN_CHARS,
}
