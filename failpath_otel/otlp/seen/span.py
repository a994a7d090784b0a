"""What rules can match of the spans of a request, whether they are steps or not."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from opentelemetry.trace import SpanKind

from failpath_otel import limits
from failpath_otel.otlp.reading import Reading, ReadSpan
from failpath_otel.otlp.span import OtlpResource, OtlpSpan, Scope
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.rules import StepRule
from failpath_otel.scrubbing.text import redact_text
from failpath_otel.scrubbing.values import clean_metadata, clean_text

EVERY_SPAN: Final = Reading(Rules((StepRule("every", "span", span_name="*"),)))
"""Reads all spans, and none by a template."""


class SeenSpan(msgspec.Struct, rename="camel", gc=False):
    """What rules can match of a span, without secrets and bounded; it reads like a span."""

    scope: str
    name: str
    kind_name: str
    trace_id: str
    attributes: dict[str, Any]
    resource_attributes: dict[str, Any] = {}

    @property
    def resource(self) -> OtlpResource:
        """The resource."""
        return OtlpResource(self.resource_attributes, None)

    @property
    def kind(self) -> SpanKind:
        """The kind."""
        return SpanKind.__members__.get(self.kind_name, SpanKind.INTERNAL)

    @property
    def instrumentation_scope(self) -> Scope:
        """The scope."""
        return Scope(self.scope)


def seen_spans(spans: Iterable[ReadSpan]) -> Iterator[SeenSpan]:
    """Yield what rules can match of spans that were read by :data:`EVERY_SPAN`."""
    for span in spans:
        if isinstance(span, OtlpSpan) and not span.problem:
            yield SeenSpan(
                clean_text(span.instrumentation_scope.name, limits.MAX_NAME_CHARS),
                redact_text(clean_text(span.name, limits.MAX_NAME_CHARS)),  # some are a whole URL or statement
                span.kind.name,
                f"{span.context.trace_id:032x}",
                _clean(span.attributes),
                _clean(span.resource.attributes),
            )


def _clean(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _without_secrets(value) for key, value in clean_metadata(attributes).items()}


def _without_secrets(value: object) -> object:
    if isinstance(value, str):
        return redact_text(clean_text(value, limits.MAX_NAME_CHARS))
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value
