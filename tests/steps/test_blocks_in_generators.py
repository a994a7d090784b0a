"""A block around a ``yield``: each item may be asked for in another context, as a streaming response does."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, copy_context
from typing import Any

import pytest
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from failpath_otel import Run
from tests.recording import Recording, current_name, lifecycle, outcome

Items = Generator[int, None, None]


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "opentelemetry.context"):
        yield
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.levelno >= logging.WARNING] == []


def streaming(run: Run, *, fails: bool = False) -> Items:
    with run.step("stream"):
        yield 1
        yield 2
        if fails:
            raise ValueError("no more")


def spanless(context: Context) -> bool:
    return context.run(current_name) is None


def test_each_item_in_a_context_of_its_own_ends_the_step_and_leaves_no_span_behind(
    run: Run, recording: Recording
) -> None:
    items = streaming(run)
    contexts = [copy_context() for _ in range(3)]
    assert [context.run(next, items, None) for context in contexts] == [1, 2, None]

    span = recording.only()
    assert (lifecycle(span), outcome(span)) == (["running", "success"], "success")
    assert all(map(spanless, contexts))


def test_a_step_that_fails_in_another_context_is_an_error(run: Run, recording: Recording) -> None:
    items = streaming(run, fails=True)
    contexts = [copy_context() for _ in range(3)]
    with pytest.raises(ValueError, match="no more"):
        for context in contexts:
            context.run(next, items)

    assert outcome(recording.only()) == "error"
    assert all(map(spanless, contexts))


def test_a_generator_that_is_closed_in_another_context_is_a_success(run: Run, recording: Recording) -> None:
    items = streaming(run)
    first, last = copy_context(), copy_context()
    first.run(next, items)
    last.run(items.close)

    assert outcome(recording.only()) == "success"
    assert spanless(first)
    assert spanless(last)


def test_what_was_current_where_it_began_is_current_there_again(run: Run, recording: Recording) -> None:
    items = streaming(run)
    with recording.tracer.start_as_current_span("request"):
        first = copy_context()
    with recording.tracer.start_as_current_span("other"):
        last = copy_context()
    first.run(next, items)
    assert first.run(current_name) == "stream"
    last.run(list, items)

    assert recording.named("stream").parent is not None
    assert first.run(current_name) == "request"
    assert last.run(current_name) == "other"


def test_threads_that_ask_for_an_item_each_keep_no_span(run: Run, recording: Recording) -> None:
    items = streaming(run)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        assert first.submit(next, items).result(30) == 1
        assert second.submit(next, items).result(30) == 2
        assert second.submit(next, items, None).result(30) is None
        assert (first.submit(current_name).result(30), second.submit(current_name).result(30)) == (None, None)
        later = first.submit(lambda: recording.tracer.start_span("later").end())
        later.result(30)

    assert recording.named("later").parent is None


def test_a_consumer_that_has_a_span_of_its_own_around_the_last_item_gets_none_of_the_step(
    run: Run, recording: Recording
) -> None:
    items = streaming(run)
    assert next(items) == 1
    with recording.tracer.start_as_current_span("consumer"):
        assert list(items) == [2]
    assert current_name() is None


def test_two_streams_whose_items_are_asked_for_in_turn_leave_no_span(run: Run, recording: Recording) -> None:
    one, other = streaming(run), streaming(run)
    assert [next(one), next(other), next(one), next(other)] == [1, 1, 2, 2]
    assert (next(one, None), next(other, None)) == (None, None)

    assert current_name() is None
    assert [outcome(span) for span in recording.ended()] == ["success"] * 2


def test_the_block_of_a_run_in_a_generator_leaves_no_span_either(run: Run, recording: Recording) -> None:
    def items() -> Items:
        with run:
            yield run.step("inner", lambda: 1)
            yield 2

    made = items()
    contexts = [copy_context() for _ in range(3)]
    assert [context.run(next, made, None) for context in contexts] == [1, 2, None]

    assert recording.names() == ["inner", "checkout"]
    assert all(map(spanless, contexts))
    assert [context.run(recording.failpath.current_run) for context in contexts] == [None] * 3


def test_an_asynchronous_generator_that_other_tasks_advance_leaves_no_span(run: Run, recording: Recording) -> None:
    async def items() -> AsyncGenerator[int, None]:
        async with run.step("stream"):
            yield 1
            yield 2

    async def main() -> None:
        made = items()

        async def advance() -> int | None:
            item = await anext(made, None)
            left.append(copy_context())
            return item

        left: list[Context] = []
        assert [await asyncio.create_task(advance()) for _ in range(3)] == [1, 2, None]
        assert all(map(spanless, left))
        assert current_name() is None

    asyncio.run(main())
    assert outcome(recording.only()) == "success"


def test_a_task_that_outlives_a_block_that_was_left_where_it_was_entered_keeps_its_parent(
    run: Run, recording: Recording
) -> None:
    async def main() -> None:
        left = asyncio.Event()

        async def background() -> None:
            await left.wait()
            recording.tracer.start_span("later").end()

        async with run.step("outer"):
            task = asyncio.create_task(background())
        left.set()
        await task

    asyncio.run(main())
    parent = recording.named("later").parent
    assert parent is not None
    assert parent.span_id == (recording.named("outer").context or trace.INVALID_SPAN_CONTEXT).span_id


def _served(endpoint: Callable[[Request], StreamingResponse]) -> Any:
    with TestClient(Starlette(routes=[Route("/", endpoint)])) as client:
        return client.get("/").text


def test_a_streaming_response_is_one_step_and_nothing_is_logged(recording: Recording) -> None:
    """Starlette asks for each item on a thread of a pool, in a copy of the request's context."""
    seen: list[str | None] = []

    def respond(_: Request) -> StreamingResponse:
        run = recording.run()

        def lines() -> Generator[str, None, None]:
            with ExitStack() as stack:
                stack.enter_context(run.step("stream"))
                seen.append(current_name())
                for number in range(20):
                    yield f"{number}\n"
            seen.append(current_name())

        return StreamingResponse(lines())

    assert _served(respond) == "".join(f"{number}\n" for number in range(20))
    span = recording.only()
    assert (lifecycle(span), outcome(span)) == (["running", "success"], "success")
    assert seen == ["stream", None]


def test_a_streaming_response_of_a_generator_that_is_a_step_is_the_same(recording: Recording) -> None:
    def respond(_: Request) -> StreamingResponse:
        @recording.run().step("stream")
        def lines() -> Generator[str, None, None]:
            for number in range(5):
                yield f"{number} {current_name()}\n"

        return StreamingResponse(lines())

    assert _served(respond) == "".join(f"{number} stream\n" for number in range(5))
    assert outcome(recording.only()) == "success"
