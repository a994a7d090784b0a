"""A decorated function stays what it is: its kind, its name, its signature, its arguments."""

import asyncio
import functools
import inspect
import itertools
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

import pytest

from failpath_otel import Failpath, Run
from tests.recording import FLOW, RUN_ID, Recording, identity, lifecycle, metadata, outcome, span_id


def plain(number: int, *, word: str = "a") -> str:
    """What it does."""
    return word * number


async def coroutine(number: int, *, word: str = "a") -> str:
    """What it does."""
    return word * number


def generator(number: int, *, word: str = "a") -> Generator[str, None, None]:
    """What it does."""
    yield word * number


async def async_generator(number: int, *, word: str = "a") -> AsyncGenerator[str, None]:
    """What it does."""
    yield word * number


KINDS: dict[str, Callable[..., Any]] = {fn.__name__: fn for fn in (plain, coroutine, generator, async_generator)}
every_kind = pytest.mark.parametrize("fn", KINDS.values(), ids=KINDS.keys())

Decorate = Callable[[Run, Failpath], Callable[[Any], Any]]
DECORATORS: dict[str, Decorate] = {
    "run.step": lambda run, _: run.step("pack"),
    "failpath.step": lambda _, failpath: failpath.step("pack"),
}
every_decorator = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS.keys())

QUESTIONS = (
    inspect.isfunction,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isroutine,
    inspect.signature,
    inspect.getdoc,
)


async def awaited(made: Awaitable[Any]) -> Any:
    return await made


def outcome_of(made: Any) -> Any:
    async def items() -> list[Any]:
        return [item async for item in made]

    if inspect.iscoroutine(made):
        return asyncio.run(made)
    if inspect.isasyncgen(made):
        return asyncio.run(items())
    return list(made) if inspect.isgenerator(made) else made


class Callables:
    """The kinds of functions as methods and beside them."""

    def generator(self) -> Generator[str, None, None]:
        yield from generator(2)

    async def async_generator(self) -> AsyncGenerator[str, None]:
        yield "aa"

    async def coroutine(self) -> str:
        return "aa"


@types.coroutine
def old_coroutine(number: int) -> Generator[Any, Any, str]:
    yield from asyncio.sleep(0).__await__()
    return "a" * number


LAZY: dict[str, Callable[[], Any]] = {
    "generator": functools.partial(generator, 2),
    "async generator": functools.partial(async_generator, 2),
    "coroutine": functools.partial(coroutine, 2),
    "generator-based coroutine": functools.partial(old_coroutine, 2),
    "method that is a generator": Callables().generator,
    "method that is an async generator": Callables().async_generator,
    "method that is a coroutine": functools.partial(Callables().coroutine),
}


@pytest.mark.parametrize("decorated", [False, True], ids=["called", "decorated"])
@pytest.mark.parametrize("fn", LAZY.values(), ids=LAZY.keys())
def test_a_step_opens_with_the_body_whatever_callable_the_function_is(
    run: Run, recording: Recording, fn: Callable[[], Any], decorated: bool
) -> None:
    made = run.step("pack")(fn)() if decorated else run.step("pack", fn)
    before = recording.started()

    value = asyncio.run(awaited(made)) if inspect.isawaitable(made) else outcome_of(made)

    assert value == ("aa" if inspect.isawaitable(made) else ["aa"])
    assert before == []
    assert (outcome(recording.only()), lifecycle(recording.only())) == ("success", ["running", "success"])


@every_decorator
@every_kind
def test_a_decorated_function_keeps_its_kind_and_its_signature(
    recording: Recording, run: Run, fn: Callable[..., Any], decorate: Decorate
) -> None:
    wrapped = decorate(run, recording.failpath)(fn)

    assert [ask(wrapped) for ask in QUESTIONS] == [ask(fn) for ask in QUESTIONS]


@every_decorator
@every_kind
def test_a_decorated_function_keeps_its_names(
    recording: Recording, run: Run, fn: Callable[..., Any], decorate: Decorate
) -> None:
    wrapped = decorate(run, recording.failpath)(fn)

    assert (wrapped.__name__, wrapped.__qualname__, wrapped.__module__, wrapped.__doc__, wrapped.__annotations__) == (
        fn.__name__,
        fn.__qualname__,
        fn.__module__,
        fn.__doc__,
        fn.__annotations__,
    )
    assert wrapped.__wrapped__ is fn


@every_kind
def test_what_a_decorated_function_makes_has_the_type_and_the_name_of_what_it_made(
    run: Run, fn: Callable[..., Any]
) -> None:
    wrapped, made = run.step("pack")(fn)(1), fn(1)

    assert type(wrapped) is type(made)
    assert getattr(wrapped, "__qualname__", None) == getattr(made, "__qualname__", None)
    for each in (wrapped, made):
        outcome_of(each)


