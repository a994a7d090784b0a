"""How the spans of requests are read, which depends on what records contain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import SpanKind

from failpath_otel.otlp.span import STEP_KEY_BYTES, OtlpSpan, broken_span
from failpath_otel.otlp.template import EncodedRecord
from failpath_otel.otlp.templates import StepTemplates
from failpath_otel.records.content import RecordContent
from failpath_otel.records.rule_set import Rules

ReadSpan = OtlpSpan | list[EncodedRecord] | int
"""A span; or the records of a step, by a template; or the number of spans that are no steps and were passed over."""


Watch = Callable[[bytes, str], object]
"""Looks at a body as well; must not raise."""


@dataclass(frozen=True)
class Reading:
    """What is read of a request.

    Args:
        rules: may make steps of spans without a step key; the others of these are passed over.
        templates: make the records of clean steps; ``None``: every step is a span, to be walked.
        watch: called with each body and its media type, before its spans are read.
    """

    rules: Rules | None = None
    templates: StepTemplates | None = None
    watch: Watch | None = None

    def is_ruled(self, scope: str, name: str) -> bool:
        """Return whether a rule can make a step of spans with this name and instrumentation scope."""
        return self.rules is not None and self.rules.candidates(scope, name) is not None

    def broken_step(self, problem: str, scope: str, name: str, kind: SpanKind, text: bytes) -> OtlpSpan | None:
        """Return a span whose attributes cannot be read; ``None`` if it is no step, whatever their values are.

        Args:
            problem: why they cannot.
            scope: its instrumentation scope.
            name: its name.
            kind: its kind.
            text: all of it, as it came; where the name of an attribute is in it, it may have that one.
        """
        # In JSON, where an escape can stand for any character.
        escaped = text.startswith(b"{") and b"\\" in text
        is_step = STEP_KEY_BYTES in text or (
            self.rules is not None
            and self.rules.may_match(scope, name, kind, lambda attribute: escaped or attribute.encode() in text)
        )
        return broken_span(problem) if is_step else None


def reading_of(content: RecordContent, watch: Watch | None = None) -> Reading:
    """Return how spans are read for records of this content."""
    return Reading(content.rules, StepTemplates(content) if content.is_identity else None, watch)


PLAIN: Final = Reading()
"""Every step is walked, and there are no rules."""
