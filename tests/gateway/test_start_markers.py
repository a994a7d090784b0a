"""A running step is reported by a span that ends at once, and by nothing else twice."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from failpath_otel import Failpath, FailpathSpanExporter, FailpathSpanProcessor
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record
from tests.fault_server import FaultServer
from tests.gateway.gateways import start_gateway
from tests.gateway.requests import JSON, PROTOBUF, json_request, json_span, protobuf_of, records_in
from tests.receiver import start_receiver

KEY = "fp_project_markers_0123"


class Markers:
    """A client that marks starts, and what its provider has exported."""

    def __init__(self, **options: Any) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.failpath = Failpath(tracer_provider=self.provider, start_markers=True)

    def records(self) -> list[Record]:
        """The records of all that was exported so far, as a gateway makes them."""
        body = protobuf_of(self.exporter.get_finished_spans())
        return records_in(body, PROTOBUF, RecordContent())[0]


@pytest.fixture
def markers() -> Iterator[Markers]:
    made = Markers()
    yield made
    made.provider.shutdown()


def test_a_step_that_runs_is_running_and_nothing_is_reported_twice(markers: Markers) -> None:
    run = markers.failpath.run("checkout", run_id="req-1", metadata={"route": "/buy"})
    with run.step("charge", metadata={"cart": 7}):
        [running] = markers.records()
    assert (running.flow_key, running.run_id, running.step_key, running.status) == (
        *("checkout", "req-1", "charge"),
        "running",
    )
    assert running.metadata == {"route": "/buy", "cart": 7}
    marked, again, success = markers.records()
    assert marked == again == running
    assert success.status == "success"
    assert {record.span_id for record in (running, success)} == {running.span_id}


def test_a_marker_is_a_child_of_its_step_and_has_no_length(markers: Markers) -> None:
    markers.failpath.run("checkout").step("charge", lambda: None)
    marker, step = markers.exporter.get_finished_spans()
    assert step.context is not None
    assert marker.parent is not None
    assert marker.parent.span_id == step.context.span_id
    assert (marker.name, marker.start_time, marker.end_time) == (step.name, step.start_time, step.start_time)
    assert [event.name for event in marker.events] == ["failpath.step.running"]
    assert marker.attributes is not None
    assert marker.attributes["failpath.step.start_marker"] is True


def test_there_are_none_by_default() -> None:
    made = Markers()
    Failpath(tracer_provider=made.provider).run("checkout").step("charge", lambda: None)
    assert len(made.exporter.get_finished_spans()) == 1


def test_what_is_recorded_by_hand_and_what_is_skipped_has_none(markers: Markers) -> None:
    markers.failpath.run("checkout").skip("ship")
    markers.failpath.record_step(flow_key="checkout", run_id="1", step_key="pay", status="success")
    assert [record.status for record in markers.records()] == ["skipped", "success"]


class OnlyMarkers(Sampler):
    """Drops steps, and would keep their markers."""

    def should_sample(self, *args: Any, **more: Any) -> SamplingResult:
        attributes = more.get("attributes") or args[4]
        marker = "failpath.step.start_marker" in attributes
        return SamplingResult(Decision.RECORD_AND_SAMPLE if marker else Decision.DROP, attributes)

    def get_description(self) -> str:
        return "only markers"


def test_a_step_that_is_not_sampled_has_none() -> None:
    made = Markers(sampler=OnlyMarkers())
    made.failpath.run("checkout").step("charge", lambda: None)
    assert made.exporter.get_finished_spans() == ()


def test_the_processor_of_the_same_process_reports_each_step_once(server: FaultServer) -> None:
    made = Markers()
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, journal=None)
    made.provider.add_span_processor(processor)
    made.failpath.run("checkout").step("charge", lambda: None)
    assert processor.flush()
    assert server.statuses == ["running", "success"]
    made.provider.shutdown()


def test_the_exporter_reports_the_start_under_one_id(server: FaultServer) -> None:
    made = Markers()
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, journal=None)
    made.provider.add_span_processor(SimpleSpanProcessor(exporter))
    with made.failpath.run("checkout").step("charge"):
        assert server.statuses == ["running"]
    assert server.statuses == ["running", "running", "success"]
    assert len({event["id"] for event in server.events}) == 2
    made.provider.shutdown()


def test_a_span_that_denies_to_be_a_marker_is_none() -> None:
    denied = {"key": "failpath.step.start_marker", "value": {"boolValue": False}}
    span = json_span(attributes=[*json_span()["attributes"], denied], parentSpanId="00f067aa0ba902b8")
    found, _ = records_in(json_request(span), JSON, RecordContent())
    assert [(record.status, record.span_id) for record in found] == [
        ("running", "00f067aa0ba902b7"),
        ("success", "00f067aa0ba902b7"),
    ]


@pytest.mark.process
@pytest.mark.parametrize("sent", ["marker first", "step first", "marker alone", "marker twice"])
def test_marker_and_step_may_come_in_any_order_and_at_different_gateways(
    markers: Markers, tmp_path: Path, sent: str
) -> None:
    markers.failpath.run("checkout", run_id="req-1").step("charge", lambda: None)
    marker, step = ([span] for span in markers.exporter.get_finished_spans())
    order = {
        "marker first": [marker, step],
        "step first": [step, marker],
        "marker alone": [marker],
        "marker twice": [marker, marker, step],
    }[sent]
    with (
        start_receiver(tmp_path / "db") as receiver,
        start_gateway(receiver.url, None) as one,
        start_gateway(receiver.url, None) as other,
    ):
        for number, spans in enumerate(order):
            # Without a journal, what was answered is there.
            assert (one, other)[number % 2].send(protobuf_of(spans)).status == 200
        run = receiver.run("req-1")
    assert run is not None
    assert [shown["status"] for shown in run["steps"]] == ["running" if sent == "marker alone" else "success"]
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        [(events,)] = database.execute("SELECT count(*) FROM events")
    assert events == (1 if sent == "marker alone" else 2)


def test_a_provider_that_raises_at_the_marker_changes_nothing_of_the_step(
    markers: Markers, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = markers.failpath._tracer.host_tracer
    real = tracer.start_span

    def start_span(name: str, context: Any = None, **more: Any) -> Any:
        if "failpath.step.start_marker" in more["attributes"]:
            raise RuntimeError("no more spans")
        return real(name, context, **more)

    monkeypatch.setattr(tracer, "start_span", start_span)
    assert markers.failpath.run("checkout").step("charge", lambda: 7) == 7
    assert [record.status for record in markers.records()] == ["running", "success"]
