"""A decorated asynchronous generator is for its consumer the one that it was, whatever is done with it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from failpath_otel import Run


class Thrown(Exception):  # noqa: N818 - what it is
    pass


Items = AsyncGenerator[Any, Any]
Script = tuple[tuple[str, Any], ...]


async def counting() -> Items:
    got = []
    for number in range(3):
        await asyncio.sleep(0)
        got.append((yield number))
        if len(got) == 3:
            yield got


async def catching() -> Items:
    try:
        yield 1
    except Thrown as thrown:
        await asyncio.sleep(0)
        yield ("caught", str(thrown))


async def translating() -> Items:
    try:
        yield 1
    except Thrown as thrown:
        raise KeyError("other") from thrown


async def stubborn() -> Items:
    for _ in range(3):
        try:
            yield 1
        except GeneratorExit:
            yield 2


async def returning_when_closed() -> Items:
    try:
        yield 1
    except GeneratorExit:
        await asyncio.sleep(0)


async def failing_when_closed() -> Items:
    try:
        yield 1
    finally:
        await asyncio.sleep(0)
        raise KeyError("cleanup")


async def failing() -> Items:
    yield 1
    raise Thrown("inside")


async def empty() -> Items:
    nothing: tuple[int, ...] = ()
    for item in nothing:
        yield item


async def stopping() -> Items:
    yield 1
    raise StopAsyncIteration("inside")


GENERATORS = (
    counting,
    catching,
    translating,
    stubborn,
    returning_when_closed,
    failing_when_closed,
    failing,
    empty,
    stopping,
)
NEXT, CLOSE = ("next", None), ("close", None)
THROW, EXIT = ("throw", Thrown("thrown")), ("throw", GeneratorExit("thrown"))
CANCEL = ("throw", asyncio.CancelledError("thrown"))
SCRIPTS: dict[str, Script] = {
    "exhaust": (NEXT,) * 6,
    "send": (NEXT, ("send", "a"), ("send", "b"), ("send", "c"), NEXT, NEXT),
    "send too early": (("send", "a"), NEXT),
    "close": (NEXT, CLOSE, NEXT, CLOSE),
    "close unstarted": (CLOSE, NEXT),
    "throw": (NEXT, THROW, NEXT, NEXT),
    "throw unstarted": (THROW, NEXT),
    "throw a generator exit": (NEXT, EXIT, NEXT),
    "throw a cancellation": (NEXT, CANCEL, NEXT),
    "throw after the end": (*((NEXT,) * 6), THROW, CLOSE),
}


def chain(error: BaseException | None) -> Any:
    return None if error is None else (type(error), str(error), chain(error.__cause__), chain(error.__context__))


async def play(make: Callable[[], Items], script: Script) -> list[Any]:
    """Return what a consumer sees that does all this with a generator."""
    generator = make()
    seen: list[Any] = []
    for what, given in script:
        try:
            if what == "next":
                seen.append(await generator.__anext__())
            elif what == "send":
                seen.append(await generator.asend(given))
            elif what == "close":
                await generator.aclose()
                seen.append("closed")
            else:
                given.__traceback__ = given.__context__ = None
                seen.append(await generator.athrow(given))
        except StopAsyncIteration:
            seen.append("stopped")
        except BaseException as error:
            seen.append(("raised", chain(error), error is given))
    return seen


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)
# An error in a generator that is never closed reaches the loop's exception handler, decorated or not.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_consumer_sees_no_difference_whatever_it_does(run: Run, make: Callable[[], Items], script: Script) -> None:
    assert asyncio.run(play(run.step("items")(make), script)) == asyncio.run(play(make, script))
