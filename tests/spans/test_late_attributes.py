"""Rules that ask for attributes which come after the start of a span: nothing twice, nothing lost."""

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, set_span_in_context

import failpath_otel
from failpath_otel import FailpathSpanExporter, StepRule, limits, semconv
from failpath_otel.records import rule_matches
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.receiver import wait_for
from tests.spans.foreign import a_span

ROUTE: Final = "http.route"
ORDERS: Final = StepRule("shop", "orders", span_name="*", kind="server", where={ROUTE: "/orders/*"})
ANY: Final = StepRule("shop", "any", span_name="GET*", kind="server")
BY_ROUTE: Final = StepRule("shop", "{attr:http.route}", span_name="GET*")
SAVE: Final = StepRule("shop", "save", span_name="INSERT")
BOTH: Final = ("running", "success")


class Shop:
    def __init__(self, server: FaultServer, *rules: StepRule) -> None:
        self.server = server
        provider = TracerProvider(shutdown_on_exit=False)
        self.failpath = failpath_otel.configure(
            project_key=KEY, endpoint=server.url, tracer_provider=provider, rules=rules
        )
        self.web = provider.get_tracer("web")
        self.ruled = self.failpath._join.reporter._rule_spans

    def get(self, name: str = "GET", **more: Any) -> Any:
        return self.web.start_span(name, **{"kind": SpanKind.SERVER, **more})

    def reported(self) -> list[tuple[str, str]]:
        assert self.failpath.flush()
        return [(event["stepKey"], event["status"]) for event in self.server.events]


@pytest.fixture
def shop(server: FaultServer) -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def make(*rules: StepRule) -> Shop:
        made.append(Shop(server, *rules))
        return made[-1]

    yield make
    for each in made:
        each.failpath.shutdown()


@pytest.mark.parametrize("rules", [(ORDERS,), (ORDERS, ANY), (BY_ROUTE,)], ids=["alone", "before another", "template"])
def test_an_attribute_that_comes_late_makes_the_step_while_the_span_is_open(
    shop: Callable[..., Shop], server: FaultServer, rules: tuple[StepRule, ...]
) -> None:
    made = shop(*rules)
    span = made.get()
    assert made.failpath.stats().accepted == 0
    span.set_attribute(ROUTE, "/orders/7")
    [running] = server.wait_for_events(1)
    key = "/orders/7" if rules == (BY_ROUTE,) else "orders"
    assert (running["stepKey"], running["status"]) == (key, "running")
    span.end()
    assert made.reported() == [(key, status) for status in BOTH]
    assert made.ruled.open == {}


def test_at_the_start_the_attribute_decides_at_once(shop: Callable[..., Shop]) -> None:
    made = shop(ORDERS, ANY)
    for route in ("/orders/7", "/other"):
        made.get(attributes={ROUTE: route})
    made.get(kind=SpanKind.CLIENT)
    assert made.failpath.stats().accepted == 2
    assert not made.ruled.awaiting


