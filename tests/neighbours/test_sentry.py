"""What is peculiar to Sentry: what happens on the application's own thread belongs to the transaction there."""

import pytest

from tests.delivery.programs import succeed
from tests.fault_server import fault_server
from tests.neighbours.envelopes import read_envelopes

pytestmark = pytest.mark.process

SENTRY = """
    import gc, os
    import sentry_sdk
    import failpath_otel

    sentry_sdk.init(dsn=os.environ["BACKEND"].replace("://", "://key@") + "/1", release="1", traces_sample_rate=1.0)
"""
END = """
    sentry_sdk.flush(20)
    print("end", flush=True)
"""


def test_an_exporter_on_the_applications_thread_is_not_seen_in_its_transaction() -> None:
    code = """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(failpath_otel.FailpathSpanExporter()))
    with sentry_sdk.start_transaction(name="checkout", op="task"):
        failpath_otel.Failpath(tracer_provider=provider).run("checkout").step("pack", lambda: None)
    """
    with fault_server() as failpath, fault_server() as backend:
        succeed(SENTRY + code + END, failpath.url, BACKEND=backend.url)
        assert failpath.statuses == ["running", "success"]
        assert [item.name for item in read_envelopes(backend.requests)] == ["checkout"]


def test_our_thread_keeps_no_transaction_alive() -> None:
    code = """
    from sentry_sdk.tracing import Transaction

    sentry_sdk.capture_message("so that its own thread begins outside of the transaction")
    client = failpath_otel.configure()
    with sentry_sdk.start_transaction(name="checkout", op="task"):
        client.run("checkout").step("pack", lambda: None)
        assert client.flush(20)
    sentry_sdk.flush(20)
    gc.collect()
    print("kept" if any(type(item) is Transaction for item in gc.get_objects()) else "gone")
    """
    with fault_server() as failpath, fault_server() as backend:
        assert succeed(SENTRY + code + END, failpath.url, BACKEND=backend.url).lines == ["gone", "end"]
