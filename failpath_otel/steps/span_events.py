"""Span events: written by this module alone."""

from collections.abc import Mapping

from opentelemetry.trace import Span


def write_event(span: Span, name: str, attributes: Mapping[str, str] | None, at_ns: int | None) -> None:
    """Add an event to ``span``, at ``at_ns`` nanoseconds since the epoch; ``None``: now.

    OpenTelemetry plans to replace span events by log records. This is the only place to change then; the name and the
    message of an error are in ``error.type`` and in the description of the span's status as well.
    """
    span.add_event(name, attributes, timestamp=at_ns)
