"""Decorated asynchronous generators: a step from the first item to the end."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry import trace

from failpath_otel import Run
from tests.recording import Recording, current_name, lifecycle, otel_status, outcome


class Thrown(Exception):  # noqa: N818 - what it is
    pass


Items = AsyncGenerator[Any, Any]


async def counting() -> Items:
    for number in range(3):
        await asyncio.sleep(0)
        yield number


async def failing() -> Items:
    yield 1
    raise Thrown("inside")


async def failing_when_closed() -> Items:
    try:
        yield 1
    finally:
        await asyncio.sleep(0)
        raise KeyError("cleanup")


def test_a_step_opens_at_the_first_item_and_not_at_the_call(run: Run, recording: Recording) -> None:
    async def main() -> None:
        items = run.step("items")(counting)()
        before = recording.started()
        await items.__anext__()

        assert (before, recording.started(), recording.names()) == ([], ["items"], [])
        await items.aclose()

    asyncio.run(main())


def test_a_step_ends_at_exhaustion(run: Run, recording: Recording) -> None:
    async def main() -> None:
        async for _ in run.step("items")(counting)():
            assert recording.names() == []

        assert (outcome(recording.only()), lifecycle(recording.only())) == ("success", ["running", "success"])

    asyncio.run(main())


def test_a_step_ends_at_close_and_covers_the_cleanup(run: Run, recording: Recording) -> None:
    seen: list[object] = []

    @run.step("items")
    async def items() -> Items:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.extend((recording.names(), current_name()))

    async def main() -> None:
        generator = items()
        await generator.__anext__()
        await generator.aclose()

        assert seen == [[], "items"]
        assert outcome(recording.only()) == "success"

    asyncio.run(main())


@pytest.mark.parametrize("make", [failing, failing_when_closed], ids=["inside", "in the cleanup"])
def test_a_step_ends_at_an_error(run: Run, recording: Recording, make: Callable[[], Items]) -> None:
    async def main() -> None:
        items = run.step("items")(make)()
        await items.__anext__()
        with pytest.raises((Thrown, KeyError)):
            await (items.__anext__() if make is failing else items.aclose())

        assert (outcome(recording.only()), otel_status(recording.only())) == ("error", "ERROR")

    asyncio.run(main())


def test_a_step_ends_at_an_error_thrown_in(run: Run, recording: Recording) -> None:
    async def main() -> None:
        items = run.step("items")(counting)()
        await items.__anext__()
        with pytest.raises(Thrown):
            await items.athrow(Thrown())

        assert outcome(recording.only()) == "error"

    asyncio.run(main())


def test_a_step_ends_when_its_generator_is_dropped(run: Run, recording: Recording) -> None:
    async def main() -> None:
        async for _ in run.step("items")(counting)():
            break
        gc.collect()
        # The loop closes what was dropped in a task of its own; at the end of the loop it would cancel that one.
        while not recording.names():  # noqa: ASYNC110 - what ends a span sets no event
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 10))

    assert outcome(recording.only()) == "success"


def test_a_step_ends_when_the_task_that_waits_for_an_item_is_cancelled(run: Run, recording: Recording) -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        @run.step("items")
        async def items() -> Items:
            yield 1
            waiting.set()
            await asyncio.Event().wait()

        async def consume() -> None:
            async for _ in items():
                pass

        task = asyncio.ensure_future(consume())
        await waiting.wait()
        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert outcome(recording.only()) == "error"

    asyncio.run(main())


def test_break_leaves_the_current_span_and_the_log_as_they_were(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        with recording.tracer.start_as_current_span("around") as around:
            async for _ in run.step("items")(counting)():
                assert trace.get_current_span() is around
                break
            gc.collect()
            await asyncio.sleep(0)

            assert trace.get_current_span() is around
        assert current_name() is None

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert caplog.records == []


def test_close_in_another_task_leaves_the_log_empty(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        items = run.step("items")(counting)()
        await items.__anext__()
        await asyncio.create_task(items.aclose())

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert caplog.records == []
    assert outcome(recording.only()) == "success"


def test_the_span_of_the_step_is_current_inside_and_only_there(run: Run, recording: Recording) -> None:
    @run.step("items")
    async def items() -> Items:
        yield current_name()
        await asyncio.sleep(0)
        yield current_name()

    async def main() -> list[object]:
        with recording.tracer.start_as_current_span("around"):
            return [(inside, current_name()) async for inside in items()]

    assert asyncio.run(main()) == [("items", "around")] * 2


def test_a_span_attached_across_a_suspension_is_still_current_after_it(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    @run.step("items")
    async def items() -> Items:
        with recording.tracer.start_as_current_span("inner"):
            yield current_name()
            await asyncio.sleep(0)
            yield current_name()
        yield current_name()

    async def main() -> list[object]:
        with recording.tracer.start_as_current_span("around"):
            return [(inside, current_name()) async for inside in items()]

    assert asyncio.run(main()) == [("inner", "around"), ("inner", "around"), ("items", "around")]
    assert caplog.records == []


def test_a_decorated_async_generator_can_be_a_context_manager(run: Run, recording: Recording) -> None:
    @asynccontextmanager
    @run.step("connection")
    async def connection() -> AsyncGenerator[str, None]:
        try:
            yield "open"
        except Thrown:
            await asyncio.sleep(0)

    async def main() -> None:
        async with connection() as state:
            assert state == "open"
            raise Thrown

    asyncio.run(main())

    assert outcome(recording.only()) == "success"


def test_what_was_thrown_into_an_asynchronous_generator_is_freed_as_soon_as_it_was_handled(run: Run) -> None:
    items = run.step("count", counting)

    async def throw() -> None:
        await items.__anext__()
        await items.athrow(Thrown())

    async def main() -> list["weakref.ref[Thrown]"]:
        try:
            await throw()
        except Thrown as error:
            return [weakref.ref(error)]
        return []

    gc.disable()  # so that only what is in no reference cycle goes
    try:
        assert [reference() for reference in asyncio.run(main())] == [None]
    finally:
        gc.enable()
