"""Steps whose function returns a Task or a Future, or something that looks like one."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from failpath_otel import Run
from tests.recording import Recording, current_name, otel_status, outcome


async def one() -> int:
    await asyncio.sleep(0)
    return 1


def awaiting(make: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await make()

    return asyncio.run(main())


def test_a_task_is_returned_itself_and_ends_the_step_when_it_is_done(run: Run, recording: Recording) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(one())

        assert run.step("pack", lambda: task) is task
        assert (recording.started(), recording.names()) == (["pack"], [])
        assert await task == 1

    asyncio.run(main())

    assert outcome(recording.only()) == "success"


def test_a_task_made_in_the_step_runs_in_its_span(run: Run) -> None:
    async def work() -> str | None:
        await asyncio.sleep(0)
        return current_name()

    assert awaiting(lambda: run.step("pack", lambda: asyncio.ensure_future(work()))) == "pack"


def test_a_future_is_returned_itself_and_ends_the_step_when_it_is_done(run: Run, recording: Recording) -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        assert run.step("pack", lambda: future) is future
        assert recording.names() == []
        future.set_result(1)
        assert await future == 1

    asyncio.run(main())

    assert outcome(recording.only()) == "success"


def test_a_concurrent_future_is_returned_itself_and_ends_the_step_when_it_is_done(
    run: Run, recording: Recording
) -> None:
    future: Future[int] = Future()
    error = ValueError("no")

    assert run.step("pack", lambda: future) is future
    assert recording.names() == []
    future.set_exception(error)

    assert future.exception() is error
    assert (outcome(recording.only()), otel_status(recording.only())) == ("error", "ERROR")


def test_a_future_that_is_done_already_ends_its_step(run: Run, recording: Recording) -> None:
    future: Future[int] = Future()
    future.set_result(1)

    assert run.step("pack", lambda: future).result(0) == 1
    assert outcome(recording.only()) == "success"


class LooksLikeAFuture:
    def add_done_callback(self, callback: Callable[..., object]) -> None:
        raise RuntimeError("not today")


class AnswersNothing:
    def add_done_callback(self, callback: Callable[..., object]) -> None:
        callback(self)

    def cancelled(self) -> bool:
        raise RuntimeError("not today")


class AnswersNoQuestion(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError("not today")


class Unanswering(metaclass=AnswersNoQuestion):
    pass


@pytest.mark.parametrize("kind", [LooksLikeAFuture, AnswersNothing, Unanswering])
def test_a_value_that_misbehaves_is_returned_unchanged_and_ends_the_step(
    run: Run, recording: Recording, kind: type[object]
) -> None:
    value = kind()

    assert run.step("pack", lambda: value) is value
    assert outcome(recording.only()) == "success"


def test_a_future_class_is_only_a_value(run: Run, recording: Recording) -> None:
    assert run.step("pack", lambda: Future) is Future
    assert outcome(recording.only()) == "success"


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("never retrieved")


def make_failing() -> Coroutine[Any, Any, None]:
    return fail()


@pytest.mark.parametrize("form", ["task", "task of a step", "task of a returned coroutine", "task of a decorated one"])
def test_asyncio_still_warns_of_a_task_whose_error_was_never_retrieved(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    make: dict[str, Callable[[], Any]] = {
        "task": lambda: run.step("pack", lambda: asyncio.ensure_future(fail())),
        "task of a step": lambda: asyncio.ensure_future(run.step("pack", fail)),
        "task of a returned coroutine": lambda: asyncio.ensure_future(run.step("pack", make_failing)),
        "task of a decorated one": lambda: asyncio.ensure_future(run.step("pack")(fail)()),
    }

    async def main() -> None:
        await asyncio.wait([make[form]()])
        gc.collect()

    asyncio.run(main())
    gc.collect()

    assert "Task exception was never retrieved" in caplog.text
    assert outcome(recording.only()) == "error"


def test_asyncio_still_warns_of_a_future_whose_error_was_never_retrieved(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        future = run.step("pack", lambda: asyncio.get_running_loop().create_future())
        future.set_exception(ValueError("never retrieved"))
        await asyncio.wait([future])
        del future
        gc.collect()

    asyncio.run(main())
    gc.collect()

    assert "Future exception was never retrieved" in caplog.text
    assert outcome(recording.only()) == "error"
