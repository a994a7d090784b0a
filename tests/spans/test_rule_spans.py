"""Spans of other tracers that are steps by a rule, from their start to their record."""

import os
import threading
from collections.abc import Callable
from typing import Any, Final
from unittest.mock import create_autospec

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.status import Status

import failpath_otel
from failpath_otel import FailpathSpanExporter, FailpathSpanProcessor, StepRule, limits, semconv
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.sender import NullClient
from failpath_otel.options.options import DEFAULT_ENDPOINT, Options
from failpath_otel.spans.reporter import Reporter
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.receiver import wait_for
from tests.spans.foreign import IDENTITY, a_span, tracer_with

NewProcessor = Callable[..., FailpathSpanProcessor]
HEADER: Final = "http.request.header.x_request_id"
CHARGE: Final = StepRule("checkout", "charge-card", span_name="POST /charge")
CHARGE_BY_HEADER: Final = StepRule("checkout", "charge-card", span_name="POST /charge", run_id=HEADER)
SAVE: Final = StepRule("checkout", "save-payment", span_name="INSERT *", scope="sql")


class Shop:
    """A processor with rules, on a provider with an instrumentation."""

    def __init__(self, processor: FailpathSpanProcessor, server: FaultServer) -> None:
        self.processor = processor
        self.server = server
        self.web: Tracer = tracer_with(processor)

    def events(self) -> list[dict[str, Any]]:
        assert self.processor.flush()
        return self.server.events

    def reported(self) -> list[tuple[str, str, str]]:
        return [(event["runId"], event["stepKey"], event["status"]) for event in self.events()]


@pytest.fixture
def shop(new_processor: NewProcessor, server: FaultServer) -> Callable[..., Shop]:
    return lambda *rules, **options: Shop(new_processor(server.url, rules=rules, **options), server)


def started(name: str, kind: SpanKind) -> Any:
    return TracerProvider().get_tracer("web").start_span(name, kind=kind)


def trace_id(span: Any) -> str:
    return f"{span.get_span_context().trace_id:032x}"


def test_running_is_at_the_server_while_the_span_is_open(shop: Callable[..., Shop], server: FaultServer) -> None:
    span = shop(CHARGE).web.start_span("POST /charge")
    [running] = server.wait_for_events(1)
    assert (running["flowKey"], running["runId"], running["stepKey"], running["status"]) == (
        "checkout",
        trace_id(span),
        "charge-card",
        "running",
    )
    span.end()
    _, ended = server.wait_for_events(2)
    assert (ended["status"], ended["startedAt"]) == ("success", running["timestamp"])
    assert ended["spanId"] == running["spanId"] == f"{span.get_span_context().span_id:016x}"


