"""Exceptions of the application that misbehave themselves: the step ends, and they pass untouched."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from failpath_otel import Run
from failpath_otel.scrubbing.values import type_name
from tests.recording import Recording, exception, lifecycle, otel_status, outcome


class NoText(Exception):  # noqa: N818 - a name that says what it is
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NoMembers(Exception):  # noqa: N818 - as above
    @property
    def exceptions(self) -> tuple[BaseException, ...]:
        raise RuntimeError("no members")


class NoAttribute(Exception):  # noqa: N818 - as above
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attribute")


class NoName(type):
    """A metaclass whose classes have no readable names."""

    def __getattribute__(cls, name: str) -> Any:
        if name in {"__name__", "__qualname__", "__module__"}:
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=NoName):  # noqa: N818 - as above
    pass


class NoCode(SystemExit):
    @property
    def code(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no code")


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("incomparable")

    def __ne__(self, other: object) -> bool:
        raise RuntimeError("incomparable")

    __hash__ = None  # type: ignore[assignment]


HOSTILE: list[Callable[[], BaseException]] = [NoText, NoMembers, NoCode, lambda: SystemExit(Incomparable())]
hostile = pytest.mark.parametrize("make", HOSTILE, ids=["no text", "no members", "no code", "incomparable code"])
MUTE: list[Callable[[], BaseException]] = [NoAttribute, Nameless]
mute = pytest.mark.parametrize("make", MUTE, ids=["no attribute", "no name"])


def raising(error: BaseException) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


@hostile
def test_a_step_ends_as_an_error_and_hands_on_the_hostile_exception(
    run: Run, recording: Recording, make: Callable[[], BaseException]
) -> None:
    error = make()

    with pytest.raises(type(error)) as caught:
        run.step("pack", raising(error))

    assert caught.value is error
    assert error.__context__ is None
    span = recording.only()
    assert (outcome(span), lifecycle(span), otel_status(span)) == ("error", ["running", "error"], "ERROR")
    assert exception(span)["exception.type"].endswith(type(error).__name__)


@mute
def test_a_step_ends_as_an_error_whose_exception_cannot_be_read(
    run: Run, recording: Recording, make: Callable[[], BaseException]
) -> None:
    error = make()

    passed: BaseException | None = None
    # Not by `pytest.raises`, and outside of the handler: the report of a failure would read the exception.
    try:
        run.step("pack", raising(error))
    except Exception as caught:
        passed = caught

    assert passed is error, type_name(passed)
    assert outcome(recording.only()) == "error"


@hostile
def test_the_span_of_a_run_ends_as_an_error_too(recording: Recording, make: Callable[[], BaseException]) -> None:
    error = make()

    with pytest.raises(type(error)) as caught, recording.run():
        raise error

    assert caught.value is error
    assert otel_status(recording.only()) == "ERROR"


def test_an_exception_without_a_text_says_so_instead(run: Run, recording: Recording) -> None:
    with pytest.raises(NoText):
        run.step("pack", raising(NoText()))

    assert "RuntimeError" in exception(recording.only())["exception.message"]


def test_an_exception_with_surrogates_is_recorded_as_encodable_text(run: Run, recording: Recording) -> None:
    with pytest.raises(ValueError, match="bad"):
        run.step("pack", raising(ValueError("bad \udcff")))

    for text in exception(recording.only()).values():
        text.encode("utf-8")


@pytest.mark.process
def test_an_exception_that_is_a_member_of_itself_ends_its_step() -> None:
    program = """
from failpath_otel import Failpath
from opentelemetry.sdk.trace import TracerProvider

class Own(Exception):
    @property
    def exceptions(self):
        return (self,)

def work():
    raise Own

try:
    Failpath(tracer_provider=TracerProvider()).run("checkout").step("pack", work)
except Own:
    print("passed")
"""
    # In a process of its own, because a loop without an end could be stopped in no other way.
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)

    assert ended.stdout == "passed\n", ended.stderr
