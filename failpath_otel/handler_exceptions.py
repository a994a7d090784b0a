"""Exceptions that signal handlers raise: they belong to the application, wherever in our code they come up."""

import signal
import sys
from collections.abc import Iterator
from inspect import CO_VARARGS
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any, Final


def reraise_if_from_handler(error: BaseException | None) -> None:
    """Raise *error* again if a signal handler raised it, as the time limits of Celery, RQ and Airflow do.

    For code that catches what samplers, span processors and objects of the application raise. An exception of a handler
    comes between any two instructions of the main thread, so also there.
    """
    if error is not None and is_from_handler(error):
        try:
            raise error
        finally:
            del error  # or the frame and the exception would keep each other alive


def is_from_handler(error: BaseException) -> bool:
    """Return whether a signal handler raised *error* inside the block that the caller caught it from."""
    trace = error.__traceback__
    try:
        frames = () if trace is None else tuple(_frames_below(trace))
        if any(map(_is_called_as_handler, frames)):
            return True
        codes = _codes_of_handlers() if frames else ()
        return any(frame.f_code in codes for frame in frames)
    except (MemoryError, RecursionError):  # raised while looking
        return False


def _frames_below(trace: TracebackType) -> Iterator[FrameType]:
    """Yield the frames of a traceback, without that of the code that caught it."""
    below = trace.tb_next
    while below is not None:
        yield below.tb_frame
        below = below.tb_next


def _codes_of_handlers() -> set[CodeType]:
    """Return the code of every installed handler that is written in Python, without those of real-time signals."""
    return {code for number in range(1, _SIGNALS) if (code := _code_of(_getsignal(number))) is not None}


def _code_of(handler: object) -> CodeType | None:
    if not callable(handler):
        return None  # a constant, as SIG_DFL
    given: Any = handler
    try:
        # Unwrap `functools.partial`, bound methods and callable objects.
        given = getattr(given, "func", given)
        given = getattr(given, "__func__", given)
        code = getattr(given, "__code__", None) or getattr(type(given).__call__, "__code__", None)
    except Exception as error:
        # Not `reraise_if_from_handler`, which would recurse without end.
        trace = error.__traceback__
        if trace is not None and any(map(_is_called_as_handler, _frames_below(trace))):
            raise
        return None  # a handler may be any object of the application
    return code if isinstance(code, CodeType) else None


def _is_called_as_handler(frame: FrameType) -> bool:
    """Return whether *frame* was called as handlers are: with a signal number and the frame that it interrupts.

    A handler that uninstalls itself before it raises is not among those that are installed.
    """
    code, back = frame.f_code, frame.f_back
    if back is None:
        return False
    names = code.co_varnames[: code.co_argcount]
    values = frame.f_locals
    given = [values.get(name) for name in names]
    if code.co_flags & CO_VARARGS:
        rest = values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
        given.extend(rest if type(rest) is tuple else ())  # the code may have rebound the name
    return any(interrupted is back and type(number) is int for number, interrupted in pairwise(given))


_getsignal: Final = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)
"""What ``signal.getsignal`` calls. That wraps each result in an enumeration, which takes far longer."""

_SIGNALS: Final = int(min(signal.NSIG, getattr(signal, "SIGRTMIN", signal.NSIG)))
