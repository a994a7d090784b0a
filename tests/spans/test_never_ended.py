"""Steps that are dropped before their end: ours are errors, spans of others ``running``; nothing of either is kept."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, Final

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

import failpath_otel
from failpath_otel import FailpathSpanProcessor, StepRule, semconv
from tests.fault_server import FaultServer
from tests.keys import KEY

NAMED: Final[dict[str, Any]] = {semconv.FLOW_KEY: "checkout", semconv.STEP_KEY: "pack"}
SAVE: Final = StepRule("checkout", "save-payment", span_name="INSERT *")


class Shop:
    """A provider that our processor has joined."""

    def __init__(self, server: FaultServer, provider: TracerProvider | None = None, **options: Any) -> None:
        self.server = server
        self.provider = provider or TracerProvider(shutdown_on_exit=False)
        self.failpath = failpath_otel.configure(
            project_key=KEY, endpoint=server.url, tracer_provider=self.provider, **options
        )
        self.web = self.provider.get_tracer("web")
        self.reporter = self.failpath._join.reporter

    def statuses(self) -> list[str]:
        gc.collect()
        assert self.failpath.flush()
        return self.server.statuses

    def keeps_nothing(self) -> bool:
        """Whether nothing is kept of any span, and no place is held for an outcome."""
        reporter = self.reporter
        kept = (reporter._open, reporter._ignored, reporter._steps.ended_early, reporter._rule_spans.open)
        return not any(kept) and reporter._pipelines[-1].admission.is_idle()


MakeShop = Callable[..., Shop]


@pytest.fixture
def shop(server: FaultServer) -> Iterator[MakeShop]:
    made: list[Shop] = []

    def make(provider: TracerProvider | None = None, **options: Any) -> Shop:
        made.append(Shop(server, provider, **options))
        return made[-1]

    yield make
    for each in made:
        each.failpath.shutdown(0)


@pytest.mark.parametrize("rules", [None, [SAVE]], ids=["without rules", "with rules"])
@pytest.mark.parametrize("journal", [None, "default"], ids=["in memory", "with a journal"])
def test_spans_with_our_attributes_that_are_dropped_without_an_end_are_running_and_nothing_is_kept_of_them(
    shop: MakeShop, rules: list[StepRule] | None, journal: str | None
) -> None:
    made = shop(journal=journal, rules=rules)
    for _ in range(300):
        made.web.start_span("POST /pack", attributes={**NAMED, "http.request.body": "x" * 10_000})
    assert made.statuses() == ["running"] * 300
    assert made.keeps_nothing()


def test_a_processor_by_hand_keeps_nothing_of_spans_that_are_dropped(server: FaultServer) -> None:
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, journal=None)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("web").start_span("POST /pack", attributes=NAMED)
    gc.collect()
    assert processor.flush()
    assert server.statuses == ["running"]
    assert processor._reporter._open == {}
    processor.shutdown()


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["the host's span", "a private span"])
def test_a_step_that_waits_for_a_future_which_is_dropped_is_an_error_and_forgotten(
    shop: MakeShop, sampler: Sampler
) -> None:
    made = shop(TracerProvider(shutdown_on_exit=False, sampler=sampler), journal=None)
    for _ in range(20):
        made.failpath.run("checkout").step("pack", Future)
    assert sorted(made.statuses()) == ["error"] * 20 + ["running"] * 20
    assert made.keeps_nothing()


def test_any_number_of_dropped_steps_whose_spans_are_still_current_somewhere_end_one_after_another(
    shop: MakeShop,
) -> None:
    number = 2 * sys.getrecursionlimit() // 3
    dropping = shop(max_queue_size=10 * number)
    run, held = dropping.failpath.run("checkout"), [copy_context() for _ in range(number)]
    blocks = [run.step("pack") for _ in held]
    for context, block in zip(held, blocks, strict=True):
        context.run(block.__enter__)
    del block
    blocks.clear()
    run.step("pay", int)
    statuses = dropping.statuses()
    assert (statuses.count("running"), statuses.count("error"), statuses.count("success")) == (number + 1, number, 1)
    assert dropping.failpath.stats().dropped == {}


def test_the_end_of_a_dropped_step_looks_for_no_resource(shop: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    dropping = shop()
    create = Resource.create  # starts threads, and detectors that may ask a network

    def asking(*given: Any) -> Resource:
        asked.append(given)
        return create(*given)

    monkeypatch.setattr(Resource, "create", staticmethod(asking))
    dropping.failpath.run("checkout").step("pack", Future[None])
    assert dropping.statuses() == ["running", "error"]
    assert asked == []


def test_a_step_whose_span_others_end_and_that_never_comes_back_is_an_error(shop: MakeShop) -> None:
    made = shop(journal=None)

    def end_too_early() -> Future[int]:
        trace.get_current_span().end()
        return Future()

    future = made.failpath.run("checkout").step("pack", end_too_early)
    assert made.statuses() == ["running"]
    assert not made.keeps_nothing()  # it may yet say how it ends
    del future
    assert made.statuses() == ["running", "error"]
    assert made.keeps_nothing()


def test_a_step_that_never_comes_back_is_an_error_when_others_end_its_span(shop: MakeShop) -> None:
    made = shop(journal=None)
    spans: list[trace.Span] = []

    def keep_span() -> Future[int]:
        spans.append(trace.get_current_span())
        return Future()

    made.failpath.run("checkout").step("pack", keep_span)
    gc.collect()
    assert not made.keeps_nothing()  # its span can still be ended
    spans.pop().end()
    assert made.statuses() == ["running", "error"]
    assert made.keeps_nothing()


def test_a_dropped_step_asks_no_resource_detector(shop: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    # A detector may take seconds, and what a signal handler raises meanwhile is logged by OpenTelemetry and lost.
    made = shop()
    asked: list[object] = []
    detected = Resource.create

    def create(*arguments: Any, **options: Any) -> Resource:
        asked.append(arguments)
        return detected(*arguments, **options)

    monkeypatch.setattr(Resource, "create", create)
    made.failpath.run("checkout").step("pack", Future)
    gc.collect()
    made.failpath.run("checkout").skip("ship")
    assert sorted(made.statuses()) == ["error", "running", "skipped"]
    assert asked == []


def test_an_open_step_is_kept_however_often_garbage_is_collected(shop: MakeShop) -> None:
    made = shop(journal=None)
    future: Future[int] = made.failpath.run("checkout").step("pack", Future)
    assert made.statuses() == ["running"]
    future.set_result(1)
    assert made.statuses() == ["running", "success"]
    assert made.keeps_nothing()


def test_spans_that_are_dropped_make_room_in_a_full_queue_for_those_that_begin(shop: MakeShop) -> None:
    made = shop(journal=None, max_queue_size=8)
    for _ in range(50):
        made.web.start_span("POST /pack", attributes=NAMED)
        gc.collect()
        assert made.failpath.flush()
        assert made.reporter._pipelines[-1].admission.reserved == 0
    assert made.failpath.stats().dropped == {}


@pytest.mark.parametrize("why", ["delivery is off", "it marks a start", "a rule's part"])
def test_nothing_is_kept_of_spans_that_are_to_be_left_alone_and_never_end(shop: MakeShop, why: str) -> None:
    request = StepRule("checkout", "pack", span_name="POST /pack*")
    made = shop(enabled=why != "delivery is off", rules=[request] if why == "a rule's part" else None)
    more = {semconv.START_MARKER: True} if why == "it marks a start" else {}
    if why == "a rule's part":
        with made.web.start_as_current_span("POST /pack", kind=trace.SpanKind.SERVER):
            made.web.start_span("POST /pack http send")
    else:
        made.web.start_span("POST /pack", attributes={**NAMED, **more})
    assert made.reporter._ignored
    gc.collect()
    assert made.failpath.flush()
    assert not made.reporter._ignored


class SameIds(IdGenerator):
    """Ids as a program has them that seeds the generator of numbers in each of its threads."""

    def generate_span_id(self) -> int:
        return 7

    generate_trace_id = generate_span_id


def test_a_span_that_is_dropped_takes_nothing_from_another_one_with_its_ids(shop: MakeShop) -> None:
    made = shop(TracerProvider(shutdown_on_exit=False, id_generator=SameIds()), journal=None)
    made.web.start_span("POST /pack", attributes=NAMED, start_time=1)
    with made.failpath.run("checkout").step("pack"):
        gc.collect()
    assert made.statuses() == ["running", "running", "success"]
    assert made.keeps_nothing()


def test_a_span_may_be_dropped_by_a_garbage_collection_under_the_queues_lock(shop: MakeShop) -> None:
    made = shop(journal=None)
    pipeline = made.reporter._pipelines[-1]
    garbage: list[Any] = [made.web.start_span("POST /pack", attributes=NAMED)]
    assert isinstance(garbage[0], Span)
    garbage.append(garbage)
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with pipeline.queue.lock:
            held.set()
            assert released.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    del garbage
    gc.collect()  # on this thread, which must not wait for the lock
    released.set()
    holder.join(30)
    assert made.statuses() == ["running"]
    assert made.keeps_nothing()
