"""Steps in a program without OpenTelemetry: no SDK span is made for them, and nothing in the program can tell."""

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, NoOpTracerProvider, SpanContext, TraceFlags, get_current_span

from failpath_otel import StepRule
from failpath_otel.configure import FailpathClient
from failpath_otel.joined_providers import Join
from failpath_otel.options.options import Options
from failpath_otel.private_tracer_provider import PrivateTracer
from failpath_otel.testing import MockFailpath, _ArrivedRecords
from tests.steps.forms import FORMS, Form

REMOTE = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
AROUND = {
    "with nothing around": Context,
    "with a remote parent": lambda: trace.set_span_in_context(REMOTE),
    "with baggage": lambda: baggage.set_baggage("tenant", "blue"),
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all spans that any SDK tracer starts."""
    names: list[str] = []
    start_span = SdkTracer.start_span

    def noted(self: SdkTracer, name: str, *args: Any, **kwargs: Any) -> Any:
        names.append(name)
        return start_span(self, name, *args, **kwargs)

    monkeypatch.setattr(SdkTracer, "start_span", noted)
    return names


@pytest.fixture(params=list(AROUND.values()), ids=list(AROUND))
def around(request: pytest.FixtureRequest) -> Iterator[Context]:
    token = attach(request.param())
    yield get_current()
    detach(token)


def seen() -> tuple[Any, ...]:
    """Return all that the code of an application sees of OpenTelemetry."""
    headers: dict[str, str] = {}
    inject(headers)
    span = get_current_span()
    return span, span.get_span_context(), span.is_recording(), headers, dict(baggage.get_all())


IN_CONTEXT = {name: form for name, form in FORMS.items() if "future" not in name}
"""The forms of which the function runs in the context of the step, and not wherever a pool has its threads."""


@pytest.mark.parametrize("form", IN_CONTEXT.values(), ids=IN_CONTEXT.keys())
def test_the_function_of_a_step_sees_what_it_would_see_without_one(
    form: Form, around: Context, started: list[str]
) -> None:
    failpath, inside = MockFailpath(), []
    before = seen()
    form(failpath, failpath.run("checkout", run_id="order-17"), "pack", lambda: inside.append(seen()))
    assert inside == [before]
    assert get_current() == around
    assert started == []
    assert [event.status for event in failpath.events] == ["running", "success"]


def test_a_block_of_a_run_shows_the_application_nothing_either(around: Context, started: list[str]) -> None:
    failpath = MockFailpath()
    before = seen()
    with failpath.run("checkout") as run:
        assert seen() == before
        run.step("pack", lambda: None)
    assert get_current() == around
    assert started == []


def test_a_span_of_a_host_that_starts_in_a_step_has_no_parent_in_it(started: list[str]) -> None:
    failpath = MockFailpath()
    host = TracerProvider(shutdown_on_exit=False).get_tracer("host")
    made: list[Any] = []
    failpath.run("checkout").step("pack", lambda: made.append(host.start_span("query")))
    assert made[0].parent is None
    assert started == ["query"]


def test_steps_inside_each_other_are_in_one_trace_and_those_beside_each_other_are_not() -> None:
    failpath = MockFailpath()
    run = failpath.run("checkout")
    with run.step("outer"):
        run.step("inner", lambda: None)
    run.step("other", lambda: None)
    traces = {event.step_key: event.trace_id for event in failpath.events}
    assert traces["outer"] == traces["inner"] != traces["other"]
    assert len({event.span_id for event in failpath.events}) == 3


def test_steps_in_a_block_of_their_run_are_in_one_trace() -> None:
    failpath = MockFailpath()
    with failpath.run("checkout") as run:
        run.step("one", lambda: None)
        run.step("two", lambda: None)
    assert len({event.trace_id for event in failpath.events}) == 1


def test_under_a_remote_parent_steps_are_in_its_trace() -> None:
    failpath, around = MockFailpath(), trace.set_span_in_context(REMOTE)
    if not NoOpTracerProvider().get_tracer("any").start_span("any", around).get_span_context().is_valid:
        pytest.skip("older APIs have no parent where there is no provider")
    token = attach(around)
    failpath.run("checkout").step("pack", lambda: None)
    detach(token)
    assert {event.trace_id for event in failpath.events} == {f"{0xABC:032x}"}


@pytest.mark.parametrize("error", [LookupError("gone"), KeyboardInterrupt()], ids=repr)
def test_its_error_is_recorded_and_raised(error: BaseException, started: list[str]) -> None:
    failpath = MockFailpath(capture_stack=True)

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        failpath.run("checkout").step("pack", fail)
    assert raised.value is error
    ended = failpath.events[-1]
    assert ended.error is not None
    assert (ended.status, ended.error.name) == ("error", type(error).__name__)
    assert "in fail" in (ended.error.stack or "")
    assert started == []


def test_metadata_that_is_set_in_it_is_in_its_outcome(started: list[str]) -> None:
    failpath = MockFailpath(default_metadata={"region": "eu"})
    with failpath.run("checkout", metadata={"cart": 1}).step("pack", metadata={"boxes": 2}) as step:
        step.set_metadata(weight=[1, "kg"])
    begun, ended = failpath.events
    assert begun.metadata == {"cart": 1, "boxes": 2, "region": "eu"}
    assert ended.metadata == {"cart": 1, "boxes": 2, "weight": [1, "kg"], "region": "eu"}
    assert started == []


def test_what_is_recorded_by_hand_needs_no_span_either(started: list[str]) -> None:
    failpath = MockFailpath()
    names: Any = {"flow_key": "checkout", "run_id": "order-17", "step_key": "ship"}
    failpath.record_step(**names, status="running", started_at=100)
    failpath.record_step(**names, status="error", error="the van broke down", started_at=100, timestamp=101.5)
    failpath.run("checkout", run_id="order-17").skip("receipt")
    running, error, skipped = failpath.events
    assert (running.status, running.timestamp) == ("running", "1970-01-01T00:01:40.000000Z")
    assert (error.status, error.duration_ms) == ("error", 1500.0)
    assert error.error is not None
    assert error.error.message == "the van broke down"
    assert (skipped.status, skipped.started_at) == ("skipped", None)
    assert started == []


def test_a_step_that_is_dropped_ends_as_an_error(started: list[str]) -> None:
    failpath = MockFailpath()
    run = failpath.run("checkout")
    context = Context()

    def abandon() -> None:
        token = attach(context)
        run.step("pack").__enter__()
        detach(token)

    abandon()
    gc.collect()
    assert failpath.flush()
    assert [event.status for event in failpath.events] == ["running", "error"]
    ended = failpath.events[-1]
    assert ended.error is not None
    assert ended.error.name == "failpath_otel.StepDropped"
    assert started == []


@pytest.mark.forks("what a fork leaves in the child is what it shows")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_report_the_end_of_its_parents_step() -> None:
    failpath = MockFailpath()
    reading, writing = os.pipe()
    with failpath.run("checkout").step("pack"):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
    if not child:
        try:
            failpath.run("checkout").step("of the child", lambda: None)
            os.write(writing, repr([(event.step_key, event.status) for event in failpath.events]).encode())
        finally:
            os._exit(0)
    steps = [("pack", "running"), ("of the child", "running"), ("of the child", "success")]
    assert os.read(reading, 1_000) == repr(steps).encode()
    assert [event.status for event in failpath.events] == ["running", "success"]
    os.close(reading)
    os.close(writing)


@pytest.mark.forks("what a fork leaves in the child is what it shows")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_ids_in_a_forked_child_are_others() -> None:
    private = PrivateTracer(SpanProcessor(), "scope", "1")
    private.new_ids(None)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, repr(private.new_ids(None)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1_000) != repr(private.new_ids(None)).encode()
    os.close(reading)
    os.close(writing)


class Watching(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def client(records: list[Any], provider: Any = None, **options: Any) -> FailpathClient:
    resolved = Options.resolve(project_key="fp_project_lean", **options)
    return FailpathClient(
        provider or NoOpTracerProvider(), Join(resolved, lambda _: _ArrivedRecords(records, None).pipeline)
    )


def test_both_records_of_a_step_that_fails_have_the_ids_that_steps_inside_it_name_as_their_parent() -> None:
    records: list[Any] = []
    run = client(records).run("checkout")

    def fail() -> None:
        run.step("inside", lambda: None)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the one above
        run.step("pack", fail)
    begun, inside, _, failed = records
    assert (failed.step_key, failed.status) == ("pack", "error")
    assert (failed.trace_id, failed.span_id) == (begun.trace_id, begun.span_id)
    assert (failed.trace_id, failed.span_id) == (inside.trace_id, inside.parent_span_id)


def test_with_rules_the_spans_of_steps_are_spans(started: list[str]) -> None:
    records: list[Any] = []
    failpath = client(records, rules=[StepRule("web", "get", span_name="GET *")])
    failpath.run("checkout").step("pack", lambda: None)
    assert started == ["pack"]
    assert [record.status for record in records] == ["running", "success"]


def test_where_the_private_provider_has_another_processor_it_sees_the_spans_of_steps(
    started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, add = Watching(), TracerProvider.add_span_processor

    def add_both(provider: TracerProvider, processor: SpanProcessor) -> None:
        add(provider, watching)
        add(provider, processor)

    monkeypatch.setattr(TracerProvider, "add_span_processor", add_both)
    failpath = MockFailpath()
    failpath.run("checkout").step("pack", lambda: None)
    assert started == ["pack"]
    assert [span.name for span in watching.spans] == ["pack"]
    assert [event.status for event in failpath.events] == ["running", "success"]


def test_where_the_sdk_is_disabled_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.warns(RuntimeWarning, match="no step will be recorded"):
        failpath = MockFailpath()
    assert failpath.run("checkout").step("pack", lambda: 1) == 1
    assert failpath.events == []


def test_a_span_that_the_host_does_not_sample_is_the_parent_of_a_lean_one(started: list[str]) -> None:
    records: list[Any] = []
    failpath = client(records, TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    inside: list[SpanContext] = []
    failpath.run("checkout").step("pack", lambda: inside.append(get_current_span().get_span_context()))
    assert started == ["pack"]  # of the host
    assert {record.trace_id for record in records} == {f"{inside[0].trace_id:032x}"}
    assert {record.span_id for record in records} != {f"{inside[0].span_id:016x}"}
    assert [record.status for record in records] == ["running", "success"]


def test_a_span_of_a_host_that_was_not_joined_is_whole_beside_a_lean_one() -> None:
    records: list[Any] = []
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    failpath = client(records, provider)
    failpath.run("checkout").step("pack", lambda: None)
    [span] = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["failpath.step.running", "failpath.step.success"]
    assert span.attributes is not None
    assert span.attributes["failpath.step.status"] == "success"
    assert [record.status for record in records] == ["running", "success"]


def test_a_provider_that_is_set_later_gets_whole_spans_from_the_next_step_on() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    later: list[Callable[..., Any]] = []

    class Late(NoOpTracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            none, real = super().get_tracer(*args, **kwargs), provider.get_tracer("late")

            class Either:
                def start_span(self, *args: Any, **kwargs: Any) -> Any:
                    return (real if later else none).start_span(*args, **kwargs)

            return Either()

    records: list[Any] = []
    failpath = client(records, Late())
    run = failpath.run("checkout", run_id="order-17", metadata={"cart": [1, 2]})
    with run.step("outer"):
        later.append(len)
        run.step("inner", lambda: None)
    [span] = exporter.get_finished_spans()
    assert span.name == "inner"
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "failpath.flow.key": "checkout",
        "failpath.run.id": "order-17",
        "failpath.step.key": "inner",
        "failpath.metadata.cart": (1, 2),
        "failpath.step.parent_span_id": records[0].span_id,
        "failpath.step.status": "success",
    }
    assert [(each.step_key, each.status) for each in records] == [
        ("outer", "running"),
        ("inner", "running"),
        ("inner", "success"),
        ("outer", "success"),
    ]


def switching(tracer: Any, is_there: list[Any]) -> Any:
    """Return a provider whose tracer is none until ``is_there`` has an item, and then ``tracer``."""

    class Switching(NoOpTracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            none = super().get_tracer(*args, **kwargs)

            class Either:
                def start_span(self, *args: Any, **kwargs: Any) -> Any:
                    return (tracer if is_there else none).start_span(*args, **kwargs)

            return Either()

    return Switching()


def test_a_provider_that_is_set_later_may_copy_the_attributes_as_older_sdks_do() -> None:
    given: list[dict[str, Any]] = []

    class Copying:
        def start_span(self, name: str, context: Any, attributes: Any, start_time: int) -> Any:
            given.append(attributes.copy())
            return NonRecordingSpan(SpanContext(1, len(given), is_remote=False))

    is_there: list[Any] = []
    run = client([], switching(Copying(), is_there)).run("checkout", metadata={"cart": 1})
    run.step("before", lambda: None)
    is_there.append(1)
    run.step("pack", lambda: None)
    assert [(each["failpath.step.key"], each["failpath.metadata.cart"]) for each in given] == [("pack", 1)]


def test_a_host_that_fails_once_gets_the_attributes_of_the_next_step() -> None:
    given: list[type] = []

    class Failing:
        def start_span(self, name: str, context: Any, attributes: Any, start_time: int) -> Any:
            given.append(type(attributes))
            if len(given) == 1:
                raise LookupError
            return NonRecordingSpan(SpanContext(1, len(given), is_remote=False))

    records: list[Any] = []
    is_there: list[Any] = []
    run = client(records, switching(Failing(), is_there)).run("checkout")
    run.step("before", lambda: None)
    is_there.append(1)
    run.step("one", lambda: None)
    run.step("two", lambda: None)
    assert given[1] is dict
    assert [(each.step_key, each.status) for each in records][2:] == [
        ("one", "running"),
        ("one", "success"),
        ("two", "running"),
        ("two", "success"),
    ]


def test_an_outcome_that_was_accepted_is_not_lost_whatever_happens_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Any] = []
    provider = TracerProvider(shutdown_on_exit=False)
    failpath = client(records, provider)
    failpath._join.add_to(provider)
    pipeline: Any = failpath._join.reporter.pipelines.all[-1]
    put_outcome = pipeline.put_outcome

    def put_and_fail(*given: Any) -> int:
        put_outcome(*given)
        raise MemoryError

    monkeypatch.setattr(pipeline, "put_outcome", put_and_fail)
    failpath.run("checkout").step("pack", lambda: None)
    assert [record.status for record in records] == ["running", "success"]
    assert failpath.stats().dropped == {}


def test_a_step_whose_start_cannot_be_reported_is_reported_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Any] = []
    failpath = client(records)
    run = failpath.run("checkout", metadata={"cart": 1})
    run.step("before", lambda: None)
    pipeline: Any = failpath._join.reporter.pipelines.all[-1]
    put_start, failures = pipeline.put_start, [MemoryError()]

    def fail_once(*given: Any) -> int:
        if failures:
            raise failures.pop()
        return int(put_start(*given))

    monkeypatch.setattr(pipeline, "put_start", fail_once)
    run.step("pack", lambda: None)
    run.step("after", lambda: None)
    assert [(each.step_key, each.status) for each in records] == [
        ("before", "running"),
        ("before", "success"),
        ("pack", "running"),
        ("pack", "success"),
        ("after", "running"),
        ("after", "success"),
    ]
    assert records[2].metadata == records[3].metadata == {"cart": 1}
    assert records[2].id == records[2].trace_id + records[2].span_id + records[2].id[48:]
