"""Steps inside steps, in threads and in tasks: true parents, and each record its own run."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from failpath_otel import Run
from tests.recording import FLOW, Recording, identity, outcome, parent_id, span_id, trace_id
from tests.steps.forms import FORMS, IN_TASK_FORMS, SYNC_FORMS, Form


@pytest.mark.parametrize("form", {**SYNC_FORMS, **IN_TASK_FORMS}.values(), ids={**SYNC_FORMS, **IN_TASK_FORMS}.keys())
def test_a_step_inside_a_step_is_its_child(recording: Recording, form: Form) -> None:
    run = recording.run()

    form(recording.failpath, run, "outer", lambda: run.step("inner", lambda: None))

    outer, inner = recording.named("outer"), recording.named("inner")
    assert (parent_id(inner), trace_id(inner)) == (span_id(outer), trace_id(outer))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_step_is_a_child_of_the_applications_span(recording: Recording, form: Form) -> None:
    with recording.tracer.start_as_current_span("application") as around:
        form(recording.failpath, recording.run(), "pack", lambda: None)

    step = recording.named("pack")
    assert trace_id(step) == around.get_span_context().trace_id
    if FLOW not in recording.names():
        assert parent_id(step) == around.get_span_context().span_id


def test_the_applications_span_in_a_step_is_the_steps_child(run: Run, recording: Recording) -> None:
    run.step("pack", lambda: recording.tracer.start_span("query").end())

    assert parent_id(recording.named("query")) == span_id(recording.named("pack"))


def test_a_step_of_another_run_inside_a_step_keeps_its_own_run(recording: Recording) -> None:
    outer, inner = recording.run(run_id="outer"), recording.run(run_id="inner")

    with outer, outer.step("a"):
        inner.step("b", lambda: None)
        with inner:
            outer.step("c", lambda: None)

    found = {span.name: identity(span)[1] for span in recording.ended() if span.name != FLOW}
    assert found == {"a": "outer", "b": "inner", "c": "outer"}


def test_two_clients_on_one_provider_have_each_their_own_current_run(recording: Recording) -> None:
    other = type(recording.failpath)(tracer_provider=recording.provider)

    with recording.run(run_id="mine") as mine:
        assert other.current_run() is None
        with other.run(FLOW, run_id="theirs") as theirs:
            assert (recording.failpath.current_run(), other.current_run()) == (mine, theirs)


def together(count: int, work: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, number) for number in range(count)]:
            done.result(30)


def test_threads_at_the_same_time_keep_each_their_own_run(recording: Recording) -> None:
    barrier = threading.Barrier(8, timeout=20)

    def work(number: int) -> None:
        with recording.failpath.run(FLOW, run_id=number) as run:
            for key in ("a", "b"):
                with run.step(key):
                    barrier.wait()
                    current = recording.failpath.current_run()
                    assert current is run
                    current.step(f"{key}-inner", lambda: None)

    together(8, work)

    spans = {span_id(span): span for span in recording.ended()}
    assert len(spans) == 8 * 5
    for span in spans.values():
        parent = parent_id(span)
        if span.name == FLOW:
            assert parent is None
        else:
            assert parent is not None
            assert identity(spans[parent])[1] == identity(span)[1]
            assert spans[parent].name == (span.name[0] if span.name.endswith("-inner") else FLOW)


def test_one_run_in_many_threads_records_every_step_once(run: Run, recording: Recording) -> None:
    together(8, lambda number: [run.step(f"{number}-{turn}", lambda: None) for turn in range(50)])

    assert sorted(recording.names()) == sorted(f"{number}-{turn}" for number in range(8) for turn in range(50))
    assert {(identity(span)[1], outcome(span)) for span in recording.ended()} == {(run.run_id, "success")}


def test_a_thread_that_is_given_the_context_continues_the_step(run: Run, recording: Recording) -> None:
    with run.step("outer"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(run.step, "inner", lambda: None))
        thread.start()
        thread.join(10)

    assert parent_id(recording.named("inner")) == span_id(recording.named("outer"))


def test_gathered_tasks_keep_each_their_own_run_and_parent(recording: Recording) -> None:
    async def inner() -> None:
        await asyncio.sleep(0)

    async def work(number: int) -> None:
        async with recording.failpath.run(FLOW, run_id=number) as run:

            async def outer() -> None:
                await asyncio.sleep(0)
                assert recording.failpath.current_run() is run
                await run.step("inner", inner)
                assert recording.failpath.current_run() is run

            await run.step("outer", outer)

    async def main() -> None:
        await asyncio.gather(*map(work, range(10)))
        assert recording.failpath.current_run() is None

    asyncio.run(main())

    spans = {span_id(span): span for span in recording.ended()}
    assert len(spans) == 30
    for span in spans.values():
        parent = parent_id(span)
        if parent is not None:
            assert spans[parent].name == {"inner": "outer", "outer": FLOW}[span.name]
            assert identity(spans[parent])[1] == identity(span)[1]


def test_gathered_steps_of_one_run_are_siblings(run: Run, recording: Recording) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        async with run:
            await asyncio.gather(*(run.step(f"step-{number}", work) for number in range(5)))

    asyncio.run(main())

    parent = span_id(recording.named(FLOW))
    steps = [span for span in recording.ended() if span.name != FLOW]
    assert [parent_id(span) for span in steps] == [parent] * 5
