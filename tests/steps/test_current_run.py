"""The current run, and the decorator that uses it."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from failpath_otel import Run
from tests.recording import RUN_ID, Recording, identity, metadata, outcome


def test_there_is_no_current_run_outside_of_a_block(run: Run, recording: Recording) -> None:
    seen = [recording.failpath.current_run(), run.step("pack", recording.failpath.current_run)]

    assert seen == [None, None]


def test_blocks_nest(recording: Recording) -> None:
    current = recording.failpath.current_run
    with recording.run() as outer:
        with recording.run() as inner:
            assert current() is inner
        assert current() is outer
    assert current() is None


def test_a_step_keeps_the_current_run(run: Run, recording: Recording) -> None:
    with run:
        assert run.step("pack", recording.failpath.current_run) is run


def test_an_error_ends_the_current_run(run: Run, recording: Recording) -> None:
    with pytest.raises(ValueError, match="no"), run:
        raise ValueError("no")

    assert recording.failpath.current_run() is None


def test_a_task_inherits_the_current_run_and_keeps_it(run: Run, recording: Recording) -> None:
    async def main() -> Run | None:
        begun, left = asyncio.Event(), asyncio.Event()

        async def work() -> Run | None:
            begun.set()
            await left.wait()
            return recording.failpath.current_run()

        async with run:
            task = asyncio.ensure_future(work())
            await begun.wait()
        left.set()
        return await task

    assert asyncio.run(main()) is run


def test_a_plain_thread_has_no_current_run_and_one_with_the_context_has_it(run: Run, recording: Recording) -> None:
    seen: list[Run | None] = []

    def look() -> None:
        seen.append(recording.failpath.current_run())

    with run:
        context = contextvars.copy_context()
        for thread in (threading.Thread(target=look), threading.Thread(target=context.run, args=(look,))):
            thread.start()
            thread.join(10)

    assert seen[-1] is run
    # Free-threaded Python hands the context on to every thread; else a thread begins without one.
    assert seen[0] in (None, run)


def test_a_decorated_function_is_a_step_of_the_run_that_is_current_at_the_call(recording: Recording) -> None:
    @recording.failpath.step("pack", metadata={"size": 2})
    def pack() -> int:
        return 1

    for run_id in ("a", "b"):
        with recording.run(run_id=run_id, metadata={"size": 1, "route": "/"}):
            assert pack() == 1

    steps = [span for span in recording.ended() if span.name == "pack"]
    assert [identity(span)[1] for span in steps] == ["a", "b"]
    assert [metadata(span) for span in steps] == [{"size": 2, "route": "/"}] * 2


def test_without_a_current_run_a_decorated_function_of_any_kind_runs_plainly(recording: Recording) -> None:
    step = recording.failpath.step("pack")
    value = object()

    @step
    def plain() -> object:
        return value

    @step
    async def coroutine() -> object:
        await asyncio.sleep(0)
        return value

    @step
    def generator() -> Iterator[object]:
        yield value

    @step
    async def async_generator() -> AsyncIterator[object]:
        yield value

    async def collect() -> list[object]:
        return [item async for item in async_generator()]

    assert plain() is value
    assert asyncio.run(coroutine()) is value
    assert list(generator()) == [value]
    assert asyncio.run(collect()) == [value]
    assert recording.started() == []


def test_without_a_current_run_an_error_passes_untouched(recording: Recording) -> None:
    error = ValueError("no")

    @recording.failpath.step("pack")
    def pack() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        pack()

    assert caught.value is error
    assert recording.started() == []


def test_without_a_current_run_a_returned_coroutine_runs_plainly(recording: Recording) -> None:
    async def one() -> int:
        return 1

    assert asyncio.run(recording.failpath.step("pack")(lambda: one())()) == 1  # noqa: PLW0108 - a function that is no coroutine function
    assert recording.started() == []


def test_a_decorated_coroutine_function_belongs_to_the_run_that_is_current_when_it_is_resumed(
    recording: Recording,
) -> None:
    @recording.failpath.step("pack")
    async def pack() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        coroutine = pack()
        async with recording.run():
            await coroutine

    asyncio.run(main())

    assert (identity(recording.named("pack"))[1], outcome(recording.named("pack"))) == (RUN_ID, "success")


def test_blocks_that_another_task_leaves_log_nothing_and_leave_nothing_current(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """As asynchronous fixtures do: what a task has entered, a task that inherits its context leaves."""
    failpath = recording.failpath

    async def main() -> None:
        run = failpath.run("checkout")
        await run.__aenter__()
        step = run.step("pack")
        await step.__aenter__()

        async def leave() -> None:
            await step.__aexit__(None, None, None)
            assert failpath.current_run() is run
            await run.__aexit__(None, None, None)
            assert failpath.current_run() is None

        await asyncio.ensure_future(leave())

    asyncio.run(main())
    assert caplog.records == []
    assert sorted(recording.names()) == ["checkout", "pack"]
