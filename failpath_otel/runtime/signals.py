"""Exceptions that signal handlers raise: they are the application's, wherever in our code they come."""

import signal
import sys
from collections.abc import Iterator
from inspect import CO_VARARGS
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any, Final


def reraise_if_from_handler(error: BaseException | None) -> None:
    """Raises ``error`` again where a signal handler has raised it, as the time limits of Celery, RQ and Airflow do.

    For code that catches what samplers, span processors and objects of the application raise, which concern no
    other code. An exception of a handler comes between any two instructions of the main thread, so also there.
    """
    if error is not None and is_from_handler(error):
        try:
            raise error
        finally:
            del error  # or this frame and it would keep each other, and all frames in between, alive


def is_from_handler(error: BaseException) -> bool:
    """Whether a signal handler has raised ``error`` since the caller began what it has caught it from."""
    trace = error.__traceback__
    try:
        frames = () if trace is None else tuple(_frames_below(trace))
        if any(map(_is_called_as_handler, frames)):
            return True
        codes = _codes_of_handlers() if frames else ()
        return any(frame.f_code in codes for frame in frames)
    except (MemoryError, RecursionError):  # it has come from there as well
        return False


def _frames_below(trace: TracebackType) -> Iterator[FrameType]:
    """The frames of a traceback but for that of the code that has caught it."""
    below = trace.tb_next
    while below is not None:
        yield below.tb_frame
        below = below.tb_next


def _codes_of_handlers() -> set[CodeType]:
    """The code of every handler that is installed and is written in Python; none has those of real time."""
    return {code for number in range(1, _SIGNALS) if (code := _code_of(_getsignal(number))) is not None}


def _code_of(handler: object) -> CodeType | None:
    if not callable(handler):
        return None  # what stands for the default
    given: Any = handler
    try:
        # What wraps a function names it: `functools.partial`, a bound method, an object that can be called.
        given = getattr(given, "func", given)
        given = getattr(given, "__func__", given)
        code = getattr(given, "__code__", None) or getattr(type(given).__call__, "__code__", None)
    except Exception as error:
        # Not `reraise_if_from_handler`, which would read of the same handlers again, and so on without end.
        trace = error.__traceback__
        if trace is not None and any(map(_is_called_as_handler, _frames_below(trace))):
            raise
        return None  # a handler may be any object of the application
    return code if isinstance(code, CodeType) else None


def _is_called_as_handler(frame: FrameType) -> bool:
    """Whether ``frame`` was called as handlers are: with the number of a signal, and the frame that it interrupts.

    A handler that is called once takes itself away before it raises, and is not among those installed any more.
    """
    code, back = frame.f_code, frame.f_back
    if back is None:
        return False
    names = code.co_varnames[: code.co_argcount]
    values = frame.f_locals
    given = [values.get(name) for name in names]
    if code.co_flags & CO_VARARGS:
        rest = values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
        given.extend(rest if type(rest) is tuple else ())  # the name may stand for anything by now
    return any(interrupted is back and type(number) is int for number, interrupted in pairwise(given))


_getsignal: Final = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)
"""What ``signal.getsignal`` calls. That makes a member of an enumeration of each answer, which takes far longer."""

_SIGNALS: Final = int(min(signal.NSIG, getattr(signal, "SIGRTMIN", signal.NSIG)))
