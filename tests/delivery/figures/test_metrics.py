"""The figures as OpenTelemetry metrics, as readers of the SDK collect them."""

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import failpath_otel
from failpath_otel import Failpath, FailpathSpanExporter, FailpathSpanProcessor, report
from failpath_otel.delivery.pipelines import Pipelines
from failpath_otel.testing import MockFailpath
from tests.fault_server import FaultServer, accepted, rejecting, status
from tests.keys import KEY
from tests.receiver import wait_for

PROCESSOR = "failpath_otel.FailpathSpanProcessor"
Figures = dict[str, dict[tuple[tuple[str, Any], ...], int | float]]


class Metered:
    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def read(self) -> Figures:
        """The values by metric and by attributes, without those of the component."""
        found: Figures = {}
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        attributes = {k: v for k, v in (point.attributes or {}).items() if not k.startswith("otel.")}
                        found.setdefault(metric.name, {})[tuple(sorted(attributes.items()))] = point.value  # type: ignore[union-attr]
        return found

    def components(self) -> set[tuple[Any, Any]]:
        data = self.reader.get_metrics_data()
        return {
            (point.attributes["otel.component.type"], point.attributes["otel.component.name"])
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if point.attributes is not None
        }


@pytest.fixture
def metered() -> Iterator[Metered]:
    made = Metered()
    yield made
    made.provider.shutdown()


DELIVERED = (("failpath.record.state", "delivered"),)


def test_a_delivered_step_shows_as_two_records_and_nothing_waits(metered: Metered, server: FaultServer) -> None:
    client = failpath_otel.configure(
        project_key=KEY, endpoint=server.url, tracer_provider=TracerProvider(), metrics=metered.provider
    )
    client.run("checkout").step("pack", lambda: None)
    assert client.flush(10)
    assert metered.read() == {
        "otel.sdk.processor.span.queue.size": {(): 0},
        "otel.sdk.exporter.span.exported": {(): 2},
        "failpath.records": {DELIVERED: 2},
        "failpath.records.accepted": {(): 2},
        "failpath.records.adopted": {DELIVERED: 0},
        "failpath.records.oldest_age": {(): 0.0},
        "failpath.journal.size": {(): 0},
    }
    client.shutdown()


def test_what_waits_and_what_is_lost_shows_with_its_reason_while_failpath_fails(
    metered: Metered, server: FaultServer
) -> None:
    server.answer_with(rejecting(0))
    processor = FailpathSpanProcessor(
        project_key=KEY, endpoint=server.url, journal=None, max_queue_size=100, metrics=metered.provider
    )
    provider = TracerProvider()
    provider.add_span_processor(processor)
    client = Failpath(tracer_provider=provider)
    client.run("checkout").skip("pack")
    processor.flush(10)
    server.answer_with(status(503))
    client.run("checkout").skip("ship")
    processor.flush(0.5)
    wait_for(lambda: metered.read()["failpath.records.oldest_age"][()] > 0.05)
    figures = metered.read()
    lost = (("error.type", "rejected"),)
    assert figures["failpath.records"] == {DELIVERED: 0, (*lost, ("failpath.record.state", "dropped")): 1}
    assert figures["otel.sdk.exporter.span.exported"] == {(): 0, lost: 1}
    assert figures["otel.sdk.processor.span.queue.size"] == {(): 1}
    assert figures["otel.sdk.processor.span.queue.capacity"] == {(): 100}
    assert "failpath.journal.size" not in figures
    server.answer_with(accepted)
    processor.flush(10)
    processor.shutdown()


def test_each_component_has_a_name_of_its_own_and_is_gone_when_it_is_collected(
    metered: Metered, server: FaultServer
) -> None:
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, metrics=metered.provider)
    exporters = [
        FailpathSpanExporter(project_key=KEY, endpoint=server.url, metrics=metered.provider, journal=None)
        for _ in range(2)
    ]
    found = metered.components()
    assert sorted(kind for kind, _ in found) == ["failpath_otel.FailpathSpanExporter"] * 2 + [PROCESSOR]
    assert len({name for _, name in found}) == 3
    for exporter in exporters:
        exporter.shutdown()
    del exporter, exporters
    gc.collect()
    assert [kind for kind, _ in metered.components()] == [PROCESSOR]
    processor.shutdown()