@every_kind
def test_arguments_pass_through_and_every_call_is_a_step_of_its_own(
    run: Run, recording: Recording, fn: Callable[..., Any]
) -> None:
    wrapped = run.step("pack", metadata={"size": 1})(fn)

    results = [outcome_of(wrapped(2, word="b")), outcome_of(wrapped(3))]

    assert results == [outcome_of(fn(2, word="b")), outcome_of(fn(3))]
    spans = recording.ended()
    assert len({span_id(span) for span in spans}) == 2
    for span in spans:
        assert (identity(span), outcome(span)) == ((FLOW, RUN_ID, "pack"), "success")
        assert (lifecycle(span), metadata(span)) == (["running", "success"], {"size": 1})


@every_kind
def test_decorating_opens_no_step(run: Run, recording: Recording, fn: Callable[..., Any]) -> None:
    run.step("pack")(fn)

    assert recording.started() == []


@every_kind
def test_wrong_arguments_are_the_same_type_error(run: Run, fn: Callable[..., Any]) -> None:
    with pytest.raises(TypeError) as plainly:
        outcome_of(fn(nothing=1))
    with pytest.raises(TypeError) as wrapped:
        outcome_of(run.step("pack")(fn)(nothing=1))

    assert str(wrapped.value) == str(plainly.value)


def takes_any_name(**given: int) -> dict[str, int]:
    return given


async def takes_any_name_later(**given: int) -> dict[str, int]:
    return given


@pytest.mark.parametrize("name", ["number", "fn", "self", "step", "open_step", "args", "kwargs"])
@pytest.mark.parametrize("fn", [takes_any_name, takes_any_name_later])
def test_no_name_of_an_argument_is_taken(run: Run, fn: Callable[..., Any], name: str) -> None:
    assert outcome_of(run.step("pack")(fn)(**{name: 1})) == {name: 1}


def test_a_method_gets_its_object(run: Run, recording: Recording) -> None:
    class Box:
        @run.step("pack")
        def pack(self) -> "Box":
            return self

        @run.step("send")
        async def send(self) -> "Box":
            return self

    box = Box()

    assert box.pack() is box
    assert asyncio.run(box.send()) is box
    assert recording.names() == ["pack", "send"]


def test_a_static_and_a_class_method_can_be_decorated_below_their_decorators(run: Run, recording: Recording) -> None:
    class Box:
        @staticmethod
        @run.step("pack")
        def pack() -> int:
            return 1

        @classmethod
        @run.step("send")
        def send(cls) -> type:
            return cls

    assert (Box.pack(), Box.send()) == (1, Box)
    assert recording.names() == ["pack", "send"]


def test_a_partial_a_bound_method_and_a_callable_object_can_be_decorated(run: Run, recording: Recording) -> None:
    class Adder:
        def __call__(self, number: int) -> int:
            return number + 1

        async def later(self, number: int) -> int:
            return number + 2

    assert run.step("a")(functools.partial(plain, 2))() == "aa"
    assert run.step("b")(Adder())(1) == 2
    assert asyncio.run(run.step("c")(Adder().later)(1)) == 3
    assert asyncio.run(run.step("d")(functools.partial(coroutine, 1))()) == "a"
    assert [(span.name, outcome(span)) for span in recording.ended()] == [(name, "success") for name in "abcd"]


def test_a_callable_object_with_an_async_call_is_a_step_until_it_has_been_awaited(
    run: Run, recording: Recording
) -> None:
    class Later:
        async def __call__(self) -> int:
            await asyncio.sleep(0)
            assert recording.names() == []
            return 1

    async def main() -> int:
        return await run.step("pack")(Later())()

    assert asyncio.run(main()) == 1
    assert outcome(recording.only()) == "success"


@pytest.mark.parametrize("given", [1, "text", object()])
def test_what_cannot_be_called_cannot_be_decorated(run: Run, recording: Recording, given: Any) -> None:
    with pytest.raises(TypeError, match="function"):
        run.step("pack")(given)
    with pytest.raises(TypeError, match="function"):
        recording.failpath.step("pack")(given)

    assert recording.started() == []


def test_a_decorated_function_may_call_itself(run: Run, recording: Recording) -> None:
    @run.step("count")
    def count(number: int) -> int:
        return 0 if number == 0 else 1 + count(number - 1)

    assert count(3) == 3
    spans = recording.ended()
    assert [outcome(span) for span in spans] == ["success"] * 4
    for inner, outer in itertools.pairwise(spans):
        assert inner.parent is not None
        assert inner.parent.span_id == span_id(outer)
