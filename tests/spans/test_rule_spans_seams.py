"""Spans that a rule makes steps: where they are dropped without an end, and which run they are in."""

import os
import threading
from typing import Any, Final

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, get_current_span

import failpath_otel
from failpath_otel import FailpathSpanProcessor, StepRule, limits, semconv
from failpath_otel.runtime.threads import RealThread
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.receiver import wait_for
from tests.spans.foreign import tracer_with

HEADER: Final = "http.request.header.x_request_id"
CHARGE: Final = StepRule("checkout", "charge-card", span_name="POST /charge")
LATE: Final = StepRule("checkout", "charge-card", span_name="POST /charge", run_id=HEADER)
SAVE: Final = StepRule("checkout", "save-payment", span_name="INSERT")


class Shop:
    """A processor without a journal, and the tracer of an instrumentation."""

    def __init__(self, server: FaultServer, *rules: StepRule, **options: Any) -> None:
        self.processor = FailpathSpanProcessor(
            project_key=KEY, endpoint=server.url, journal=None, rules=rules, **options
        )
        self.reporter = self.processor._reporter
        self.web: Tracer = tracer_with(self.processor)


def test_a_span_can_be_dropped_while_another_thread_has_the_queue(server: FaultServer) -> None:
    # A garbage collection drops it anywhere: on the thread that the queue is just starting, or below another lock.
    shop = Shop(server, CHARGE)
    spans = [shop.web.start_span("POST /charge")]
    dropper = threading.Thread(target=spans.clear, daemon=True)
    with shop.reporter._pipelines[-1].queue.lock:
        dropper.start()
        dropper.join(10)
        assert not dropper.is_alive()
    assert not spans
    shop.processor.shutdown()


def test_a_dropped_span_gives_its_place_back_when_the_next_step_begins(server: FaultServer) -> None:
    shop = Shop(server, CHARGE, max_queue_size=4)
    for _ in range(20):
        shop.web.start_span("POST /charge")
        assert shop.processor.flush()
    assert len(shop.reporter._open) == len(shop.reporter._rule_spans.open) == 0
    shop.processor.shutdown()
    assert shop.processor.stats().dropped == {}


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_a_child_forked_while_a_dropped_span_waits_for_its_run_id_reports_its_own_steps(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", limits.MAX_SECONDS)
    shop = Shop(server, LATE)
    for _ in range(3):
        shop.web.start_span("POST /charge")
    child = os.fork()
    if not child:
        code = 1
        try:
            ruled = shop.reporter._rule_spans
            left = (len(ruled.awaiting), ruled.timer.is_running, len(shop.reporter._open))
            shop.web.start_span("POST /charge").set_attribute(HEADER, "req-1")
            code = 0 if left == (0, False, 0) and wait_for(lambda: shop.processor.stats().accepted == 1) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    shop.processor.shutdown()


# What spans know of the runs that they are in.


@pytest.mark.parametrize("run_id", [" order 1 ", "order\t1", "Bearer abcdefghijklmnop0123456789", "x" * 300])
@pytest.mark.parametrize("inside", ["run", "step"])
def test_a_span_inside_of_a_run_of_ours_has_the_run_id_that_its_steps_have(
    server: FaultServer, run_id: str, inside: str
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, rules=[SAVE])

    def save() -> None:
        provider.get_tracer("sql").start_span("INSERT").end()

    with client.run("checkout", run_id=run_id) as run:
        run.step("pack", save if inside == "step" else lambda: None)
        if inside == "run":
            save()
    assert client.flush()
    client.shutdown()
    assert len(server.events) == 4
    assert {event["runId"] for event in server.events} == {run.run_id}


def test_a_run_id_in_baggage_is_the_same_for_a_rule_as_for_current_run(server: FaultServer) -> None:
    shop = Shop(server, CHARGE)
    carried = baggage.set_baggage(semconv.FLOW_KEY, "checkout", baggage.set_baggage(semconv.RUN_ID, " order 1 "))
    shop.web.start_span("POST /charge", carried).end()
    token = context.attach(carried)
    found = failpath_otel.Failpath().current_run()
    context.detach(token)
    shop.processor.shutdown()
    assert found is not None
    assert {event["runId"] for event in server.events} == {found.run_id}


def test_the_timer_does_not_start_in_the_context_of_a_span(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tracers pass the context of the starting thread on: code that runs there, as `redact`, would be in that trace.
    shop = Shop(server, LATE)
    seen: list[tuple[str, Span]] = []
    with monkeypatch.context() as patched, shop.web.start_as_current_span("request"):
        patched.setattr(RealThread, "start", lambda thread: seen.append((thread.name, get_current_span())))
        shop.web.start_span("POST /charge").end()
    assert seen[0] == ("failpath-run-ids", INVALID_SPAN)
    monkeypatch.setattr(limits, "FLUSH_TIMEOUT", 0.0)  # the threads that would deliver were not started
    shop.processor.shutdown()
