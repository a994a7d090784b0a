"""A step as a block."""

import asyncio

import pytest
from opentelemetry import context, trace

from failpath_otel import Run, Step
from tests.recording import FLOW, RUN_ID, Recording, current_name, identity, lifecycle, outcome


def test_a_step_that_is_never_entered_records_nothing(run: Run, recording: Recording) -> None:
    run.step("pack")

    assert recording.started() == []


def test_a_block_gets_the_step_and_runs_in_its_span(run: Run, recording: Recording) -> None:
    step = run.step("pack")
    with step as entered:
        assert (recording.started(), recording.names(), current_name()) == (["pack"], [], "pack")

    assert isinstance(step, Step)
    assert entered is step
    assert (identity(recording.only()), outcome(recording.only())) == ((FLOW, RUN_ID, "pack"), "success")


def test_an_async_block_is_the_same(run: Run, recording: Recording) -> None:
    async def main() -> None:
        step = run.step("pack")
        async with step as entered:
            await asyncio.sleep(0)
            assert entered is step
            assert current_name() == "pack"

    asyncio.run(main())

    assert lifecycle(recording.only()) == ["running", "success"]


def test_a_block_swallows_no_exception(run: Run, recording: Recording) -> None:
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught, run.step("pack"):
        raise error

    assert caught.value is error
    assert outcome(recording.only()) == "error"


def test_a_block_cannot_be_entered_twice(run: Run, recording: Recording) -> None:
    step = run.step("pack")
    with step:
        pass

    with pytest.raises(RuntimeError, match=r"run\.step"):
        step.__enter__()
    assert recording.names() == ["pack"]


def test_a_block_cannot_be_entered_inside_itself(run: Run, recording: Recording) -> None:
    with run.step("pack") as step, pytest.raises(RuntimeError, match="entered before"):
        step.__enter__()

    assert outcome(recording.only()) == "success"


def test_a_span_that_the_user_forgets_in_a_block_is_not_current_after_it(run: Run, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("around"):
        with run.step("pack"):
            context.attach(trace.set_span_in_context(recording.tracer.start_span("forgotten")))

        assert current_name() == "around"


def test_a_block_in_two_tasks_at_once_keeps_each_tasks_span(run: Run) -> None:
    async def work(key: str) -> list[str | None]:
        async with run.step(key):
            before = current_name()
            await asyncio.sleep(0)
            return [before, current_name()]

    async def main() -> list[list[str | None]]:
        return list(await asyncio.gather(work("a"), work("b")))

    assert asyncio.run(main()) == [["a", "a"], ["b", "b"]]