def test_an_exporter_reports_what_it_has_sent(metered: Metered, server: FaultServer) -> None:
    provider = TracerProvider()
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, metrics=metered.provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Failpath(tracer_provider=provider).run("checkout").step("pack", lambda: None)
    assert metered.read()["failpath.records"] == {DELIVERED: 2}
    provider.shutdown()


@pytest.mark.parametrize("options", [{"metrics": False}, {"metrics": None}, {"enabled": False}])
def test_nothing_is_reported_where_it_is_turned_off(
    metered: Metered, server: FaultServer, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILPATH_METRICS", "off")
    if "metrics" not in options:
        options = {**options, "metrics": metered.provider}
    measured: list[object] = []
    monkeypatch.setattr(Pipelines, "stats", measured.append)
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, **options)
    assert metered.read() == {}
    assert measured == []
    processor.shutdown()


def test_a_mock_reports_nothing(metered: Metered) -> None:
    MockFailpath().run("checkout").skip("pack")
    assert metered.read() == {}


def test_another_configuration_of_the_same_provider_moves_or_ends_the_metrics(
    metered: Metered, server: FaultServer
) -> None:
    provider, other = TracerProvider(), Metered()
    options: dict[str, Any] = {"project_key": KEY, "endpoint": server.url, "tracer_provider": provider}
    client = failpath_otel.configure(**options, metrics=metered.provider)
    client.run("checkout").skip("pack")
    failpath_otel.configure(**options, metrics=other.provider)
    client.run("checkout").skip("ship")
    assert client.flush(10)
    assert metered.read() == {}
    assert other.read()["failpath.records"] == {DELIVERED: 2}  # also what the pipeline before has delivered
    failpath_otel.configure(**options, metrics=False)
    assert other.read() == {}
    client.shutdown()


def test_a_meter_provider_that_raises_costs_nothing_but_a_line_in_the_log(
    server: FaultServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_logged", set())

    class Faulty(MeterProvider):
        def get_meter(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no meter")

    provider = TracerProvider()
    faulty = Faulty(shutdown_on_exit=False)
    with caplog.at_level(logging.ERROR, "failpath_otel"):
        client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, metrics=faulty)
    assert client.run("checkout").step("pack", lambda: 7) == 7
    assert client.flush(10)
    [line] = [record.message.splitlines()[0] for record in caplog.records if "metrics" in record.message]
    assert line.startswith("Failpath: making the instruments of metrics failed; the application goes on.")
    client.shutdown()


def test_a_meter_provider_without_weak_references_gets_the_figures_too(metered: Metered, server: FaultServer) -> None:
    class Slotted:
        __slots__ = ()

        def get_meter(self, *arguments: Any, **named: Any) -> Any:
            return metered.provider.get_meter(*arguments, **named)

    given: Any = Slotted()
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, metrics=given)
    assert metered.read()["failpath.records"] == {DELIVERED: 0}
    exporter.shutdown()


def test_figures_that_cannot_be_read_leave_the_metrics_of_the_application_alone(
    metered: Metered, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, metrics=metered.provider)
    metered.provider.get_meter("shop").create_counter("orders").add(3)

    def fail(_: Pipelines) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Pipelines, "stats", fail)
    monkeypatch.setattr(report, "_logged", set())
    assert metered.read() == {"orders": {(): 3}}
    monkeypatch.undo()
    processor.shutdown()


_GLOBAL = """
import os, sys
import failpath_otel
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
if sys.argv[1] == "before":
    metrics.set_meter_provider(MeterProvider([reader]))
client = failpath_otel.configure()
client.run("checkout").step("pack", lambda: None)
assert client.flush(20)
if sys.argv[1] == "after":
    metrics.set_meter_provider(MeterProvider([reader]))

def delivered():
    [resource] = reader.get_metrics_data().resource_metrics
    return [
        point.value
        for metric in resource.scope_metrics[0].metrics if metric.name == "failpath.records"
        for point in metric.data.data_points
    ]

print(delivered(), flush=True)
child = os.fork()
if not child:
    client.run("checkout").skip("pack")
    assert client.flush(20)
    print(delivered(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.process
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_global_meter_provider_is_used_whenever_it_is_set_and_a_child_counts_from_zero(
    server: FaultServer, when: str
) -> None:
    """In a process of its own, because there can be only one global provider in each."""
    variables = {"FAILPATH_PROJECT_KEY": KEY, "FAILPATH_DEV_ENDPOINT": server.url}
    done = subprocess.run(
        [sys.executable, "-c", _GLOBAL, when],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["[2]", "[1]"]
