"""The OTLP backend of the tests keeps everything of a span that the other tests rely on."""

from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode, format_span_id, format_trace_id
from opentelemetry.util.types import AttributeValue

from tests.otlp_backend import OtlpBackend, OtlpSpan, start_otlp_backend


@pytest.fixture
def backend() -> Iterator[OtlpBackend]:
    with start_otlp_backend() as running:
        yield running


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    yield made
    made.shutdown()


def tracer_to(backend: OtlpBackend, provider: TracerProvider) -> Tracer:
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=backend.endpoint)))
    tracer = provider.get_tracer("tests")
    assert isinstance(tracer, Tracer)
    return tracer


def named(spans: list[OtlpSpan], name: str) -> OtlpSpan:
    [span] = [span for span in spans if span.name == name]
    return span


def test_a_failed_span_arrives_whole(backend: OtlpBackend, provider: TracerProvider) -> None:
    tracer = tracer_to(backend, provider)
    span = tracer.start_span("charge-card", attributes={"failpath.flow.key": "checkout"})
    span.add_event("failpath.step.running", {"attempt": 1}, timestamp=1_700_000_000_000_000_001)
    span.add_event("failpath.step.error")
    span.record_exception(ValueError("card declined"))
    span.set_status(Status(StatusCode.ERROR, "ValueError: card declined"))
    span.end()

    [received] = backend.spans()

    context = span.get_span_context()
    assert received.name == "charge-card"
    assert received.trace_id == format_trace_id(context.trace_id)
    assert received.span_id == format_span_id(context.span_id)
    assert received.parent_span_id == ""
    assert received.attributes == {"failpath.flow.key": "checkout"}
    assert (received.status_code, received.status_message) == ("ERROR", "ValueError: card declined")
    assert received.start_time_unix_nano <= received.end_time_unix_nano
    running, error, exception = received.events
    assert running == ("failpath.step.running", {"attempt": 1}, 1_700_000_000_000_000_001)
    assert (error.name, error.attributes) == ("failpath.step.error", {})
    assert exception.name == "exception"
    assert exception.attributes["exception.type"] == "ValueError"
    assert exception.attributes["exception.message"] == "card declined"


def test_a_child_names_its_parent_and_a_status_is_told_from_none(
    backend: OtlpBackend, provider: TracerProvider
) -> None:
    tracer = tracer_to(backend, provider)
    with tracer.start_as_current_span("parent"), tracer.start_as_current_span("child") as child:
        child.set_status(StatusCode.OK)

    spans = backend.spans()

    parent, child_received = named(spans, "parent"), named(spans, "child")
    assert child_received.parent_span_id == parent.span_id
    assert child_received.trace_id == parent.trace_id
    assert (parent.status_code, child_received.status_code) == ("UNSET", "OK")


def test_attribute_values_keep_their_types(backend: OtlpBackend, provider: TracerProvider) -> None:
    attributes: dict[str, AttributeValue] = {
        "text": "zwölf €\n",
        "empty": "",
        "yes": True,
        "big": 2**62,
        "half": 0.5,
        "whole": 2.0,
        "texts": ("a", "b"),
        "numbers": (1, 2),
    }
    tracer_to(backend, provider).start_span("typed", attributes=attributes).end()

    [received] = backend.spans()

    assert received.attributes == {**attributes, "texts": ["a", "b"], "numbers": [1, 2]}
    assert {key: type(value) for key, value in received.attributes.items()} == {
        **{key: type(value) for key, value in attributes.items()},
        "texts": list,
        "numbers": list,
    }


def test_what_a_flush_has_sent_is_there_at_once_and_in_order(backend: OtlpBackend, provider: TracerProvider) -> None:
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=backend.endpoint))
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("tests")
    names = [f"step-{number}" for number in range(600)]
    for name in names:
        tracer.start_span(name).end()

    assert processor.force_flush()

    assert [span.name for span in backend.spans()] == names


def test_waiting_returns_when_the_condition_holds_and_fails_at_its_deadline(
    backend: OtlpBackend, provider: TracerProvider
) -> None:
    tracer_to(backend, provider).start_span("only").end()

    assert [span.name for span in backend.wait_for(lambda spans: len(spans) == 1)] == ["only"]
    with pytest.raises(TimeoutError, match="only"):
        backend.wait_for(lambda spans: len(spans) > 1, timeout=0.05)
