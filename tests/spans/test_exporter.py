"""The exporter in a BatchSpanProcessor of the application."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from failpath_otel import ConfigurationError, FailpathSpanExporter, limits, semconv
from tests.fault_server import (
    FaultServer,
    accepted,
    close_before_answering,
    fault_server,
    html,
    redirect,
    rejecting,
    silent,
    status,
)
from tests.keys import KEY
from tests.ports import unused_url
from tests.spans.foreign import END_NS, IDENTITY, START_NS, a_span, event, lifecycle

EXCEPTION = event("exception", exception__type="E", exception__message="m", exception__stacktrace="Traceback")
SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


@pytest.fixture
def exporter(server: FaultServer) -> Iterator[FailpathSpanExporter]:
    made = FailpathSpanExporter(project_key=KEY, endpoint=server.url)
    yield made
    made.shutdown()


def test_a_batch_span_processor_reports_both_events_in_the_order_of_time(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("any")
    outer = tracer.start_span("outer", attributes={**IDENTITY, semconv.STEP_KEY: "outer"}, start_time=1_000)
    inner = tracer.start_span("inner", attributes={**IDENTITY, semconv.STEP_KEY: "inner"}, start_time=2_000)
    inner.end(3_000)
    outer.end(4_000)
    tracer.start_span("no step").end()
    provider.force_flush()
    provider.shutdown()
    assert [(sent["stepKey"], sent["status"]) for sent in server.events] == [
        ("outer", "running"),
        ("inner", "running"),
        ("inner", "success"),
        ("outer", "success"),
    ]


def test_start_and_end_within_one_microsecond_keep_their_order(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    assert exporter.export([a_span(end_ns=START_NS)]) is SUCCESS
    assert server.statuses == ["running", "success"]


def test_a_batch_without_steps_is_a_success_and_sends_nothing(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    assert exporter.export([ReadableSpan("other"), ReadableSpan("another", attributes={"a": 1})]) is SUCCESS
    assert exporter.export([]) is SUCCESS
    assert server.requests == []


@pytest.mark.parametrize(
    ("behaviour", "result"),
    [
        (accepted, SUCCESS),
        (rejecting(), SUCCESS),
        (rejecting(0), FAILURE),
        (status(503), FAILURE),
        (status(401), FAILURE),
        (html, FAILURE),
        (redirect("/elsewhere"), FAILURE),
        (close_before_answering, FAILURE),
        (silent, FAILURE),
    ],
)
def test_the_result_says_whether_every_record_was_delivered(
    behaviour: Any, result: SpanExportResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FLUSH_TIMEOUT", 0.1)
    with fault_server(behaviour) as server:
        exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, send_timeout=1.0)
        assert exporter.export([a_span()]) is result
        exporter.shutdown()


def test_a_server_that_is_not_there_is_a_failure_and_no_exception() -> None:
    assert FailpathSpanExporter(project_key=KEY, endpoint=unused_url()).export([a_span()]) is FAILURE


def test_a_failure_of_one_batch_of_several_is_a_failure_of_all(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    server.answer_with(rejecting(0), accepted)
    assert exporter.export([a_span()] * 300) is FAILURE
    assert len(server.requests) == 2


def test_what_one_attempt_could_not_deliver_is_kept_and_delivered_before_what_comes_later(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    server.answer_with(status(503), accepted)
    assert exporter.export([a_span()]) is FAILURE
    assert exporter.stats().dropped == {}
    assert exporter.export([a_span(end_ns=END_NS + 1)]) is FAILURE  # it waits its turn
    assert exporter.force_flush(10_000) is True
    bodies = [[sent["status"] for sent in request.events] for request in server.requests]
    assert bodies == [["running", "success"]] * 3
    assert server.requests[0].body == server.requests[1].body


def test_batches_have_at_most_512_records(exporter: FailpathSpanExporter, server: FaultServer) -> None:
    assert exporter.export([a_span()] * 600) is SUCCESS
    assert [len(request.events) for request in server.requests] == [512, 512, 176]


def test_batches_have_at_most_one_mebibyte(exporter: FailpathSpanExporter, server: FaultServer) -> None:
    texts = {f"failpath.metadata.{letter}": letter * 3_900 for letter in "abcd"}
    assert exporter.export([a_span(texts)] * 200) is SUCCESS
    assert len(server.events) == 400
    sizes = [len(request.body) for request in server.requests]
    assert max(sizes) <= limits.MAX_BATCH_BYTES
    assert sorted(sizes)[1] > limits.MAX_BATCH_BYTES - limits.MAX_RECORD_BYTES


class Hostile(ReadableSpan):
    """A span that cannot be read."""

    @property
    def attributes(self) -> Any:
        raise ZeroDivisionError


def test_a_span_that_cannot_be_read_raises_nothing_and_is_a_failure(exporter: FailpathSpanExporter) -> None:
    assert exporter.export([Hostile("hostile")]) is FAILURE


def test_a_span_that_cannot_be_read_costs_itself_and_not_its_neighbours(
    exporter: FailpathSpanExporter, server: FaultServer
) -> None:
    exporter.export([a_span(), Hostile("hostile"), a_span(end_ns=END_NS + 1)])
    assert server.statuses == ["running", "running", "success", "success"]


def test_force_flush_is_true_where_nothing_waits(exporter: FailpathSpanExporter) -> None:
    assert exporter.force_flush(0) is True


def test_two_threads_that_export_at_once_both_deliver(exporter: FailpathSpanExporter, server: FaultServer) -> None:
    results: list[SpanExportResult] = []
    threads = [threading.Thread(target=lambda: results.append(exporter.export([a_span()]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [SUCCESS] * 4
    assert len(server.events) == 8


def test_without_a_key_the_exporter_is_not_made() -> None:
    with pytest.raises(ConfigurationError, match=r"project_key=.*FAILPATH_PROJECT_KEY"):
        FailpathSpanExporter()


def test_the_stack_travels_only_with_capture_stack(server: FaultServer) -> None:
    span = a_span(
        {semconv.STEP_STATUS: "error"},
        events=[*lifecycle("running", "error"), EXCEPTION],
    )
    for capture_stack in (False, True):
        exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, capture_stack=capture_stack)
        assert exporter.export([span]) is SUCCESS
        exporter.shutdown()
    assert ["stack" in sent["error"] for sent in server.events if sent["status"] == "error"] == [False, True]


def test_where_not_all_spans_have_room_no_step_is_left_without_its_end(server: FaultServer) -> None:
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, max_queue_size=3, journal=None)
    spans = [a_span({semconv.RUN_ID: f"run-{number}"}, end_ns=END_NS + number) for number in range(3)]
    assert exporter.export(spans) is FAILURE
    assert server.statuses == ["running", "success"]
    assert exporter.stats().dropped == {"queue_full": 4}
    exporter.shutdown()
