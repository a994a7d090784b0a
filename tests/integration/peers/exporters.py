"""OpenTelemetry's OTLP exporters for Python, and a program that has nothing else."""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import pytest
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as ProtobufExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from failpath_otel import Failpath

EXPORTERS: Final = {"protobuf": ProtobufExporter, "json": JsonExporter}
ENCODINGS: Final = tuple(EXPORTERS)
PROCESS: Final[dict[str, str | int]] = {"pid": os.getpid(), "host": socket.gethostname()}

STORY: Final = {"validate": ["running", "success"], "charge": ["running", "error"], "receipt": ["skipped"]}
"""The steps of :func:`act`, with their records."""


@contextmanager
def exporting(url: str, encoding: str) -> Generator[TracerProvider]:
    """A provider whose spans go to ``url``, each time when a tenth of a second has passed."""
    resource = Resource({"process.pid": PROCESS["pid"], "host.name": PROCESS["host"]})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = EXPORTERS[encoding](endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
    try:
        yield provider
    finally:
        provider.shutdown()


def act(provider: TracerProvider, run_id: str) -> None:
    """A run with a step of each kind and a span of the application's own, all of which have left at the end."""
    run = Failpath(tracer_provider=provider).run("checkout", run_id=run_id, metadata={"route": "/buy"})
    with run.step("validate", metadata={"cart": {"books": [1, None]}}):
        provider.get_tracer("driver").start_span("SELECT").end()
    with pytest.raises(ValueError, match="declined"), run.step("charge"):
        raise ValueError("card declined")
    run.skip("receipt")
    assert provider.force_flush()
