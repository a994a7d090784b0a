"""The stack of an error: the application's frames and those of its libraries, and none of this package."""

import asyncio
import builtins
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import failpath_otel
from tests.recording import Recording, exception
from tests.steps.forms import FORMS, Form

PACKAGE = str(Path(failpath_otel.__file__).parent)
ExceptionGroup: Any = getattr(builtins, "ExceptionGroup", None)  # since Python 3.11


class DeclinedError(Exception):
    """What goes wrong in these tests."""


def decline() -> None:
    raise DeclinedError("no")


def stack_of(recording: Recording, step_key: str) -> str:
    stack: str = exception(recording.named(step_key))["exception.stacktrace"]
    return stack


def check(stack: str, *, last: str = "decline") -> None:
    assert PACKAGE not in stack
    assert f", in {last}\n" in stack
    assert stack.startswith(("Traceback (most recent call last):\n", "  + Exception Group Traceback"))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_stack_of_every_form_of_a_step_has_no_frame_of_this_package(recording: Recording, form: Form) -> None:
    with pytest.raises(DeclinedError):
        form(recording.failpath, recording.run(), "charge", decline)

    check(stack_of(recording, "charge"))


def _caused() -> None:
    try:
        decline()
    except DeclinedError as error:
        raise LookupError("outer") from error


def _in_context() -> None:
    try:
        decline()
    except DeclinedError:
        raise LookupError("outer")  # noqa: B904 - that is what is shown


def _grouped() -> None:
    errors = []
    for _ in range(2):
        try:
            _caused()
        except LookupError as error:
            errors.append(error)
    raise ExceptionGroup("both", errors)


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(_caused, id="cause"),
        pytest.param(_in_context, id="context"),
        pytest.param(
            _grouped,
            id="group",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no exception groups yet"),
        ),
    ],
)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_nor_have_those_of_its_cause_its_context_and_its_members(
    recording: Recording, form: Form, fail: Callable[[], None]
) -> None:
    """Each of them has come through steps of its own."""
    run = recording.run()

    def outer() -> None:
        try:
            run.step("inner", fail)
        except Exception as error:
            raise RuntimeError("of the outer step") from error

    with pytest.raises(RuntimeError):
        form(recording.failpath, run, "charge", outer)

    stack = stack_of(recording, "charge")
    check(stack)
    check(stack, last="outer")
    assert stack.endswith("RuntimeError: of the outer step\n")


def test_nor_has_that_of_a_group_with_more_members_than_are_formatted(recording: Recording) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python has no exception groups yet")
    run = recording.run()

    def outer() -> None:
        def fail() -> None:
            raise ExceptionGroup("many", [ValueError(number) for number in range(1_000)])

        run.step("inner", fail)

    with pytest.raises(ExceptionGroup):
        run.step("charge", outer)

    assert PACKAGE not in stack_of(recording, "charge")
    assert ", in outer\n" in stack_of(recording, "charge")


def test_steps_inside_of_each_other_leave_the_frames_of_the_application_in_their_order(recording: Recording) -> None:
    run = recording.run()

    @run.step("second")
    def second() -> Generator[int, None, None]:
        yield 1
        decline()

    @run.step("first")
    async def first() -> None:
        async with run.step("block"):
            list(second())

    with pytest.raises(DeclinedError):
        asyncio.run(first())

    for step_key in ("first", "block"):
        stack = stack_of(recording, step_key)
        check(stack)
        assert [stack.index(f", in {name}\n") for name in ("first", "second", "decline")] == sorted(
            stack.index(f", in {name}\n") for name in ("first", "second", "decline")
        )


def test_an_error_that_is_thrown_into_a_generator_has_no_frame_of_this_package(recording: Recording) -> None:
    run = recording.run()

    @run.step("charge")
    async def work() -> AsyncGenerator[int, None]:
        yield 1

    async def main() -> None:
        generator = work()
        await anext(generator)
        await generator.athrow(DeclinedError("no"))

    with pytest.raises(DeclinedError):
        asyncio.run(main())

    assert PACKAGE not in stack_of(recording, "charge")
    assert ", in work\n" in stack_of(recording, "charge")


def test_an_error_recorded_by_hand_has_no_frame_of_this_package(recording: Recording) -> None:
    try:
        recording.run().step("inner", decline)
    except DeclinedError as error:
        recording.failpath.record_step(flow_key="f", run_id="r", step_key="charge", status="error", error=error)

    check(stack_of(recording, "charge"))


def test_the_span_of_a_run_shows_no_frame_of_this_package(recording: Recording) -> None:
    with pytest.raises(DeclinedError), recording.run() as run:
        run.step("charge", decline)

    check(stack_of(recording, "checkout"))


def test_files_of_others_whose_names_begin_alike_stay(recording: Recording) -> None:
    code: dict[str, Any] = {"decline": decline}
    exec(compile("def theirs():\n    decline()\n", f"{PACKAGE}_plugin/theirs.py", "exec"), code)

    with pytest.raises(DeclinedError):
        recording.run().step("charge", code["theirs"])

    assert ", in theirs\n" in stack_of(recording, "charge")


def test_the_exception_itself_keeps_all_its_frames(recording: Recording) -> None:
    with pytest.raises(DeclinedError) as caught:
        recording.run().step("charge", decline)

    assert any(str(entry.path).startswith(PACKAGE) for entry in caught.traceback)
