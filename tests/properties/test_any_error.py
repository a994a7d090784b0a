"""Whatever a function raises, in a step of any form, the application gets that very object, and the record is valid."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from failpath_otel import Run
from failpath_otel.scrubbing.values import type_name
from failpath_otel.steps.outcome import is_failure
from tests.properties.hostile import Given, anything, metadata
from tests.properties.hostile_errors import Made, exceptions, exits
from tests.properties.tape import Tape, properties

Body = Callable[[], Any]


def function(tape: Tape, run: Run, body: Body) -> Any:
    return run.step("pack", body)


def block(tape: Tape, run: Run, body: Body) -> Any:
    with run.step("pack"):
        return body()


def decorated(tape: Tape, run: Run, body: Body) -> Any:
    return run.step("pack")(lambda: body())()  # noqa: PLW0108 - a function of its own


def of_current_run(tape: Tape, run: Run, body: Body) -> Any:
    with run:
        return tape.step("pack")(lambda: body())()  # noqa: PLW0108 - as above


def generator(tape: Tape, run: Run, body: Body) -> Any:
    @run.step("pack")
    def items() -> Generator[int, None, Any]:
        yield 1
        return body()

    going = items()
    assert next(going) == 1
    return by_hand(going)


def thrown_into_a_generator(tape: Tape, run: Run, body: Body) -> Any:
    @run.step("pack")
    def items() -> Generator[int, None, None]:
        yield 1

    going = items()
    next(going)
    try:
        value = body()
    except BaseException as error:
        return going.throw(error)
    by_hand(going)
    return value


def coroutine_function(tape: Tape, run: Run, body: Body) -> Any:
    return by_hand(run.step("pack", functools.partial(slowly, body)))


def returned_coroutine(tape: Tape, run: Run, body: Body) -> Any:
    return by_hand(run.step("pack", lambda: slowly(body)))


def decorated_coroutine_function(tape: Tape, run: Run, body: Body) -> Any:
    return by_hand(run.step("pack")(slowly)(body))


def async_block(tape: Tape, run: Run, body: Body) -> Any:
    async def work() -> Any:
        async with run.step("pack"):
            return await slowly(body)

    return by_hand(work())


def async_generator(tape: Tape, run: Run, body: Body) -> Any:
    @run.step("pack")
    async def items() -> AsyncGenerator[Any, None]:
        yield 1
        yield body()

    async def work() -> list[Any]:
        return [item async for item in items()]

    return by_hand(work())[1]


async def slowly(body: Body) -> Any:
    await asyncio.sleep(0)
    return body()


def by_hand(going: Any) -> Any:
    """Drives a coroutine or a generator to its end, without a loop that would take what leaves a program for itself."""
    while True:
        try:
            going.send(None)
        except StopIteration as stop:
            return stop.value


FORMS = st.sampled_from(
    [
        *(function, block, decorated, of_current_run, generator, thrown_into_a_generator, coroutine_function),
        *(returned_coroutine, decorated_coroutine_function, async_block, async_generator),
    ]
)


@properties(150)
@given(FORMS, exceptions | exits)
def test_it_is_the_same_object_and_its_record_is_valid(form: Callable[[Tape, Run, Body], Any], made: Made) -> None:
    error = made.error
    notes, suppressed = _own(error)
    tape = Tape()

    def body() -> None:
        raise error

    passed = None
    # Not by `pytest.raises`, and outside of the handler: pytest would look at the exception to show a failure.
    try:
        form(tape, tape.run("checkout"), body)
    except BaseException as caught:
        passed = caught
    assert passed is error, type_name(passed)
    assert _own(error) == (notes, suppressed)
    status = "error" if is_failure(error) else "success"
    assert tape.statuses() == ["running", status]


def _own(error: BaseException) -> tuple[int, object]:
    """What of an error belongs to the code that raised it."""
    state = BaseException.__getattribute__(error, "__dict__")
    return id(state.get("__notes__")), BaseException.__dict__["__suppress_context__"].__get__(error)


@properties(40)
@given(FORMS, anything)
def test_the_value_is_the_same_object(form: Callable[[Tape, Run, Body], Any], given: Given) -> None:
    tape = Tape()
    value = [given.value]
    assert form(tape, tape.run("checkout"), lambda: value) is value
    assert tape.statuses() == ["running", "success"]


@properties(80)
@given(anything | exceptions | exits | metadata)
def test_an_error_that_is_described_by_hand_gives_a_valid_record(given: Given | Made) -> None:
    tape = Tape()
    error = given.error if isinstance(given, Made) else given.value
    for described in (error, {"name": error, "message": error, "stack": error}):
        tape.record_step(flow_key="checkout", run_id="1", step_key="pack", status="error", error=described)
    assert tape.statuses() == ["error", "error"]
