"""Our own deliveries leave no trace in an application whose HTTP clients are instrumented."""

from collections.abc import Iterator

import pytest
import requests
import urllib3
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import failpath_otel
from tests.fault_server import FaultServer, answer, fault_server
from tests.spans.foreign import a_span

KEY = "fp_project_0123456789_secret"


@pytest.fixture(autouse=True, params=["straight", "by requests"])
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by requests":  # as where there is a proxy
        monkeypatch.setattr("failpath_otel.delivery.http.own_channel.is_plain", lambda *_: False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server(answer(200)) as running:
        yield running


class Application:
    """A provider whose spans can be seen."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def calls(self) -> list[ReadableSpan]:
        """The spans of outgoing HTTP calls."""
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]


@pytest.fixture(params=["requests", "urllib3"])
def application(request: pytest.FixtureRequest) -> Iterator[Application]:
    running = Application()
    if request.param == "requests":
        instrumentor = RequestsInstrumentor()
    else:
        module = pytest.importorskip("opentelemetry.instrumentation.urllib3")
        instrumentor = module.URLLib3Instrumentor()
    instrumentor.instrument(tracer_provider=running.provider)
    yield running
    instrumentor.uninstrument()


def own_call(url: str) -> None:
    """What the application does itself, by requests and so by urllib3 as well."""
    requests.get(url, timeout=10).close()


def test_deliveries_create_no_spans_while_the_applications_own_calls_do(
    application: Application, server: FaultServer
) -> None:
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=application.provider)
    client.run("checkout").step("pack", lambda: own_call(server.url))
    assert client.flush()
    client.shutdown()
    assert [request.method for request in server.requests].count("POST") >= 1
    [call] = application.calls
    [own] = [request for request in server.requests if request.method == "GET"]
    assert call.context is not None
    assert f"{call.context.span_id:016x}" in own.headers["traceparent"]


def test_deliveries_carry_no_trace_of_the_application(application: Application, server: FaultServer) -> None:
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=application.provider)
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    client.shutdown()
    for request in server.requests:
        assert not {"traceparent", "tracestate", "baggage"} & request.headers.keys()


def test_the_exporter_on_the_applications_own_thread_creates_no_spans(
    application: Application, server: FaultServer
) -> None:
    exporter = failpath_otel.FailpathSpanExporter(project_key=KEY, endpoint=server.url)
    exporter.export([a_span()])
    exporter.shutdown()
    assert len(server.requests) == 1
    assert application.calls == []


def test_after_an_export_on_its_thread_the_applications_calls_are_traced_again(
    application: Application, server: FaultServer
) -> None:
    exporter = failpath_otel.FailpathSpanExporter(project_key=KEY, endpoint=server.url)
    exporter.export([a_span()])
    exporter.shutdown()
    own_call(server.url)
    assert len(application.calls) == 1


def test_urllib3_is_what_requests_calls() -> None:
    # Otherwise the tests above would show nothing about urllib3.
    assert issubclass(requests.adapters.HTTPAdapter().poolmanager.__class__, urllib3.PoolManager)
