"""Steps whose function is a coroutine function, or returns something to await."""

import asyncio
import contextlib
import gc
import inspect
import types
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from failpath_otel import Run
from tests.recording import Recording, current_name, exception, lifecycle, otel_status, outcome


async def one() -> int:
    await asyncio.sleep(0)
    return 1


def make_one() -> Coroutine[Any, Any, int]:
    return one()


def awaiting(make: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await make()

    return asyncio.run(main())


def test_a_coroutine_function_does_nothing_until_it_is_first_resumed(run: Run, recording: Recording) -> None:
    resumed: list[bool] = []

    async def work() -> None:
        resumed.append(True)

    coroutine = run.step("pack", work)
    before = (list(resumed), recording.started())
    awaiting(lambda: coroutine)

    assert before == ([], [])
    assert (resumed, recording.started()) == ([True], ["pack"])


def test_a_coroutine_function_that_is_never_resumed_is_no_step(run: Run, recording: Recording) -> None:
    run.step("pack", one).close()

    assert recording.started() == []


def test_the_coroutine_of_a_coroutine_function_is_a_coroutine(run: Run) -> None:
    coroutine = run.step("pack", one)

    assert inspect.iscoroutine(coroutine)
    assert asyncio.iscoroutine(coroutine)
    assert (coroutine.__name__, coroutine.__qualname__) == (one.__name__, one.__qualname__)
    coroutine.close()


def drop(make: Callable[[], object]) -> None:
    made = make()
    del made
    gc.collect()


@pytest.mark.parametrize("form", ["step", "decorated", "returned"])
def test_a_coroutine_that_is_never_awaited_is_warned_of_by_the_users_name(run: Run, form: str) -> None:
    make: dict[str, Callable[[], Any]] = {
        "step": lambda: run.step("pack", one),
        "decorated": run.step("pack")(one),
        "returned": lambda: run.step("pack", make_one),
    }

    with pytest.warns(RuntimeWarning, match=r"^coroutine 'one' was never awaited") as warned:
        drop(make[form])

    assert len(warned) == 1


def test_any_other_function_is_called_at_once_and_its_coroutine_ends_the_step(run: Run, recording: Recording) -> None:
    called: list[bool] = []

    def work() -> Coroutine[Any, Any, int]:
        called.append(True)
        return one()

    coroutine = run.step("pack", work)

    assert (called, recording.started(), recording.names()) == ([True], ["pack"], [])
    assert isinstance(coroutine, Coroutine)
    assert asyncio.iscoroutine(coroutine)
    assert inspect.isawaitable(coroutine)
    assert awaiting(lambda: coroutine) == 1
    assert (outcome(recording.only()), lifecycle(recording.only())) == ("success", ["running", "success"])


@pytest.mark.parametrize("run_it", [asyncio.run, lambda made: awaiting(lambda: asyncio.gather(made))])
def test_a_returned_coroutine_is_taken_wherever_asyncio_takes_one(
    run: Run, recording: Recording, run_it: Callable[[Any], Any]
) -> None:
    run_it(run.step("pack", make_one))

    assert outcome(recording.only()) == "success"


CLOSED = ("failpath_otel.CoroutineClosed", "the coroutine was closed before it ended")
NEVER_AWAITED = ("failpath_otel.NeverAwaited", "the coroutine was never awaited, its code has not run")


def assert_failed(recording: Recording, expected: tuple[str, str]) -> None:
    """The step has ended once, as an error of this name and message."""
    span = recording.only()
    assert (outcome(span), otel_status(span), lifecycle(span)) == ("error", "ERROR", ["running", "error"])
    found = exception(span)
    assert (found["exception.type"], found["exception.message"]) == expected


def test_a_returned_coroutine_that_is_closed_unawaited_is_an_error(run: Run, recording: Recording) -> None:
    coroutine = run.step("pack", make_one)
    coroutine.close()
    coroutine.close()

    assert_failed(recording, NEVER_AWAITED)


@pytest.mark.parametrize("form", ["step", "decorated", "returned", "old style"])
@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_coroutine_that_does_not_come_to_its_end_is_an_error(
    run: Run, recording: Recording, form: str, how: str
) -> None:
    make: dict[str, Callable[[], Any]] = {
        "step": lambda: run.step("pack", one),
        "decorated": run.step("pack")(one),
        "returned": lambda: run.step("pack", make_one),
        "old style": lambda: run.step("pack", old_style),
    }
    coroutine = make[form]()
    coroutine.send(None)
    if how == "closed":
        coroutine.close()
    del coroutine
    gc.collect()

    assert_failed(recording, CLOSED)


def test_a_coroutine_whose_cleanup_fails_when_it_is_closed_has_that_error(run: Run, recording: Recording) -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            raise KeyError("cleanup")

    for number, fn in enumerate((work, lambda: work())):  # noqa: PLW0108 - a function that is no coroutine function
        coroutine: Any = run.step(f"pack-{number}", fn)
        coroutine.send(None)
        with pytest.raises(KeyError):
            coroutine.close()
        assert exception(recording.named(f"pack-{number}"))["exception.type"] == "KeyError"


def test_a_coroutine_that_ends_when_it_is_closed_is_still_closed(run: Run, recording: Recording) -> None:
    async def work() -> None:
        with contextlib.suppress(GeneratorExit):
            await asyncio.sleep(0)

    coroutine: Any = run.step("pack", lambda: work())  # noqa: PLW0108 - a function that is no coroutine function
    coroutine.send(None)
    coroutine.close()

    assert_failed(recording, CLOSED)


def test_a_coroutine_that_has_ended_may_be_closed_and_dropped(run: Run, recording: Recording) -> None:
    coroutine = run.step("pack", make_one)
    asyncio.run(coroutine)
    coroutine.close()
    del coroutine
    gc.collect()

    assert (outcome(recording.only()), lifecycle(recording.only())) == ("success", ["running", "success"])


def test_a_returned_coroutine_that_is_closed_half_way_ends_its_step(run: Run, recording: Recording) -> None:
    cleaned: list[str | None] = []

    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            cleaned.append(current_name())

    coroutine = run.step("pack", lambda: work())  # noqa: PLW0108 - a function that is no coroutine function
    coroutine.send(None)
    coroutine.close()

    assert cleaned == ["pack"]
    assert_failed(recording, CLOSED)


@pytest.mark.filterwarnings("ignore:coroutine 'one' was never awaited")
def test_a_returned_coroutine_that_is_dropped_unawaited_is_an_error(run: Run, recording: Recording) -> None:
    coroutine = run.step("pack", make_one)
    del coroutine
    gc.collect()

    assert_failed(recording, NEVER_AWAITED)


def test_a_returned_coroutine_can_be_thrown_into(run: Run, recording: Recording) -> None:
    error = ValueError("thrown")
    coroutine = run.step("pack", make_one)
    coroutine.send(None)
    with pytest.raises(ValueError, match="thrown") as caught:
        coroutine.throw(error)

    assert caught.value is error
    assert outcome(recording.only()) == "error"


def test_a_returned_coroutine_cannot_be_awaited_twice_like_any_other(run: Run) -> None:
    coroutine = run.step("pack", make_one)
    awaiting(lambda: coroutine)

    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        awaiting(lambda: coroutine)


def test_any_other_awaitable_is_returned_unchanged(run: Run, recording: Recording) -> None:
    class Later:
        def __await__(self) -> Generator[Any, Any, int]:
            return one().__await__()

    later = Later()

    assert run.step("pack", lambda: later) is later
    assert outcome(recording.only()) == "success"
    assert awaiting(lambda: later) == 1


@types.coroutine
def old_style() -> Generator[Any, Any, int]:
    yield from asyncio.sleep(0).__await__()
    return 1


@pytest.mark.parametrize("form", ["function", "returned"])
def test_a_generator_based_coroutine_is_a_coroutine_too(run: Run, recording: Recording, form: str) -> None:
    async def main() -> int:
        made: Any = run.step("pack", old_style if form == "function" else lambda: old_style())  # noqa: PLW0108 - a function that is no coroutine function
        assert recording.names() == []
        return int(await made)

    assert asyncio.run(main()) == 1
    assert outcome(recording.only()) == "success"


def test_a_span_attached_across_a_suspension_is_still_current_after_it(
    run: Run, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> list[str | None]:
        with recording.tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)
            seen = [current_name()]
        await asyncio.sleep(0)
        return [*seen, current_name()]

    for fn in (work, lambda: work()):  # noqa: PLW0108 - a function that is no coroutine function
        assert awaiting(lambda fn=fn: run.step("pack", fn)) == ["inner", "pack"]  # type: ignore[misc]
    assert caplog.records == []


def test_code_that_drives_a_coroutine_by_hand_has_its_span_between_two_slices(run: Run, recording: Recording) -> None:
    with recording.tracer.start_as_current_span("around"):
        for coroutine in (run.step("pack", one), run.step("pack", make_one)):
            coroutine.send(None)
            assert current_name() == "around"
            coroutine.close()
            assert current_name() == "around"


def test_a_coroutine_that_is_also_a_context_manager_is_returned_itself(run: Run, recording: Recording) -> None:
    """As a request of aiohttp is."""

    class Request(Coroutine[Any, Any, int]):
        def send(self, value: object) -> Any:
            raise StopIteration(1)

        def throw(self, *error: Any) -> Any: ...

        def close(self) -> None: ...

        def __await__(self) -> Generator[Any, Any, int]:
            yield from ()
            return 1

        async def __aenter__(self) -> str:
            return "response"

        async def __aexit__(self, *error: object) -> None: ...

    request = Request()
    assert run.step("get", lambda: request) is request
    assert otel_status(recording.only()) == "OK"


class _Stop(Exception):  # noqa: N818 - as asyncio's CancelledError, and without its kin's special cases
    """What is thrown into a coroutine that waits."""


@pytest.mark.parametrize("called", [False, True], ids=["coroutine function", "function that returns a coroutine"])
def test_what_was_thrown_into_a_coroutine_that_waits_is_freed_as_soon_as_it_was_handled(run: Run, called: bool) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    coroutine = run.step("pack", (lambda: work()) if called else work)  # noqa: PLW0108 - no coroutine function
    coroutine.send(None)
    freed: list[weakref.ref[_Stop]] = []
    gc.disable()  # so that only what is in no reference cycle goes
    try:
        try:
            coroutine.throw(_Stop())
        except _Stop as error:
            freed.append(weakref.ref(error))
        assert [reference() for reference in freed] == [None]
    finally:
        gc.enable()
