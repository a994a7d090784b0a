"""Spans of applications that do what they like: rules neither hurt them, nor lose a step, nor invent one."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context

import failpath_otel
from failpath_otel import FailpathSpanProcessor, StepRule, limits
from failpath_otel.records.span_translation import start_by_rule
from failpath_otel.runtime.threads import RealThread
from failpath_otel.spans import waiting_spans
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.receiver import wait_for

HEADER: Final = "http.request.header.x_request_id"
CHARGE: Final = StepRule("checkout", "charge-card", span_name="POST /charge")
LATE: Final = StepRule("checkout", "charge-card", span_name="POST /charge", run_id=HEADER)
SAVE: Final = StepRule("checkout", "save-payment", span_name="INSERT *")
ALL: Final = StepRule("all", "all", span_name="*")


class Shop:
    """A provider that our processor has joined, with rules."""

    def __init__(self, server: FaultServer, *rules: StepRule, **options: Any) -> None:
        self.server = server
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.failpath = failpath_otel.configure(
            project_key=KEY, endpoint=server.url, tracer_provider=self.provider, rules=rules, **options
        )
        self.web: Tracer = self.provider.get_tracer("web")
        self.reporter = self.failpath._join.reporter

    def reported(self) -> list[tuple[str, str, str]]:
        assert self.failpath.flush()
        return [(event["runId"], event["stepKey"], event["status"]) for event in self.server.events]


@pytest.fixture
def shop(server: FaultServer) -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def make(*rules: StepRule, **options: Any) -> Shop:
        made.append(Shop(server, *rules, **options))
        return made[-1]

    yield make
    for each in made:
        each.failpath.shutdown()


def trace_id(span: Any) -> str:
    return f"{span.get_span_context().trace_id:032x}"


# Spans that never end.


def test_spans_that_are_dropped_without_an_end_are_running_and_nothing_is_kept_of_them(
    shop: Callable[..., Shop],
) -> None:
    made = shop(CHARGE, journal=None)
    for _ in range(300):
        made.web.start_span("POST /charge", attributes={"http.request.body": "x" * 10_000})
        made.web.start_span("other")
    gc.collect()
    assert [status for _, _, status in made.reported()] == ["running"] * 300
    assert made.reporter._open == {}
    assert made.reporter._rule_spans.open == {}
    assert made.reporter._pipelines[-1].admission.is_idle()  # no place is held for an outcome


def test_a_late_span_that_is_dropped_without_an_end_is_running_and_nothing_is_kept_of_it(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.0)
    made = shop(LATE)
    made.web.start_span("POST /charge")
    server.wait_for_events(1)
    # The timer's thread may still have it in hand.
    assert wait_for(lambda: made.failpath.flush() and not made.reporter._open and not made.reporter._rule_spans.open)


def test_spans_inside_of_a_step_that_never_end_are_not_kept_beyond_it(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    kept: list[Any] = []
    with made.web.start_as_current_span("POST /charge"):
        kept.extend(made.web.start_span("background") for _ in range(10))
    assert made.reporter._rule_spans.open == {}


def test_a_chain_of_steps_each_begun_in_the_one_before_does_not_keep_them(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    before = made.web.start_span("POST /charge")
    for _ in range(20):
        after = made.web.start_span("POST /charge", set_span_in_context(before))
        before.end()
        before = after
    last = next(iter(made.reporter._rule_spans.open.values()))
    assert last.enclosing is not None
    assert last.enclosing.enclosing is None
    before.end()
    assert {run_id for run_id, _, _ in made.reported()} == {trace_id(before)}


# Names and attributes.


class Name(str, Enum):
    CHARGE = "POST /charge"


@pytest.mark.parametrize("name", [5, None, ["POST /charge"], b"POST /charge"])
def test_bad_input_a_name_that_is_no_text_matches_nothing_and_costs_nothing(
    shop: Callable[..., Shop], name: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = shop(ALL)
    made.web.start_span(name).end()
    assert made.reported() == []
    assert made.failpath.stats().dropped == {}
    assert caplog.messages == []


def test_a_name_of_an_enumeration_is_its_text(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    made.web.start_span(Name.CHARGE).end()
    assert len(made.reported()) == 2


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["large", "small"])
def test_bad_input_a_number_too_large_to_be_written_is_no_run_id(
    shop: Callable[..., Shop], value: int, caplog: pytest.LogCaptureFixture
) -> None:
    made = shop(LATE)
    span = made.web.start_span("POST /charge", attributes={HEADER: value})
    span.end()
    assert {run_id for run_id, _, _ in made.reported()} == {trace_id(span)}
    assert caplog.messages == []


def test_many_names_each_once_leave_the_steps_right(shop: Callable[..., Shop]) -> None:
    made = shop(CHARGE)
    for number in range(limits.MAX_CACHED_NAMES + 10):
        made.web.start_span(f"GET /{number}").end()
    made.web.start_span("POST /charge").end()
    assert len(made.reported()) == 2
    assert made.reporter._rule_spans.open == {}


# Which run.


def test_requests_at_once_in_one_trace_keep_their_runs_apart(shop: Callable[..., Shop]) -> None:
    made = shop(LATE, SAVE)
    batch = set_span_in_context(made.web.start_span("batch"))
    requests = [made.web.start_span("POST /charge", batch, attributes={HEADER: f"req-{n}"}) for n in range(3)]
    views = [made.web.start_span("view", set_span_in_context(request)) for request in requests]
    for view in views:
        made.web.start_span("INSERT payments", set_span_in_context(view)).end()
    for span in (*views, *requests):
        span.end()
    saved = [run_id for run_id, step, status in made.reported() if (step, status) == ("save-payment", "running")]
    assert saved == ["req-0", "req-1", "req-2"]


def test_a_request_that_waits_for_its_run_id_is_left_alone_by_the_steps_of_others(shop: Callable[..., Shop]) -> None:
    made = shop(LATE, SAVE)
    batch = set_span_in_context(made.web.start_span("batch"))
    first, second = (made.web.start_span("POST /charge", batch) for _ in range(2))
    second.set_attribute(HEADER, "req-2")
    made.web.start_span("INSERT payments", set_span_in_context(second)).end()
    first.set_attribute(HEADER, "req-1")  # by an instrumentation on another thread
    for span in (first, second):
        span.end()
    runs = {(run_id, step) for run_id, step, _ in made.reported()}
    assert runs == {("req-1", "charge-card"), ("req-2", "charge-card"), ("req-2", "save-payment")}


@pytest.mark.parametrize("inside", ["run", "step"])
def test_a_span_between_hides_neither_a_run_of_ours_nor_its_step(shop: Callable[..., Shop], inside: str) -> None:
    made = shop(SAVE)

    def work() -> None:
        with made.web.start_as_current_span("view"), made.web.start_as_current_span("repository"):
            made.web.start_span("INSERT payments").end()

    with made.failpath.run("checkout", run_id="order-1") as run:
        run.step("pack", work) if inside == "step" else work()
    assert {run_id for run_id, _, _ in made.reported()} == {"order-1"}
    assert made.reporter._rule_spans.open == {}


def test_a_step_of_another_flow_between_does_not_hide_the_run(shop: Callable[..., Shop]) -> None:
    made = shop(LATE, SAVE, StepRule("audit", "write", span_name="audit"))
    with made.web.start_as_current_span("POST /charge") as charge:
        charge.set_attribute(HEADER, "req-1")
        with made.web.start_as_current_span("audit"):
            made.web.start_span("INSERT payments").end()
    assert [run_id for run_id, step, _ in made.reported() if step == "save-payment"] == ["req-1", "req-1"]


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_a_forked_child_goes_on_with_the_run_that_its_parent_has_open(
    shop: Callable[..., Shop], server: FaultServer
) -> None:
    made = shop(LATE, SAVE)
    with made.web.start_as_current_span("POST /charge", attributes={HEADER: "req-1"}):
        child = os.fork()
        if not child:
            try:
                made.web.start_span("INSERT payments").end()
                made.failpath.flush()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    made.reported()
    events = server.wait_for_events(4)  # the child's may come by its journal
    assert {(event["runId"], event["stepKey"]) for event in events} == {
        ("req-1", "charge-card"),
        ("req-1", "save-payment"),
    }


def test_a_span_inside_of_a_request_that_the_same_rule_makes_a_step_is_a_part_of_it(shop: Callable[..., Shop]) -> None:
    made = shop(replace(CHARGE, span_name="POST /charge*"), StepRule("audit", "see", span_name="view"))
    with made.web.start_as_current_span("POST /charge", kind=SpanKind.SERVER) as charge:
        send = made.web.start_span("POST /charge http send")
        with made.web.start_as_current_span("view"):
            made.web.start_span("POST /charge again").end()
        charge.set_status(StatusCode.ERROR)
    send.end()  # later than the step
    assert [(step, status) for _, step, status in made.reported()] == [
        *(("charge-card", "running"), ("see", "running"), ("charge-card", "running")),
        *(("charge-card", "success"), ("see", "success"), ("charge-card", "error")),
    ]
    assert made.reporter._ignored == {}


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
def test_a_request_inside_of_another_and_work_inside_of_work_are_steps_of_their_own(
    shop: Callable[..., Shop], kind: SpanKind
) -> None:
    made = shop(CHARGE)
    with made.web.start_as_current_span("POST /charge", kind=kind) as first:
        made.web.start_span("POST /charge", kind=kind).end()
    assert made.reported() == [
        (trace_id(first), "charge-card", status) for status in ("running", "running", "success", "success")
    ]


# Waiting for a run id.


@pytest.mark.parametrize("by", ["client", "provider", "processor"])
def test_what_waits_for_its_run_id_is_running_when_all_ends(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", limits.MAX_SECONDS)
    if by == "processor":
        provider = TracerProvider(shutdown_on_exit=False)
        processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, rules=[LATE])
        provider.add_span_processor(processor)
        span = provider.get_tracer("web").start_span("POST /charge")
        processor.shutdown()
    else:
        made = shop(LATE)
        span = made.web.start_span("POST /charge")
        (made.failpath if by == "client" else made.provider).shutdown()
    [running] = server.events
    assert (running["runId"], running["status"]) == (trace_id(span), "running")


def test_a_flush_takes_those_along_that_have_their_run_id_and_no_others(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID_POLL", limits.MAX_SECONDS)
    made = shop(LATE)
    first, second = (made.web.start_span("POST /charge") for _ in range(2))
    first.set_attribute(HEADER, "req-1")
    assert made.reported() == [("req-1", "charge-card", "running")]
    second.set_attribute(HEADER, "req-2")
    assert made.reported()[1:] == [("req-2", "charge-card", "running")]


def test_where_no_thread_can_be_started_the_run_id_is_the_right_one(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shop(LATE)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(RealThread, "start", refuse)
        span = made.web.start_span("POST /charge")
        span.set_attribute(HEADER, "req-1")
        span.end()
    assert {run_id for run_id, _, _ in made.reported()} == {"req-1"}


def test_a_span_that_cannot_be_read_does_not_hold_up_the_others(
    shop: Callable[..., Shop], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shop(LATE)
    whole = start_by_rule

    def read(span: Any, names: Any, run_id: str) -> Any:
        if run_id == "req-bad":
            raise ValueError(run_id)
        return whole(span, names, run_id)

    monkeypatch.setattr(waiting_spans, "start_by_rule", read)
    spans = [made.web.start_span("POST /charge") for _ in range(5)]
    for number, span in enumerate(spans):
        span.set_attribute(HEADER, "req-bad" if number == 2 else f"req-{number}")
    assert {event["runId"] for event in server.wait_for_events(4)} == {"req-0", "req-1", "req-3", "req-4"}


def test_a_redact_that_waits_for_the_application_does_not_stop_it(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_spans, "_LOCK_TIMEOUT", 0.05)
    asked, ended = threading.Event(), threading.Event()

    def redact(_: str, value: object) -> object:
        if threading.current_thread() is not application:
            asked.set()
            assert ended.wait(30)
        return value

    application = threading.current_thread()
    made = shop(LATE, redact=redact, default_metadata={"service": "shop"})
    span = made.web.start_span("POST /charge")
    span.set_attribute(HEADER, "req-1")
    assert asked.wait(10)
    span.end()
    ended.set()
    assert wait_for(lambda: {status for _, _, status in made.reported()} == {"running", "success"})
    assert {run_id for run_id, _, _ in made.reported()} == {"req-1"}
    # Its start was reported after its end: no other end is awaited.
    assert wait_for(lambda: made.reporter._open == {} and made.reporter._pipelines[-1].admission.is_idle())
