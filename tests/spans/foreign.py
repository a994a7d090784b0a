"""Spans of any tracer, made without one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext, TraceFlags, Tracer
from opentelemetry.trace.status import Status, StatusCode

from failpath_otel import semconv

TRACE_ID: Final = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID: Final = 0x00F067AA0BA902B7
START_NS: Final = 1_700_000_000_123_456_789
END_NS: Final = START_NS + 1_234_567_890
STARTED_AT: Final = "2023-11-14T22:13:20.123456Z"
ENDED_AT: Final = "2023-11-14T22:13:21.358024Z"

IDENTITY: Final[Mapping[str, Any]] = {
    semconv.FLOW_KEY: "checkout",
    semconv.RUN_ID: "req-1",
    semconv.STEP_KEY: "charge-card",
}


class EventAttributes(dict[str, Any]):
    """Attributes as the SDK has them on its events: the exporters of older versions ask how many were dropped."""

    dropped = 0


def event(name: str, at: int = END_NS, **attributes: Any) -> Event:
    """A span event; ``__`` in the names of attributes stands for a dot."""
    return Event(name, EventAttributes({key.replace("__", "."): value for key, value in attributes.items()}), at)


def lifecycle(*statuses: str) -> list[Event]:
    """Lifecycle events: the first status at the start, all others at the end."""
    return [event(semconv.EVENT_NAMES[status], END_NS if place else START_NS) for place, status in enumerate(statuses)]


def a_span(
    attributes: Mapping[Any, Any] | None = None,
    *,
    events: Sequence[Event] = (),
    status: StatusCode = StatusCode.UNSET,
    description: str | None = None,
    end_ns: int | None = END_NS,
    identity: Mapping[str, Any] = IDENTITY,
    name: str = "a span",
) -> ReadableSpan:
    """An ended span that carries ``identity`` and ``attributes``."""
    return ReadableSpan(
        name,
        SpanContext(TRACE_ID, SPAN_ID, is_remote=False, trace_flags=TraceFlags(1)),
        attributes={**identity, **(attributes or {})},
        events=events,
        status=Status(status, description),
        start_time=START_NS,
        end_time=end_ns,
    )


def tracer_with(processor: SpanProcessor, **options: Any) -> Tracer:
    """A tracer of an SDK provider with ``processor``, wired by hand."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(processor)
    return provider.get_tracer("any")
