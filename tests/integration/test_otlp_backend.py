"""A real OTLP backend: every step once, as an ordinary span, and nothing else that is not the application's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from failpath_otel import Failpath, configure
from tests.otlp_backend import OtlpBackend, OtlpSpan, start_otlp_backend
from tests.receiver import Receiver, start_receiver, wait_for

RUN_ID = "req-1"


@pytest.fixture
def backend() -> Iterator[OtlpBackend]:
    with start_otlp_backend() as running:
        yield running


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with start_receiver(tmp_path / "local.db") as started:
        yield started


@pytest.fixture
def provider(backend: OtlpBackend) -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=backend.endpoint)))
    yield made
    made.shutdown()


def one_of_each(failpath: Failpath, provider: TracerProvider, during: Callable[[], object] = lambda: None) -> None:
    """A run with every outcome, and a span of the application's own inside a step and outside of all."""
    tracer = provider.get_tracer("application")
    with failpath.run("checkout", run_id=RUN_ID, metadata={"route": "/checkout"}) as run:
        run.step("validate", lambda: tracer.start_span("SELECT").end())
        with pytest.raises(ValueError, match="declined"), run.step("charge"):
            during()
            raise ValueError("card declined")
        run.skip("receipt")
        failpath.record_step(flow_key="checkout", run_id=RUN_ID, step_key="ship", status="success")
    tracer.start_span("GET /").end()


NAMES = ["GET /", "SELECT", "charge", "checkout", "receipt", "ship", "validate"]


def by_name(spans: list[OtlpSpan]) -> dict[str, OtlpSpan]:
    assert sorted(span.name for span in spans) == NAMES
    assert len({span.span_id for span in spans}) == len(spans)
    return {span.name: span for span in spans}


def events(span: OtlpSpan) -> list[str]:
    return [event.name for event in span.events]


def assert_whole(spans: dict[str, OtlpSpan]) -> None:
    for key in ("validate", "charge", "receipt", "ship"):
        found = spans[key].attributes
        assert found["failpath.flow.key"] == "checkout"
        assert (found["failpath.run.id"], found["failpath.step.key"]) == (RUN_ID, key)
    told = {
        name: (span.attributes.get("failpath.step.status"), span.status_code, events(span))
        for name, span in spans.items()
    }
    assert told == {
        "validate": ("success", "OK", ["failpath.step.running", "failpath.step.success"]),
        "charge": ("error", "ERROR", ["failpath.step.running", "exception", "failpath.step.error"]),
        "receipt": ("skipped", "UNSET", ["failpath.step.skipped"]),
        "ship": ("success", "OK", ["failpath.step.success"]),
        "checkout": (None, "UNSET", []),
        "SELECT": (None, "UNSET", []),
        "GET /": (None, "UNSET", []),
    }
    failed = spans["charge"]
    assert failed.status_message == "ValueError: card declined"
    assert failed.events[1].attributes["exception.type"] == "ValueError"
    assert failed.events[1].attributes["exception.message"] == "card declined"
    assert "raise ValueError" in failed.events[1].attributes["exception.stacktrace"]
    assert failed.events[0].time_unix_nano == failed.start_time_unix_nano
    assert {event.time_unix_nano for event in failed.events[1:]} == {failed.end_time_unix_nano}
    assert spans["validate"].attributes["failpath.metadata.route"] == "/checkout"


def assert_true_parents(spans: dict[str, OtlpSpan]) -> None:
    parents = {name: span.parent_span_id for name, span in spans.items()}
    run = spans["checkout"].span_id
    assert parents == {
        "checkout": "",
        "validate": run,
        "charge": run,
        "receipt": run,
        "ship": run,
        "SELECT": spans["validate"].span_id,
        "GET /": "",
    }
    assert {span.trace_id for name, span in spans.items() if name != "GET /"} == {spans["checkout"].trace_id}


def test_beside_failpath_every_step_arrives_once_and_whole(
    backend: OtlpBackend, provider: TracerProvider, receiver: Receiver
) -> None:
    client = configure(project_key=receiver.key, endpoint=receiver.url, tracer_provider=provider)
    try:
        one_of_each(client, provider)
        assert client.flush()
        provider.force_flush()

        spans = by_name(backend.spans())
        assert_whole(spans)
        assert_true_parents(spans)
        run = receiver.run(RUN_ID)
        assert run is not None
        shown = {step["stepKey"]: step["status"] for step in run["steps"]}
        assert shown == {"validate": "success", "charge": "error", "receipt": "skipped", "ship": "success"}
    finally:
        client.shutdown()


def test_a_step_that_is_still_running_is_at_failpath_and_not_at_the_backend(
    backend: OtlpBackend, provider: TracerProvider, receiver: Receiver
) -> None:
    client = configure(project_key=receiver.key, endpoint=receiver.url, tracer_provider=provider)
    seen: list[list[str]] = []

    def is_running() -> bool:
        run: dict[str, Any] = receiver.run(RUN_ID) or {"steps": []}
        return any((step["stepKey"], step["status"]) == ("charge", "running") for step in run["steps"])

    def during() -> None:
        wait_for(is_running, message="the receiver never showed charge as running")
        provider.force_flush()
        seen.append(sorted(span.name for span in backend.spans()))

    try:
        one_of_each(client, provider, during)
        assert client.flush()
        provider.force_flush()

        assert seen == [["SELECT", "validate"]]
        by_name(backend.spans())
    finally:
        client.shutdown()


def test_without_failpath_the_spans_are_the_same(backend: OtlpBackend, provider: TracerProvider) -> None:
    failpath = Failpath(tracer_provider=provider)
    one_of_each(failpath, provider)

    assert failpath.flush()

    spans = by_name(backend.spans())
    assert_whole(spans)
    assert_true_parents(spans)


def test_many_steps_of_many_runs_arrive_each_once(
    backend: OtlpBackend, provider: TracerProvider, receiver: Receiver
) -> None:
    client = configure(project_key=receiver.key, endpoint=receiver.url, tracer_provider=provider)
    try:
        for number in range(20):
            run = client.run("checkout", run_id=number)
            for key in ("a", "b", "c", "d", "e"):
                run.step(key, lambda: None)
        assert client.flush()
        provider.force_flush()

        spans = backend.spans()
        assert len({span.span_id for span in spans}) == len(spans) == 100
        told = {(span.attributes["failpath.run.id"], span.name) for span in spans}
        assert told == {(str(number), key) for number in range(20) for key in "abcde"}
    finally:
        client.shutdown()