def test_running_is_queued_before_on_start_returns(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    made.web.start_span("POST /charge")
    assert made.processor.stats().accepted == 1


def test_a_span_that_no_rule_is_for_is_no_step(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE, SAVE)
    for name in ("GET /charge", "INSERT payments"):  # the second of another scope
        made.web.start_span(name).end()
    assert made.reported() == []


@pytest.mark.parametrize("description", ["the bank said no, password=hunter2", None])
def test_a_span_with_the_status_error_is_an_error_without_its_secrets(
    shop: Callable[..., Shop], description: str | None
) -> None:
    made = shop(CHARGE)
    span = made.web.start_span("POST /charge")
    span.set_status(Status(StatusCode.ERROR, description))
    span.end()
    error = made.events()[1]["error"]
    shown = "" if description is None else "the bank said no, password=[redacted]"
    assert error == {"name": "Error", "message": shown}


def test_an_exception_that_ends_the_span_is_the_error(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    with pytest.raises(PermissionError), made.web.start_as_current_span("POST /charge"):
        raise PermissionError("Authorization: Bearer abcdefghijklmnop0123456789")
    error = made.events()[1]["error"]
    assert error["name"] == "PermissionError"
    assert "abcdefghijklmnop" not in error["message"]


def test_no_attribute_of_the_span_becomes_metadata_but_those_that_are_metadata(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE, default_metadata={"service": "shop"})
    span = made.web.start_span("POST /charge", attributes={"http.request.body": "card 4242", "user.email": "a@b.c"})
    span.set_attributes({"db.statement": "SELECT 1", "failpath.metadata.cart": "c-1"})
    span.end()
    running, ended = made.events()
    assert running["metadata"] == {"service": "shop"}
    assert ended["metadata"] == {"service": "shop", "cart": "c-1"}


def test_redact_is_asked_for_the_error(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE, redact=lambda key, value: "hidden" if key == "error.message" else value)
    span = made.web.start_span("POST /charge")
    span.set_status(Status(StatusCode.ERROR, "card 4242"))
    span.end()
    assert made.events()[1]["error"]["message"] == "hidden"


@pytest.mark.parametrize("names", [IDENTITY, {semconv.FLOW_KEY: "other"}], ids=["a step", "a run"])
def test_a_span_that_says_itself_what_it_is_is_left_to_itself(shop: Callable[..., Shop], names: dict[str, str]) -> None:
    made = shop(StepRule("all", "all", span_name="*"))
    made.web.start_span("any", attributes=names).end()
    assert {event["flowKey"] for event in made.events()} == ({"checkout"} if names is IDENTITY else set())


def test_steps_and_runs_of_ours_are_not_taken_for_others(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(
        project_key=KEY,
        endpoint=server.url,
        tracer_provider=provider,
        rules=[StepRule("all", "all", span_name="*")],
    )
    with client.run("checkout", run_id="order-1") as run:
        run.step("pack", lambda: None)
        provider.get_tracer("other").start_span("other").end()
    assert client.flush()
    steps = [(event["flowKey"], event["stepKey"], event["status"]) for event in server.events]
    client.shutdown()
    assert steps == [
        *(("checkout", "pack", "running"), ("checkout", "pack", "success")),
        *(("all", "all", "running"), ("all", "all", "success")),
    ]


# Which name counts.


def test_a_span_that_is_renamed_to_match_gives_both_records_at_its_end(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    span = made.web.start_span("POST")
    span.update_name("POST /charge")
    assert made.processor.stats().accepted == 0
    span.end()
    assert made.reported() == [(trace_id(span), "charge-card", status) for status in ("running", "success")]


@pytest.mark.parametrize("name", ["POST", "INSERT x"])
def test_a_span_that_matched_at_its_start_ends_as_that_step_whatever_its_name(
    shop: Callable[..., Shop], name: str
) -> None:
    made = shop(CHARGE, StepRule("other", "save", span_name="INSERT *"))
    span = made.web.start_span("POST /charge")
    span.update_name(name)
    span.end()
    assert made.reported() == [(trace_id(span), "charge-card", status) for status in ("running", "success")]


# Which run.


def test_the_run_id_is_the_attribute_that_is_there_at_the_start(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE_BY_HEADER)
    span = made.web.start_span("POST /charge", attributes={HEADER: ["req-1"]})
    assert made.processor.stats().accepted == 1
    span.end()
    assert made.reported() == [("req-1", "charge-card", "running"), ("req-1", "charge-card", "success")]


def test_an_attribute_that_is_set_right_after_the_start_is_waited_for(
    shop: Callable[..., Shop], server: FaultServer
) -> None:
    made = shop(CHARGE_BY_HEADER)
    span = made.web.start_span("POST /charge")
    assert made.processor.stats().accepted == 0
    span.set_attribute(HEADER, ["req-1"])
    [running] = server.wait_for_events(1)  # while the span is open
    assert (running["runId"], running["status"]) == ("req-1", "running")
    span.end()
    assert made.reported() == [("req-1", "charge-card", "running"), ("req-1", "charge-card", "success")]


def test_running_has_the_time_of_the_start_however_late_it_is_reported(
    shop: Callable[..., Shop], server: FaultServer
) -> None:
    made = shop(CHARGE_BY_HEADER)
    span = made.web.start_span("POST /charge", start_time=1_700_000_000_123_456_789)
    span.set_attribute(HEADER, "req-1")
    [running] = server.wait_for_events(1)
    assert running["timestamp"] == "2023-11-14T22:13:20.123456Z"
    span.end()


def test_a_span_that_ends_before_it_was_looked_at_gives_both_records(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE_BY_HEADER)
    span = made.web.start_span("POST /charge")
    span.set_attribute(HEADER, "req-1")
    span.end()
    assert made.reported() == [("req-1", "charge-card", "running"), ("req-1", "charge-card", "success")]


def test_without_the_attribute_running_is_reported_all_the_same_and_the_run_id_stays(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.0)
    made = shop(CHARGE_BY_HEADER)
    span = made.web.start_span("POST /charge")
    [running] = server.wait_for_events(1)
    assert running["runId"] == trace_id(span)
    span.set_attribute(HEADER, "req-1")  # too late: the step is open under another run id
    span.end()
    assert made.reported() == [(trace_id(span), "charge-card", status) for status in ("running", "success")]


def test_the_run_id_is_the_baggage_entry_where_there_is_no_attribute(shop: Callable[..., Shop]) -> None:
    made = shop(StepRule("checkout", "charge-card", span_name="POST /charge", run_id="order.id"))
    ours = baggage.set_baggage(semconv.RUN_ID, "order-1")
    for context in (ours, baggage.set_baggage("order.id", "order-2", ours)):
        made.web.start_span("POST /charge", context).end()
    made.web.start_span("POST /charge", ours, attributes={"order.id": "order-3"}).end()
    assert [run_id for run_id, _, status in made.reported() if status == "running"] == ["order-1", "order-2", "order-3"]


@pytest.mark.parametrize("forged", ["x" * 201, "a\nb"])
def test_bad_input_baggage_that_cannot_be_a_run_id_is_left(shop: Callable[..., Shop], forged: str) -> None:
    made = shop(CHARGE)
    span = made.web.start_span("POST /charge", baggage.set_baggage(semconv.RUN_ID, forged))
    span.end()
    assert made.reported()[0][0] == trace_id(span)


@pytest.mark.parametrize("between", [True, False])
def test_a_step_inside_of_another_of_the_same_flow_is_in_its_run(shop: Callable[..., Shop], between: bool) -> None:
    made = shop(CHARGE_BY_HEADER, StepRule("checkout", "save-payment", span_name="INSERT *"))
    with made.web.start_as_current_span("POST /charge") as charge:
        charge.set_attribute(HEADER, "req-1")
        if between:
            with made.web.start_as_current_span("middleware"):
                made.web.start_span("INSERT payments").end()
        else:
            made.web.start_span("INSERT payments").end()
    assert made.reported() == [
        ("req-1", "charge-card", "running"),
        ("req-1", "save-payment", "running"),
        ("req-1", "save-payment", "success"),
        ("req-1", "charge-card", "success"),
    ]
    assert made.processor._reporter._rule_spans is not None
    assert made.processor._reporter._rule_spans.open == {}


def test_steps_of_another_flow_or_another_trace_have_runs_of_their_own(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE_BY_HEADER, StepRule("audit", "write", span_name="audit"), SAVE)
    charge = made.web.start_span("POST /charge", attributes={HEADER: "req-1"})
    audit = made.web.start_span("audit", set_span_in_context(charge))
    provider_of_sql = TracerProvider(shutdown_on_exit=False)
    provider_of_sql.add_span_processor(made.processor)
    save = provider_of_sql.get_tracer("sql").start_span("INSERT payments")
    for span in (save, audit, charge):
        span.end()
    assert {run_id for run_id, _, _ in made.reported()} == {"req-1", trace_id(audit), trace_id(save)}


def test_two_late_steps_in_one_trace_do_not_wait_for_each_other(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE_BY_HEADER, StepRule("checkout", "save-payment", span_name="INSERT *", run_id=HEADER))
    with made.web.start_as_current_span("POST /charge") as charge:
        made.web.start_span("INSERT payments").end()
    assert {run_id for run_id, _, _ in made.reported()} == {trace_id(charge)}
    assert len(made.server.events) == 4


def test_a_step_of_ours_gives_its_run_to_the_spans_inside_of_it(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, rules=[SAVE])
    with client.run("checkout", run_id="order-1") as run:
        provider.get_tracer("sql").start_span("INSERT a").end()
        run.step("pack", lambda: provider.get_tracer("sql").start_span("INSERT b").end())
    assert client.flush()
    assert {event["runId"] for event in server.events} == {"order-1"}
    assert len(server.events) == 6
    client.shutdown()


# What else happens.


def test_without_delivery_no_rule_is_looked_at(new_processor: NewProcessor, server: FaultServer) -> None:
    tracer = tracer_with(new_processor(server.url, rules=[CHARGE_BY_HEADER], enabled=False))
    span = tracer.start_span("POST /charge")
    span.set_attribute(HEADER, "req-1")
    span.end()
    assert server.requests == []


def test_rules_can_be_changed_while_steps_are_open(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("sql")

    def configure(*rules: StepRule) -> failpath_otel.FailpathClient:
        return failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, rules=rules)

    configure(CHARGE_BY_HEADER)
    open_one, late = tracer.start_span("POST /charge", attributes={HEADER: "1"}), tracer.start_span("POST /charge")
    client = configure(SAVE)
    late.set_attribute(HEADER, "2")
    for span in (open_one, late, tracer.start_span("POST /charge"), tracer.start_span("INSERT x")):
        span.end()
    assert client.flush()
    reported = sorted((event["stepKey"], event["status"]) for event in server.events)
    client.shutdown()
    assert reported == [
        *(("charge-card", status) for status in ("running", "running", "success", "success")),
        *(("save-payment", status) for status in ("running", "success")),
    ]


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_a_forked_child_does_not_end_what_its_parent_has_begun(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", limits.MAX_SECONDS)  # it is late when the process forks
    made = shop(CHARGE_BY_HEADER)
    span = made.web.start_span("POST /charge")
    child = os.fork()
    if not child:
        code = 1
        try:
            span.set_attribute(HEADER, "req-child")
            span.end()
            ended = made.processor.stats().accepted
            made.web.start_span("POST /charge", attributes={HEADER: "req-own"}).end()
            code = 0 if (ended, made.processor.stats().accepted) == (0, 2) else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    span.set_attribute(HEADER, "req-1")
    span.end()
    # The child's records may come by its journal.
    assert [reported for reported in made.reported() if reported[0] != "req-own"] == [
        ("req-1", "charge-card", "running"),
        ("req-1", "charge-card", "success"),
    ]


def test_many_late_steps_on_many_threads_give_two_records_each(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", 0.001)
    made = shop(CHARGE_BY_HEADER)

    def serve(thread: int) -> None:
        for number in range(100):
            span = made.web.start_span("POST /charge")
            span.set_attribute(HEADER, f"req-{thread}-{number}")
            if number % 3:
                made.web.start_span("other", set_span_in_context(span)).end()
            span.end()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reported = made.reported()
    assert len(reported) == len(set(reported)) == 800
    assert {status for _, _, status in reported} == {"running", "success"}
    ruled = made.processor._reporter._rule_spans
    assert ruled is not None
    assert not ruled.awaiting
    assert wait_for(lambda: not ruled.timer.is_running)


def test_an_exporter_makes_both_records_of_a_span_that_has_ended(server: FaultServer) -> None:
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, rules=[CHARGE_BY_HEADER])
    exporter.export([a_span({HEADER: ("req-1",)}, identity={}, name="POST /charge"), a_span(identity={})])
    reported = [(event["runId"], event["stepKey"], event["status"]) for event in server.events]
    exporter.shutdown()
    assert reported == [("req-1", "charge-card", "running"), ("req-1", "charge-card", "success")]


def test_spans_that_no_rule_matches_are_logged_when_there_were_such_for_30_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failpath_otel.report._logged", set())
    now = 1_000.0
    monkeypatch.setattr("failpath_otel.spans.rule_misses.monotonic", lambda: now)
    options = Options.resolve_delivery(project_key=KEY, endpoint="http://127.0.0.1:9", rules=[CHARGE], journal="off")
    reporter = Reporter(options, lambda _: create_autospec(Pipeline(NullClient()), spec_set=True))

    def said() -> list[str]:
        return [message for message in caplog.messages if "no rule" in message]

    reporter.on_start(started("GET /", SpanKind.CLIENT))
    now += 31
    reporter.on_start(started("GET /", SpanKind.CLIENT))
    assert said() == []  # nothing has asked this process for anything
    reporter.on_start(started("POST /other", SpanKind.SERVER))
    now += 29
    reporter.on_start(started("POST /other", SpanKind.SERVER))
    assert said() == []
    now += 2
    for _ in range(3):
        reporter.on_start(started("POST /other", SpanKind.SERVER))
        now += 31
    reported = "There were: 'GET /' of scope 'web', 'POST /other' of scope 'web'"
    assert said() == [f"Failpath: no rule has matched a span of this process. {reported}"]


def test_nothing_is_logged_of_spans_that_no_rule_matches_once_one_has_matched(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failpath_otel.report._logged", set())
    now = 1_000.0
    monkeypatch.setattr("failpath_otel.spans.rule_misses.monotonic", lambda: now)
    options = Options.resolve_delivery(project_key=KEY, endpoint="http://127.0.0.1:9", rules=[CHARGE], journal="off")
    reporter = Reporter(options, lambda _: create_autospec(Pipeline(NullClient()), spec_set=True))
    for name in ("POST /other", "POST /charge", "POST /other"):
        reporter.on_start(started(name, SpanKind.SERVER))
        now += 31
    assert not reporter._rule_spans.misses.is_watching
    assert [message for message in caplog.messages if "no rule" in message] == []


@pytest.mark.parametrize("endpoint", [DEFAULT_ENDPOINT, "http://127.0.0.1:9"])
@pytest.mark.parametrize("name", ["POST /other", "POST /charge"])
def test_spans_that_no_rule_matches_are_logged_at_the_end_of_a_trial_and_only_there(
    endpoint: str, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failpath_otel.report._logged", set())
    options = Options.resolve_delivery(project_key=KEY, endpoint=endpoint, rules=[CHARGE], journal="off")
    pipeline = create_autospec(Pipeline(NullClient()), spec_set=True)
    pipeline.put_start.return_value = 1
    reporter = Reporter(options, lambda _: pipeline)

    def said() -> list[str]:
        # The log is that of the process: a pipeline that another test has left may still say something.
        return [message for message in caplog.messages if "no rule" in message]

    reporter.on_start(started("GET /\ud800", SpanKind.CLIENT))
    reporter._rule_spans.report_due(wait=False)
    assert said() == []  # there was no request to this process
    reporter.on_start(started(name, SpanKind.SERVER))
    assert said() == []
    reporter._rule_spans.report_due(wait=False)
    reporter._rule_spans.report_due(wait=False)
    reported = r"There were: 'GET /\ud800' of scope 'web', 'POST /other' of scope 'web'"
    is_trial = (endpoint, name) == ("http://127.0.0.1:9", "POST /other")
    assert said() == [f"Failpath: no rule has matched a span of this process. {reported}"] * is_trial
