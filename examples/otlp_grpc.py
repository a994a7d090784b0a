"""Steps for an OTLP backend alone, by gRPC: as ``otlp_only.py``, with the extra ``otlp-grpc``.

The spans go to ``OTEL_EXPORTER_OTLP_ENDPOINT``, by default a collector on this machine, at port 4317. An address that
begins with ``http://`` is spoken to without TLS.
"""

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from failpath_otel import Failpath

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
failpath = Failpath(tracer_provider=provider)

run = failpath.run("nightly-report", metadata={"region": "eu"})
rows = run.step("load", lambda: [3, 1, 2])
print(run.step("sort", lambda: sorted(rows)))
run.skip("send")
provider.shutdown()  # sends what waits; without it, the end of the process does
