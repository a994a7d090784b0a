"""Work inside of a request of which it is not known yet, or never, whether a rule makes it a step."""

import gc
import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from unittest.mock import Mock

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, set_span_in_context

import failpath_otel
from failpath_otel import StepRule, limits, semconv
from failpath_otel.runtime.threads import RealThread, acquire
from failpath_otel.spans import waiting_spans
from failpath_otel.spans.late_timer import LateTimer
from failpath_otel.spans.open_spans import OpenSpans
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.receiver import wait_for

JOB: Final = "job.name"
JOBS: Final = StepRule("jobs", "{attr:job.name}", span_name="*", where={JOB: "*"})
BOTH: Final = ("running", "success")


class Jobs:
    """A client, and the spans of an application that is observed by a rule."""

    def __init__(
        self, server: FaultServer, *rules: StepRule, provider: TracerProvider | None = None, **options: Any
    ) -> None:
        self.server = server
        provider = provider or TracerProvider(shutdown_on_exit=False)
        self.failpath = failpath_otel.configure(
            project_key=KEY, endpoint=server.url, tracer_provider=provider, rules=rules or [JOBS], **options
        )
        self.tracer = provider.get_tracer("app")
        self.reporter = self.failpath._join.reporter

    def request(self, **more: Any) -> Any:
        return self.tracer.start_span("POST /x", kind=SpanKind.SERVER, **more)

    def work(self, inside: Any, **attributes: Any) -> Any:
        return self.tracer.start_span("work", set_span_in_context(inside), attributes={JOB: "charge", **attributes})

    def reported(self) -> list[tuple[str, str]]:
        assert self.failpath.flush()
        return [(event["stepKey"], event["status"]) for event in self.server.events]

    def nothing_is_kept(self) -> bool:
        rules = self.reporter._rule_spans
        return not any((rules.open, rules.awaiting, self.reporter._open, self.reporter._ignored))


@pytest.fixture
def jobs(server: FaultServer) -> Iterator[Jobs]:
    made = Jobs(server)
    yield made
    made.failpath.shutdown()


@pytest.fixture
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LateTimer, "start", lambda _: None)


@pytest.mark.parametrize("requests", [1, 100])
def test_work_inside_of_requests_that_are_no_steps_is_a_step_each_time(jobs: Jobs, requests: int) -> None:
    for _ in range(requests):
        request = jobs.request()
        jobs.work(request).end()
        request.end()
    assert sorted(jobs.reported()) == sorted([("charge", status) for status in BOTH] * requests)
    assert jobs.nothing_is_kept()


def test_work_whose_attribute_is_late_as_well_is_a_step(jobs: Jobs) -> None:
    request = jobs.request()
    work = jobs.tracer.start_span("work", set_span_in_context(request))
    work.set_attribute(JOB, "charge")
    work.end()
    request.end()
    assert jobs.reported() == [("charge", status) for status in BOTH]
    assert jobs.nothing_is_kept()


def test_work_that_goes_on_is_running_once_its_request_has_waited_long_enough(
    jobs: Jobs, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.05)
    request = jobs.request()
    work = jobs.work(request)
    [running] = server.wait_for_events(1)
    assert (running["stepKey"], running["status"]) == ("charge", "running")
    later = jobs.work(request)
    assert wait_for(lambda: len(server.events) == 2)  # at once: its request is not waited for any longer
    for each in (work, later, request):
        each.end()
    assert [status for _, status in jobs.reported()] == ["running"] * 2 + ["success"] * 2
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize("ends_first", ["work", "request"])
def test_work_is_a_part_of_a_request_that_becomes_a_step_by_the_same_rule(jobs: Jobs, ends_first: str) -> None:
    request = jobs.request()
    work = jobs.work(request)
    if ends_first == "work":
        work.end()
    request.set_attribute(JOB, "order")
    request.end()
    work.end()
    assert jobs.reported() == [("order", status) for status in BOTH]
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize("late", [False, True])
def test_work_by_one_rule_in_a_request_by_another_is_a_step_whenever_that_is_known(
    server: FaultServer, late: bool
) -> None:
    other = StepRule("jobs", "fallback", span_name="*", scope="a*")
    made = Jobs(server, JOBS, other)
    request = made.request(attributes=None if late else {JOB: "order"})
    part = made.tracer.start_span("work", set_span_in_context(request))
    part.end()
    if late:
        request.set_attribute(JOB, "order")
    request.end()
    assert sorted(made.reported()) == sorted((key, status) for key in ("order", "fallback") for status in BOTH)
    assert made.nothing_is_kept()
    made.failpath.shutdown()