def test_a_span_that_ends_before_it_is_looked_at_again_is_the_step_that_it_is_at_its_end(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", limits.MAX_SECONDS)
    made = shop(ORDERS, ANY, BY_ROUTE)
    for route in ("/orders/7", None, "/other"):
        span = made.get()
        if route is not None:
            span.set_attribute(ROUTE, route)
        span.end()
    assert made.reported() == [(key, status) for key in ("orders", "any", "any") for status in BOTH]


def test_after_a_while_the_next_rule_is_taken_or_else_the_one_that_applies_at_the_end(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.0)
    made = shop(ORDERS, ANY)
    span, posted = made.get(), made.get("POST")
    assert [event["stepKey"] for event in server.wait_for_events(1)] == ["any"]
    assert wait_for(lambda: not made.ruled.awaiting)
    for each in (span, posted):
        each.set_attribute(ROUTE, "/orders/7")  # too late for the first
        each.end()
    assert sorted(made.reported()) == [(key, status) for key in ("any", "orders") for status in BOTH]


def test_a_template_without_its_attribute_is_other_after_a_while_and_stays_it(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.0)
    made = shop(BY_ROUTE)
    span = made.get()
    assert [event["stepKey"] for event in server.wait_for_events(1)] == ["other"]
    span.set_attribute(ROUTE, "/orders/7")
    span.end()
    assert made.reported() == [("other", status) for status in BOTH]


@pytest.mark.parametrize("rule", [ORDERS, BY_ROUTE], ids=["where", "template"])
def test_a_step_inside_is_in_the_run_of_one_that_is_known_by_then(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch, rule: StepRule
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", limits.MAX_SECONDS)
    made = shop(rule, SAVE)
    span = made.get(context=baggage.set_baggage(semconv.RUN_ID, "order-1"))
    inside = set_span_in_context(span)
    if rule is ORDERS:
        span.set_attribute(ROUTE, "/orders/7")
    made.web.start_span("INSERT", inside).end()
    span.set_attribute(ROUTE, "/orders/7")
    span.end()
    assert len(made.reported()) == 4
    saved, *_ = [event for event in made.server.events if event["stepKey"] == "save"]
    outer = f"{span.get_span_context().span_id:016x}"
    assert {event["runId"] for event in made.server.events} == {"order-1"}
    assert saved["parentSpanId"] == outer


def test_a_step_inside_of_a_span_that_no_rule_applies_to_yet_looks_past_it(shop: Callable[..., Shop]) -> None:
    made = shop(ORDERS, SAVE)
    with made.failpath.run("shop", run_id="order-1"), made.web.start_as_current_span("GET", kind=SpanKind.SERVER):
        made.web.start_span("INSERT").end()
    assert made.reported() == [("save", status) for status in BOTH]
    assert {event["runId"] for event in made.server.events} == {"order-1"}
    assert made.ruled.open == {}


def test_spans_that_wait_and_are_dropped_leave_nothing(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.0)
    made = shop(ORDERS)
    for _ in range(5):
        made.get()
    assert wait_for(lambda: not made.ruled.awaiting)
    gc.collect()
    assert wait_for(lambda: made.failpath.flush() and not made.ruled.open)
    assert made.reported() == []


def test_attributes_that_never_come_are_not_waited_for_and_are_tried_again_at_times(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", limits.MAX_SECONDS)
    monkeypatch.setattr(rule_matches, "_UNTIL_NEXT", 10)
    made = shop(ORDERS)
    waited = []
    for _ in range(60):
        span = made.get()
        waited.append(bool(made.ruled.awaiting))
        span.end()
    assert waited[:32] == [True] * 32
    assert 0 < sum(waited[32:]) < 5
    late = made.get()
    late.set_attribute(ROUTE, "/orders/7")
    late.end()
    assert made.reported() == [("orders", status) for status in BOTH]


def test_no_more_spans_wait_than_can_be_looked_at(shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", limits.MAX_SECONDS)
    monkeypatch.setattr(limits, "MAX_AWAITING_RULE", 3)
    made = shop(ORDERS)
    spans = [made.get() for _ in range(5)]
    assert len(made.ruled.awaiting) == 3
    for span in spans:
        span.set_attribute(ROUTE, "/orders/7")
        span.end()
    assert sorted(made.reported()) == sorted([("orders", status) for status in BOTH] * 5)


def test_an_exporter_sees_the_attributes_that_a_span_has_at_its_end(server: FaultServer) -> None:
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, rules=[BY_ROUTE])
    exporter.export([a_span({ROUTE: "/orders/7"}, name="GET /orders", identity={})])
    exporter.shutdown()
    assert [(event["stepKey"], event["status"]) for event in server.events] == [
        ("/orders/7", status) for status in BOTH
    ]


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_a_forked_child_decides_nothing_about_a_span_of_its_parent(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", limits.MAX_SECONDS)  # it is undecided when the process forks
    made = shop(ORDERS, ANY)
    span = made.get()
    child = os.fork()
    if not child:
        code = 1
        try:
            span.set_attribute(ROUTE, "/orders/7")
            span.end()
            of_parent = made.failpath.stats().accepted
            made.get(attributes={ROUTE: "/orders/8"}).end()
            code = 0 if (of_parent, made.failpath.stats().accepted) == (0, 2) else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert made.failpath.stats().accepted == 0
    span.set_attribute(ROUTE, "/orders/7")
    trace = f"{span.get_span_context().trace_id:032x}"
    span.end()
    made.reported()
    # The child's records may come by its journal.
    own = [(event["stepKey"], event["status"]) for event in made.server.events if event["traceId"] == trace]
    assert own == [("orders", status) for status in BOTH]
