"""Steps on an OpenTelemetry SDK provider of the test's own, and what their spans say."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from failpath_otel import Failpath, Run

FLOW = "checkout"
RUN_ID = "req-1"


class Started(SpanProcessor):
    """Keeps every span in the order of the starts, and its attributes as they were then."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.attributes: list[dict[str, Any]] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.spans.append(span)
        self.attributes.append(dict(span.attributes or {}))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        # What older SDKs inherit to here returns nothing, which their providers take for a failure.
        return True


class Recording:
    """A client on a provider of its own; every span that began there, and every one that ended."""

    def __init__(self, limits: SpanLimits | None = None, before: Sequence[SpanProcessor] = ()) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False, span_limits=limits)
        self.start = Started()
        self.exporter = InMemorySpanExporter()
        for processor in (*before, self.start, SimpleSpanProcessor(self.exporter)):
            self.provider.add_span_processor(processor)
        self.failpath = Failpath(tracer_provider=self.provider)

    @property
    def tracer(self) -> Tracer:
        """The application's own tracer on the same provider."""
        return self.provider.get_tracer("application")

    def run(self, **more: Any) -> Run:
        """A run of the flow of these tests."""
        return self.failpath.run(FLOW, **{"run_id": RUN_ID, **more})

    def started(self) -> list[str]:
        """The names of all spans that have begun."""
        return [span.name for span in self.start.spans]

    def ended(self) -> list[ReadableSpan]:
        """All spans that have ended, in the order of their ends."""
        return list(self.exporter.get_finished_spans())

    def names(self) -> list[str]:
        """The names of all spans that have ended."""
        return [span.name for span in self.ended()]

    def named(self, name: str) -> ReadableSpan:
        """The one ended span of this name."""
        [span] = [span for span in self.ended() if span.name == name]
        return span

    def only(self) -> ReadableSpan:
        """The one span that has ended, of all that have begun."""
        assert len(self.start.spans) == 1, self.started()
        [span] = self.ended()
        return span


@contextmanager
def recording_with(limits: SpanLimits | None = None, before: Sequence[SpanProcessor] = ()) -> Iterator[Recording]:
    """A recording with a provider made to measure, shut down at the end."""
    made = Recording(limits, before)
    yield made
    made.provider.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def identity(span: ReadableSpan) -> tuple[Any, Any, Any]:
    """Flow key, run id and step key on a span."""
    found = attributes(span)
    return found.get("failpath.flow.key"), found.get("failpath.run.id"), found.get("failpath.step.key")


def outcome(span: ReadableSpan) -> Any:
    """The status that a span states by its attribute."""
    return attributes(span).get("failpath.step.status")


def lifecycle(span: ReadableSpan) -> list[str]:
    """The lifecycle events on a span, in their order, by status."""
    prefix = "failpath.step."
    return [event.name[len(prefix) :] for event in span.events if event.name.startswith(prefix)]


def otel_status(span: ReadableSpan) -> str:
    """The span status: UNSET, OK or ERROR."""
    return span.status.status_code.name


def exception(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of the one ``exception`` event on a span."""
    [event] = [event for event in span.events if event.name == "exception"]
    return dict(event.attributes or {})


def metadata(span: ReadableSpan) -> dict[str, Any]:
    """The metadata on a span, as it was before it became attributes."""
    plain, nested = "failpath.metadata.", "failpath.metadata_json."
    found: dict[str, Any] = {}
    for name, value in attributes(span).items():
        if name.startswith(plain):
            found[name[len(plain) :]] = list(value) if isinstance(value, tuple) else value
        elif name.startswith(nested):
            found[name[len(nested) :]] = json.loads(value)
    return found


def parent_id(span: ReadableSpan) -> int | None:
    """The span id of a span's parent, or nothing for a root."""
    return None if span.parent is None else span.parent.span_id


def span_id(span: ReadableSpan) -> int:
    """The span id of a span."""
    assert span.context is not None
    return int(span.context.span_id)


def trace_id(span: ReadableSpan) -> int:
    """The trace id of a span."""
    assert span.context is not None
    return int(span.context.trace_id)


def current_name() -> str | None:
    """The name of the span that is current for the caller."""
    name = getattr(trace.get_current_span(), "name", None)
    return name if isinstance(name, str) else None
