"""Which ends of a step are a success, and which are an error."""

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import CancelledError as ConcurrentCancelledError
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from failpath_otel import Run, limits
from tests.recording import FLOW, RUN_ID, Recording, exception, identity, lifecycle, otel_status, outcome
from tests.steps.forms import FORMS, IN_TASK_FORMS, SYNC_FORMS, Form

by_hand = pytest.mark.parametrize("form", SYNC_FORMS.values(), ids=SYNC_FORMS.keys())
in_a_task = pytest.mark.parametrize("form", IN_TASK_FORMS.values(), ids=IN_TASK_FORMS.keys())
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


class Own(BaseException):
    pass


EVERY_END: list[tuple[Callable[[], BaseException], str]] = [
    (lambda: ValueError("no"), "error"),
    (KeyboardInterrupt, "error"),
    (asyncio.CancelledError, "error"),
    (lambda: SystemExit(1), "error"),
    (lambda: SystemExit("text"), "error"),
    (lambda: SystemExit(0), "success"),
    (lambda: SystemExit(None), "success"),
    (GeneratorExit, "error"),
    (Own, "error"),
]
every_end = pytest.mark.parametrize(("make", "expected"), EVERY_END, ids=[repr(make()) for make, _ in EVERY_END])


def raising(error: BaseException) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


def assert_ended(recording: Recording, expected: str) -> None:
    span = recording.named("pack")
    assert (outcome(span), lifecycle(span)) == (expected, ["running", expected])
    assert otel_status(span) == ("OK" if expected == "success" else "ERROR")
    assert identity(span) == (FLOW, RUN_ID, "pack")
    assert sum(event.name == "exception" for event in span.events) == (expected == "error")


@by_hand
@every_end
def test_every_kind_of_exception_ends_a_step_as_defined(
    recording: Recording, form: Form, make: Callable[[], BaseException], expected: str
) -> None:
    error = make()

    with pytest.raises(type(error)) as caught:
        form(recording.failpath, recording.run(), "pack", raising(error))

    assert caught.value is error
    assert error.__context__ is None
    assert_ended(recording, expected)


@in_a_task
@every_end
def test_every_kind_of_exception_ends_an_async_step_as_defined(
    recording: Recording, form: Form, make: Callable[[], BaseException], expected: str
) -> None:
    error = make()

    # asyncio itself may raise another object of the same type for a cancelled task.
    with pytest.raises(type(error)):
        form(recording.failpath, recording.run(), "pack", raising(error))

    assert_ended(recording, expected)


def test_a_step_that_is_left_by_return_or_break_out_of_its_block_is_a_success(run: Run, recording: Recording) -> None:
    for _ in range(2):
        with run.step("pack"):
            break

    assert_ended(recording, "success")


def test_a_cancelled_task_leaves_its_step_as_an_error_and_stays_cancelled(run: Run, recording: Recording) -> None:
    async def main() -> bool:
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(run.step("pack", work))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
    assert_ended(recording, "error")
    assert exception(recording.only())["exception.type"].endswith("CancelledError")


def test_a_cancelled_future_ends_its_step_as_an_error(run: Run, recording: Recording) -> None:
    async def main() -> None:
        future = run.step("pack", lambda: asyncio.get_running_loop().create_future())
        future.cancel()
        await asyncio.sleep(0)
        assert future.cancelled()
        await asyncio.sleep(0)

    asyncio.run(main())

    assert_ended(recording, "error")


def test_a_cancelled_concurrent_future_ends_its_step_as_an_error(run: Run, recording: Recording) -> None:
    future: Future[int] = run.step("pack", Future)

    assert future.cancel()

    assert_ended(recording, "error")
    with pytest.raises(ConcurrentCancelledError):
        future.result(0)


def test_a_generator_that_its_consumer_closes_is_a_success(run: Run, recording: Recording) -> None:
    @run.step("pack")
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2

    generator = items()
    next(generator)
    generator.close()

    assert_ended(recording, "success")


def test_an_async_generator_that_its_consumer_closes_is_a_success(run: Run, recording: Recording) -> None:
    @run.step("pack")
    async def items() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def main() -> None:
        generator = items()
        await generator.__anext__()
        await generator.aclose()

    asyncio.run(main())

    assert_ended(recording, "success")