@pytest.mark.usefixtures("no_timer")
def test_the_last_flush_takes_work_along_that_has_ended_in_a_request_that_goes_on(jobs: Jobs) -> None:
    request = jobs.request()
    work = jobs.work(request)
    with (
        pytest.raises(ValueError, match="no cart"),
        jobs.tracer.start_as_current_span("inner", set_span_in_context(work), attributes={JOB: "pack"}),
    ):
        raise ValueError("no cart")
    work.end()
    assert jobs.reported() == []
    jobs.failpath.shutdown()
    found = {(event["stepKey"], event["status"]): event for event in jobs.server.events}
    assert sorted(found) == [("charge", "running"), ("charge", "success"), ("pack", "error"), ("pack", "running")]
    error = found["pack", "error"]
    assert (error["error"]["name"], error["error"]["message"]) == ("ValueError", "no cart")
    assert error["timestamp"] <= found["charge", "success"]["timestamp"]
    request.end()


@pytest.mark.usefixtures("no_timer")
def test_no_more_work_waits_for_requests_than_can_be_looked_at(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_AWAITING_RULE", 3)
    request = jobs.request()
    works = [jobs.work(request) for _ in range(5)]
    assert jobs.failpath.stats().accepted == 3  # those that found no room
    for each in (*works, request):
        each.end()
    assert sorted(jobs.reported()) == sorted([("charge", status) for status in BOTH] * 5)
    assert jobs.nothing_is_kept()


def test_work_that_waits_for_its_request_and_is_dropped_is_running(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LATE_RUN_ID", 0.05)
    request = jobs.request()
    jobs.work(request)
    assert jobs.server.wait_for_events(1)[0]["status"] == "running"
    request.end()
    gc.collect()
    assert wait_for(lambda: jobs.failpath.flush() and jobs.nothing_is_kept())
    assert jobs.reported() == [("charge", "running")]


@pytest.mark.forks("what a fork leaves in the child is what it shows")
@pytest.mark.usefixtures("no_timer")
def test_a_forked_child_leaves_work_that_waits_to_its_parent(jobs: Jobs) -> None:
    request = jobs.request()
    works = [jobs.work(request) for _ in range(2)]
    works[0].end()
    child = os.fork()
    if not child:
        code = 1
        try:
            works[1].end()
            request.end()
            jobs.reporter._report_overdue(wait=False)
            code = 0 if jobs.failpath.stats().accepted == 0 else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    works[1].end()
    request.end()
    assert sorted(jobs.reported()) == sorted([("charge", status) for status in BOTH] * 2)
    assert jobs.nothing_is_kept()


@pytest.fixture(params=["waited for", "in vain before", "no room to wait"])
def patience(request: pytest.FixtureRequest, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether attributes are waited for."""
    monkeypatch.setattr(LateTimer, "start", lambda _: None)
    if request.param == "in vain before":
        for _ in range(80):
            jobs.request().end()
    elif request.param == "no room to wait":
        monkeypatch.setattr(limits, "MAX_AWAITING_RULE", 0)


@pytest.mark.usefixtures("patience")
def test_a_request_whose_attribute_is_late_is_in_the_run_of_its_baggage_and_of_the_steps_around_it(jobs: Jobs) -> None:
    request = jobs.request(context=baggage.set_baggage(semconv.RUN_ID, "order-1"))
    request.set_attribute(JOB, "order")
    request.end()
    with jobs.failpath.run("jobs", run_id="order-2") as run, run.step("outer"):
        inner = jobs.request()
        inner.set_attribute(JOB, "inner")
        inner.end()
    jobs.reported()
    found = {(event["stepKey"], event["status"]): event for event in jobs.server.events}
    assert len(found) == 6
    assert {found["order", status]["runId"] for status in BOTH} == {"order-1"}
    assert {found["inner", status]["runId"] for status in BOTH} == {"order-2"}
    outer = found["outer", "running"]["spanId"]
    assert {found["inner", status].get("parentSpanId") for status in BOTH} == {outer}
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("patience")
def test_a_part_of_a_request_whose_attribute_came_before_it_is_no_step(jobs: Jobs) -> None:
    request = jobs.request()
    request.set_attribute(JOB, "order")
    part = jobs.work(request)
    assert jobs.failpath.stats().accepted == 1  # the request is running by now
    part.end()
    request.end()
    assert jobs.reported() == [("order", status) for status in BOTH]
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("no_timer")
def test_spans_that_no_rule_ever_applies_to_are_not_kept_when_they_are_dropped(jobs: Jobs) -> None:
    for _ in range(50):
        jobs.request()
    jobs.reporter._report_overdue(wait=False)
    gc.collect()
    assert jobs.reported() == []
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("no_timer")
def test_work_in_work_in_a_request_that_waits_is_looked_at_once_and_not_once_more_for_each_around_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_spans, "acquire", counted := Mock(wraps=acquire))
    opened = [jobs.request()]
    for _ in range(14):
        opened.append(jobs.work(opened[-1]))
    assert counted.call_count <= 2 * 14
    for _ in range(400):
        opened.append(jobs.work(opened[-1]))  # is no recursion either
    for each in reversed(opened):
        each.end()
    assert sorted(jobs.reported()) == sorted([("charge", status) for status in BOTH] * 414)
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("no_timer")
def test_a_part_takes_none_of_the_keys_that_its_rule_may_make(server: FaultServer) -> None:
    made = Jobs(server, replace(JOBS, max_keys=1))
    request = made.request()
    made.work(request).end()
    request.set_attribute(JOB, "order")
    request.end()
    assert made.reported() == [("order", status) for status in BOTH]
    made.failpath.shutdown()


@pytest.mark.usefixtures("no_timer")
def test_spans_that_are_dropped_in_a_part_whose_request_has_ended_are_not_kept(jobs: Jobs) -> None:
    request = jobs.request()
    part = jobs.work(request)
    inside: list[Any] = [jobs.tracer.start_span(5, set_span_in_context(part))]  # type: ignore[arg-type]
    request.set_attribute(JOB, "order")
    request.end()
    jobs.reporter._rule_spans.report_due()
    part.end()
    inside.clear()
    gc.collect()
    assert jobs.reported() == [("order", status) for status in BOTH]
    assert jobs.nothing_is_kept()


def test_a_redact_that_takes_long_does_not_hold_up_the_start_of_what_is_inside(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_spans, "_LOCK_TIMEOUT", 60.0)
    asked, started = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def redact(_: str, value: object) -> object:
        if not asked.is_set():
            asked.set()
            in_time.append(started.wait(10))
        return value

    other = StepRule("audit", "save", span_name="INSERT")
    made = Jobs(server, other, JOBS, redact=redact, default_metadata={"service": "shop"})
    request = made.request()
    request.set_attribute(JOB, "order")
    assert asked.wait(10)
    part = made.work(request)
    insert = made.tracer.start_span("INSERT", set_span_in_context(part))
    started.set()
    for each in (insert, part, request):
        each.end()
    assert in_time == [True]
    assert sorted(made.reported()) == sorted((key, status) for key in ("order", "save") for status in BOTH)
    assert made.nothing_is_kept()
    made.failpath.shutdown()


@pytest.mark.usefixtures("no_timer")
def test_work_whose_request_is_over_while_it_ends_is_reported_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = OpenSpans.end

    def look_and_end(spans: OpenSpans, open_span: Any, *, is_needed: bool) -> None:
        thread = threading.Thread(target=lambda: jobs.reporter._rule_spans.report_due(wait=False))
        thread.start()
        thread.join()
        whole(spans, open_span, is_needed=is_needed)

    request = jobs.request()
    work = jobs.work(request)
    with monkeypatch.context() as patched:
        patched.setattr(OpenSpans, "end", look_and_end)
        work.end()
    request.end()
    assert jobs.failpath.stats().accepted == 2
    assert jobs.reported() == [("charge", status) for status in BOTH]
    assert jobs.nothing_is_kept()


@pytest.mark.usefixtures("no_timer")
def test_spans_with_the_same_ids_that_wait_at_once_are_a_step_each(server: FaultServer) -> None:
    class Repeated(IdGenerator):
        def __init__(self) -> None:
            self._ids = itertools.cycle([1, 2])

        def generate_span_id(self) -> int:
            return next(self._ids)

        def generate_trace_id(self) -> int:
            return 7

    made = Jobs(server, provider=TracerProvider(shutdown_on_exit=False, id_generator=Repeated()))
    requests, works = [], []
    for _ in range(2):  # as a program does that calls `random.seed` for each request
        requests.append(made.request())
        works.append(made.work(requests[-1]))
    for each in (*works, *requests):
        each.end()
    assert made.reported().count(("charge", "running")) == 2
    assert made.failpath.stats().accepted == 4
    assert made.nothing_is_kept()
    made.failpath.shutdown()


@pytest.mark.forks("what a fork leaves in the child is what it shows")
@pytest.mark.usefixtures("no_timer")
def test_a_fork_while_work_that_has_ended_is_reported_leaves_it_to_the_parent(server: FaultServer) -> None:
    children: list[int] = []

    def redact(_: str, value: object) -> object:
        if not children:
            children.append(os.fork())
        return value

    made = Jobs(server, redact=redact, default_metadata={"service": "shop"})
    request = made.request()
    for _ in range(2):
        made.work(request).end()
    made.reporter._rule_spans.report_due(wait=False)
    if not children[0]:
        os._exit(made.failpath.stats().accepted)
    assert os.waitpid(children[0], 0)[1] >> 8 <= 2  # of the step that was in hand as it forked
    request.end()
    assert made.reported().count(("charge", "success")) == 2
    made.failpath.shutdown()


def test_the_timer_starts_again_after_a_signal_handler_has_raised_as_it_started(
    jobs: Jobs, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RealThread, "start", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            jobs.request()
    request = jobs.request()
    request.set_attribute(JOB, "order")
    server.wait_for_events(1)
    request.end()
