"""Span processors of the host beside ours that raise or open spans: no step is left open, doubled or invented."""

from collections import Counter
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

import failpath_otel
from tests.fault_server import FaultServer
from tests.keys import KEY


class RaisesAtTheStart(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise ValueError("start")


class RaisesAtTheEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise ValueError("end")


class OpensASpanInTheSameContext(SpanProcessor):
    """Passes on the context that it was given, as a processor that derives spans may."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("derived")

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if span.name != "derived":
            self._tracer.start_span("derived", context=parent_context).end()


@pytest.mark.parametrize("ours_first", [True, False], ids=["after ours", "before ours"])
@pytest.mark.parametrize(
    "make", [RaisesAtTheStart, RaisesAtTheEnd, OpensASpanInTheSameContext], ids=lambda m: m.__name__
)
def test_a_step_is_reported_once_and_ends(server: FaultServer, make: Any, ours_first: bool) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    other = make(provider) if make is OpensASpanInTheSameContext else make()
    if not ours_first:
        provider.add_span_processor(other)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    if ours_first:
        provider.add_span_processor(other)

    assert client.run("checkout").step("pack", lambda: 7) == 7
    client.run("checkout").skip("send")
    assert client.flush()

    assert Counter((sent["stepKey"], sent["status"]) for sent in server.events) == {
        ("pack", "running"): 1,
        ("pack", "success"): 1,
        ("send", "skipped"): 1,
    }
    assert len({sent["spanId"] for sent in server.events}) == 2
    client.shutdown(0)
