"""What every service begins with: its client; where runs travel as baggage, the instrumentations that send it."""

import os
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import Run

BY_HEADERS: Final = os.environ["WAY"] == "headers"

trace.set_tracer_provider(TracerProvider())
failpath: Final = failpath_otel.configure()

if not BY_HEADERS:
    for instrumentor in (RequestsInstrumentor, CeleryInstrumentor, HTTPXClientInstrumentor):
        instrumentor().instrument()


def received(headers: Any) -> Run:
    """The run of the service that has called, or that has sent the message."""
    if BY_HEADERS:
        return failpath.run_from_headers(headers)
    run = failpath.current_run()
    assert run is not None, "no run has come as baggage"
    return run


def to_send(run: Run) -> dict[str, str]:
    """The headers that the application itself sends along."""
    return run.headers() if BY_HEADERS else {}
