"""Span events: written here and nowhere else."""

from collections.abc import Mapping

from opentelemetry.trace import Span


def write_event(span: Span, name: str, attributes: Mapping[str, str] | None, at_ns: int | None) -> None:
    """Writes an event on ``span``; without a time, at this moment.

    OpenTelemetry means to replace span events by log records one day. What takes their place is written here then; an
    error's name and message stand in ``error.type`` and in the description of the span's status as well.
    """
    span.add_event(name, attributes, timestamp=at_ns)
