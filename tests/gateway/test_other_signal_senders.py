"""OpenTelemetry's SDK with its exporters of metrics and logs, to a gateway that takes them and to one that does not."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from tests.fault_server import fault_server
from tests.gateway.gateways import Gateway, start_gateway

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def accepting_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("accepting")
    with (
        fault_server() as failpath,
        start_gateway(failpath.url, directory / "journal", "--accept-other-signals") as gateway,
    ):
        yield gateway


def send_a_metric(gateway: Gateway) -> None:
    exporter = OTLPMetricExporter(endpoint=f"{gateway.url}/v1/metrics", timeout=10, compression=Compression.Gzip)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.get_meter("shop").create_counter("orders").add(1)
    provider.force_flush(10_000)
    exporter.shutdown()


def send_a_log_line(gateway: Gateway) -> None:
    from opentelemetry.sdk._logs import LoggingHandler  # noqa: PLC0415 - deprecated by newer ones, which warn

    exporter = OTLPLogExporter(endpoint=f"{gateway.url}/v1/logs", timeout=10)
    provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    handler = LoggingHandler(logger_provider=provider)
    handler.emit(logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "an order", (), None))
    exporter.shutdown()  # type: ignore[no-untyped-call, unused-ignore]


@pytest.mark.parametrize(("signal", "send"), [("metrics", send_a_metric), ("logs", send_a_log_line)])
@pytest.mark.filterwarnings("ignore:.*LoggingHandler")
def test_the_sdk_is_content_where_they_are_taken_and_sends_once_where_they_are_not(
    shared_gateway: Gateway, accepting_gateway: Gateway, caplog: pytest.LogCaptureFixture, signal: str, send: Any
) -> None:
    def requests(gateway: Gateway) -> dict[str, int]:
        counts: dict[str, int] = gateway.health()["other_signals"][signal]
        return counts

    before = requests(accepting_gateway)["discarded"]
    send(accepting_gateway)
    assert requests(accepting_gateway) == {"discarded": before + 1, "refused": 0}
    exporters = "opentelemetry.exporter"
    assert [record for record in caplog.records if record.name.startswith(exporters)] == []
    before = requests(shared_gateway)["refused"]
    send(shared_gateway)
    assert requests(shared_gateway) == {"discarded": 0, "refused": before + 1}
    errors = [record.getMessage() for record in caplog.records if record.name.startswith(exporters)]
    assert len(errors) == 1
    assert "404" in errors[0]
    assert f"OTEL_{signal.upper()}_EXPORTER=none" in shared_gateway.stderr()
