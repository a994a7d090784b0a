"""What can only be a programming mistake is said at the call, before anything is recorded or run."""

from collections.abc import Callable
from typing import Any

import pytest

from failpath_otel import Failpath, Run, limits
from tests.recording import FLOW, RUN_ID, Recording, identity

Call = Callable[[Failpath, Run, Any], Any]


def never() -> None:
    raise AssertionError("the function was called")


async def never_async() -> None:
    raise AssertionError("the function was called")


STEP_CALLS: dict[str, Call] = {
    "step(fn)": lambda _, run, key: run.step(key, never),
    "step(async fn)": lambda _, run, key: run.step(key, never_async),
    "step()": lambda _, run, key: run.step(key),
    "skip": lambda _, run, key: run.skip(key),
    "@failpath.step": lambda failpath, _, key: failpath.step(key),
    "record_step": lambda failpath, _, key: failpath.record_step(
        flow_key=FLOW, run_id=RUN_ID, step_key=key, status="success"
    ),
}
FLOW_CALLS: dict[str, Call] = {
    "run": lambda failpath, _, key: failpath.run(key),
    "record_step": lambda failpath, _, key: failpath.record_step(
        flow_key=key, run_id=RUN_ID, step_key="pack", status="success"
    ),
}
EVERY_CALL = [("step_key", name, call) for name, call in STEP_CALLS.items()] + [
    ("flow_key", name, call) for name, call in FLOW_CALLS.items()
]
every_call = pytest.mark.parametrize(
    ("argument", "call"),
    [(a, c) for a, _, c in EVERY_CALL],
    ids=[f"{argument} of {name}" for argument, name, _ in EVERY_CALL],
)


class NoText:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@every_call
@pytest.mark.parametrize("given", [None, 1, b"pack", ["pack"], NoText()], ids=["None", "int", "bytes", "list", "bad"])
def test_a_key_that_is_no_string_is_a_type_error_that_says_what_was_given(
    run: Run, recording: Recording, argument: str, call: Call, given: object
) -> None:
    with pytest.raises(TypeError, match=f"{argument} must be a non-empty string, got .*{type(given).__name__}"):
        call(recording.failpath, run, given)

    assert recording.started() == []


@every_call
def test_an_empty_key_is_a_value_error(run: Run, recording: Recording, argument: str, call: Call) -> None:
    with pytest.raises(ValueError, match=f"{argument} must be a non-empty string, got ''"):
        call(recording.failpath, run, "")

    assert recording.started() == []


@every_call
def test_a_key_that_is_too_long_is_a_value_error(run: Run, recording: Recording, argument: str, call: Call) -> None:
    given = "x" * (limits.MAX_KEY_CHARS + 1)
    with pytest.raises(ValueError, match=f"{argument} must have at most {limits.MAX_KEY_CHARS} characters, got 201"):
        call(recording.failpath, run, given)

    assert recording.started() == []


@pytest.mark.parametrize("key", ["x" * limits.MAX_KEY_CHARS, "schön ✓", " ", "a.b/c"])
def test_every_other_key_is_kept_as_it_is(recording: Recording, key: str) -> None:
    recording.failpath.run(key, run_id=RUN_ID).step(key, lambda: None)

    assert identity(recording.only()) == (key, RUN_ID, key)
    assert recording.only().name == key


def test_a_key_with_surrogates_becomes_encodable_text(recording: Recording) -> None:
    recording.failpath.run("flow\udcff").step("step\udcff", lambda: None)

    for text in identity(recording.only()):
        text.encode("utf-8")


def test_a_key_of_a_string_type_is_taken_as_a_plain_string(run: Run, recording: Recording) -> None:
    class Key(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "other"

    run.step(Key("pack"), lambda: None)

    assert identity(recording.only())[2] == "pack"


@pytest.mark.parametrize("given", [1, "text", object(), None], ids=["int", "text", "object", "none"])
def test_a_function_that_cannot_be_called_is_a_type_error(run: Run, recording: Recording, given: Any) -> None:
    with pytest.raises(TypeError, match=f"fn must be a function, not its result: got {type(given).__name__}; "):
        run.step("pack", given)

    assert recording.started() == []


@pytest.mark.parametrize(
    "given", [staticmethod(len), property(len), int, 7], ids=["static", "property", "class", "int"]
)
def test_what_is_no_function_cannot_be_decorated(run: Run, given: Any) -> None:
    with pytest.raises(TypeError, match="a step decorates a function, got"):
        run.step("pack")(given)


def test_a_decorator_without_its_key_says_how_it_is_written(run: Run) -> None:
    step: Any = run.step
    with pytest.raises(TypeError, match=r'decorate with @run.step\("step_key"\)'):

        @step  # type: ignore[untyped-decorator]
        def pack() -> None: ...


def test_an_unknown_status_is_a_value_error_that_names_those_allowed(recording: Recording) -> None:
    status: Any = "done"
    with pytest.raises(ValueError, match="status must be one of running, success, error, skipped, got 'done'"):
        recording.failpath.record_step(flow_key=FLOW, run_id=1, step_key="pack", status=status)

    assert recording.started() == []


def test_a_status_that_is_no_string_is_a_type_error(recording: Recording) -> None:
    status: Any = 1
    with pytest.raises(TypeError, match="status must be one of running, success, error, skipped, got '1'"):
        recording.failpath.record_step(flow_key=FLOW, run_id=1, step_key="pack", status=status)

    assert recording.started() == []