def test_a_block_in_a_generator_that_its_consumer_closes_is_a_success(run: Run, recording: Recording) -> None:
    def items() -> Generator[int, None, None]:
        with run.step("pack"):
            yield 1

    generator = items()
    next(generator)
    generator.close()

    assert_ended(recording, "success")


def test_a_block_in_an_async_generator_that_its_consumer_closes_is_a_success(run: Run, recording: Recording) -> None:
    async def items() -> AsyncGenerator[int, None]:
        async with run.step("pack"):
            yield 1

    async def main() -> None:
        generator = items()
        await generator.__anext__()
        await generator.aclose()

    asyncio.run(main())

    assert_ended(recording, "success")


def test_a_block_in_a_coroutine_that_is_closed_is_an_error(run: Run, recording: Recording) -> None:
    @contextmanager
    def packing() -> Generator[None, None, None]:
        with run.step("pack"):
            yield

    async def work() -> None:
        with packing():
            await asyncio.sleep(0)

    coroutine = work()
    coroutine.send(None)
    coroutine.close()

    assert_ended(recording, "error")
    assert exception(recording.only())["exception.type"] == "failpath_otel.CoroutineClosed"


def test_an_async_generator_whose_consumer_is_closed_while_it_waits_is_an_error(run: Run, recording: Recording) -> None:
    @run.step("pack")
    async def items() -> AsyncGenerator[int, None]:
        await asyncio.sleep(0)
        yield 1

    async def consume() -> None:
        async for _ in items():
            pass

    coroutine = consume()
    coroutine.send(None)
    coroutine.close()
    gc.collect()

    assert_ended(recording, "error")
    assert exception(recording.only())["exception.type"] == "failpath_otel.CoroutineClosed"


def test_a_step_that_is_still_open_is_not_ended_by_anybody(run: Run, recording: Recording) -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with run.step("pack"):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert entered.wait(10)
        recording.failpath.flush()
        recording.failpath.shutdown()
        assert (recording.started(), recording.names()) == (["pack"], [])
    finally:
        leave.set()
        thread.join(10)


@every_form
def test_an_error_leaves_the_standard_exception_event(recording: Recording, form: Form) -> None:
    with pytest.raises(ValueError, match="declined"):
        form(recording.failpath, recording.run(), "pack", raising(ValueError("card declined")))

    found = exception(recording.named("pack"))
    assert (found["exception.type"], found["exception.message"]) == ("ValueError", "card declined")
    assert "raise error\nValueError: card declined\n" in found["exception.stacktrace"]
    assert "failpath_otel" not in found["exception.stacktrace"].splitlines()[-3]


@every_form
def test_an_error_is_named_by_error_type_too(recording: Recording, form: Form) -> None:
    with pytest.raises(ValueError, match="declined"):
        form(recording.failpath, recording.run(), "pack", raising(ValueError("card declined")))

    assert dict(recording.named("pack").attributes or {})["error.type"] == "ValueError"


@every_form
def test_a_success_has_no_error_type(recording: Recording, form: Form) -> None:
    form(recording.failpath, recording.run(), "pack", lambda: None)

    assert "error.type" not in (recording.named("pack").attributes or {})


def test_the_type_of_an_error_has_its_module(run: Run, recording: Recording) -> None:
    class Declined(Exception):  # noqa: N818 - a name as an application might have it
        pass

    with pytest.raises(Declined):
        run.step("pack", raising(Declined("no")))

    assert exception(recording.only())["exception.type"] == f"{__name__}.{Declined.__qualname__}"


def test_a_long_message_is_capped_on_the_span_wherever_it_stands(run: Run, recording: Recording) -> None:
    error = ValueError("x" * 100_000)

    with pytest.raises(ValueError, match="xxx") as caught:
        run.step("pack", raising(error))

    assert len(str(caught.value)) == 100_000
    span = recording.only()
    found = exception(span)
    assert 0 < len(found["exception.message"]) <= limits.MAX_ERROR_MESSAGE_CHARS
    assert len(found["exception.stacktrace"]) <= limits.MAX_STACK_CHARS
    assert span.status.description is not None
    assert len(span.status.description) <= limits.MAX_ERROR_MESSAGE_CHARS
    assert "100000 characters" in found["exception.message"]
