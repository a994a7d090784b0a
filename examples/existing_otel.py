"""A program that has OpenTelemetry already: one line more, and the same spans go to both backends.

Needs ``FAILPATH_PROJECT_KEY``. The spans go to ``OTEL_EXPORTER_OTLP_ENDPOINT``, by default a collector on this
machine; where none listens, the OTLP exporter complains.
"""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import failpath_otel

# The set-up that was there before.
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")

# The new line: it joins the provider that is there.
failpath = failpath_otel.configure()


def reserve() -> str:
    """Work in a span, which becomes a child of the step."""
    with tracer.start_as_current_span("SELECT stock"):
        return "reserved"


with failpath.run("checkout", run_id="order-17") as run:  # one parent span: all steps in one trace
    print(run.step("reserve-stock", reserve))
    run.step("charge-card", lambda: None)
