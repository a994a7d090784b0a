"""Steps for an OTLP backend alone: no Failpath account, no key, nothing sent to Failpath.

Every step is an ordinary span with its lifecycle as span events. The spans go to ``OTEL_EXPORTER_OTLP_ENDPOINT``, by
default a collector on this machine; where none listens, the OTLP exporter complains.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
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
