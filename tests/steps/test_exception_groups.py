"""An ``ExceptionGroup`` is one error that lists its leaves."""

import builtins
from collections.abc import Callable
from typing import Any

import pytest

from failpath_otel import Run, limits
from tests.recording import Recording, exception, lifecycle, otel_status, outcome

# By their names, because Python 3.10 has neither.
Group: Any = getattr(builtins, "ExceptionGroup", None)
BaseGroup: Any = getattr(builtins, "BaseExceptionGroup", None)

pytestmark = pytest.mark.skipif(Group is None, reason="ExceptionGroup came with Python 3.11")


def raising(error: BaseException) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


def test_a_group_lists_its_leaves_however_deep(run: Run, recording: Recording) -> None:
    error = Group("two things", [ValueError("a"), Group("inner", [KeyError("b"), OSError("c")])])

    with pytest.raises(Group) as caught:
        run.step("pack", raising(error))

    assert caught.value is error
    span = recording.only()
    assert (outcome(span), lifecycle(span), otel_status(span)) == ("error", ["running", "error"], "ERROR")
    assert exception(span)["exception.type"] == "ExceptionGroup"
    assert exception(span)["exception.message"].endswith("ValueError: a; KeyError: 'b'; OSError: c")


def test_a_group_of_a_thousand_leaves_is_capped(run: Run, recording: Recording) -> None:
    with pytest.raises(Group):
        run.step("pack", raising(Group("many", [ValueError("x" * 1000) for _ in range(1000)])))

    assert len(exception(recording.only())["exception.message"]) <= limits.MAX_ERROR_MESSAGE_CHARS


def test_a_group_of_base_exceptions_is_an_error(run: Run, recording: Recording) -> None:
    with pytest.raises(BaseGroup):
        run.step("pack", raising(BaseGroup("stop", [KeyboardInterrupt()])))

    assert outcome(recording.only()) == "error"


def test_a_group_given_by_hand_lists_its_leaves(recording: Recording) -> None:
    error = Group("two", [ValueError("a"), KeyError("b")])
    recording.failpath.record_step(flow_key="f", run_id="1", step_key="pack", status="error", error=error)

    assert "ValueError: a; KeyError: 'b'" in exception(recording.only())["exception.message"]
