"""Whether an exception is that of a signal handler, asked of exceptions and handlers of every kind."""

import gc
import itertools
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from failpath_otel import report
from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.options.options import Options
from failpath_otel.report import exception_once
from failpath_otel.runtime.threads import RealThread, RLock
from failpath_otel.steps.run_end import RunEndFlush


class _Ambiguous:
    """Has no truth value, as an array of NumPy with several items."""

    def __bool__(self) -> bool:
        raise ValueError


def _raise_with(value: object) -> Callable[..., None]:
    def processor(*given: Any) -> None:
        given = value  # type: ignore[assignment]
        raise ZeroDivisionError(given is value)

    return processor


def _caught(function: Callable[..., Any], *given: object) -> BaseException:
    try:
        function(*given)
    except BaseException as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("value", [_Ambiguous(), 5, itertools.count()], ids=["no truth value", "a number", "endless"])
def test_a_fault_of_code_that_has_given_its_arguments_another_value_is_no_exception_of_a_handler(value: object) -> None:
    assert not is_from_handler(_caught(_raise_with(value), "span"))


def test_a_flag_before_the_frame_of_the_caller_is_no_number_of_a_signal() -> None:
    def inspecting(deep: bool, frame: FrameType) -> None:
        raise ZeroDivisionError

    assert not is_from_handler(_caught(inspecting, True, sys._getframe()))


class _Bare:
    """A handler of which nothing can be read."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __call__(self, *_: object) -> None:
        """Does nothing."""


@pytest.fixture
def _bare_handlers() -> Iterator[None]:
    numbers = signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH
    before = [(number, signal.signal(number, _Bare())) for number in numbers]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.usefixtures("_bare_handlers")
def test_handlers_of_which_nothing_can_be_read_are_asked_once_each() -> None:
    answers: list[bool] = []
    error = _caught(_raise_with(None))
    thread = threading.Thread(target=lambda: answers.append(is_from_handler(error)), daemon=True)
    thread.start()
    thread.join(10)
    assert answers == [False]


class TimeLimit(Exception):  # noqa: N818 - as Celery's
    """What the handler raises."""


def _raise(signum: int, frame: FrameType | None) -> None:
    raise TimeLimit


@pytest.fixture
def _limited() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, _raise)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_limited")
def test_what_a_handler_raises_is_not_kept_by_a_cycle_when_it_is_handed_on() -> None:
    def host() -> None:
        try:
            signal.raise_signal(signal.SIGUSR1)
        except TimeLimit:
            exception_once("testing the end of a time limit")

    gc.disable()
    try:
        raised = _caught(host)
        assert isinstance(raised, TimeLimit)
        kept = weakref.ref(raised)
        del raised
        assert kept() is None
    finally:
        gc.enable()


class _Slow(str):
    """A text that is read until the time is over."""

    __slots__ = ()

    def strip(self, *_: Any) -> str:
        signal.raise_signal(signal.SIGUSR1)
        return ""


@pytest.mark.usefixtures("_limited")
def test_a_time_limit_that_comes_as_an_option_is_read_is_no_fault_of_the_option() -> None:
    with pytest.raises(TimeLimit):
        Options.resolve(project_key="fp_project_x", endpoint=_Slow("http://127.0.0.1:9"))


@pytest.mark.usefixtures("_limited")
def test_a_time_limit_that_comes_as_a_thread_begins_reaches_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_start_new_thread" if hasattr(threading, "_start_new_thread") else "_start_joinable_thread"  # from 3.13 on
    begin: Any = getattr(threading, name)
    begun = threading.Event()

    def interrupted(*given: Any, **named: Any) -> None:
        begin(*given, **named)
        assert begun.wait(10)
        signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr(threading, name, interrupted)
    with pytest.raises(TimeLimit):
        RealThread(begun.set, "testing").start()


def test_a_fault_of_ours_where_something_is_dropped_is_logged_and_not_raised_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr(threading.Thread, "start", begun.append)
    monkeypatch.setattr(report, "_logged", set())
    not_whole: Any = RunEndFlush.__new__(RunEndFlush)  # a time limit has come as it was made
    not_whole.__del__()
    assert caplog.records == []
    faulty: Any = RunEndFlush(object(), "key")  # type: ignore[arg-type]
    faulty.__del__()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert begun == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_a_time_limit_that_comes_as_a_lock_is_taken_leaves_it_free() -> None:
    """CPython 3.14 may call a handler once the lock is taken, and before ``with`` would release it."""
    lock = RLock()

    def limit(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, limit)
    try:
        for number in range(100):
            with pytest.raises(TimeoutError):
                signal.setitimer(signal.ITIMER_REAL, 0.000_2 + number / 1e6)
                while True:
                    with lock:
                        pass
            with pytest.raises(RuntimeError):  # it is not held
                lock.release()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
