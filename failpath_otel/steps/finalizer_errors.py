"""Exceptions in a finalizer, where Python prints them and goes on: raised a moment later instead."""

import sys
from functools import partial
from types import CodeType, FrameType
from typing import Any, Final

from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.report import exception_once
from failpath_otel.runtime.threads import RealThread, get_ident, sleep

_SECONDS: Final = 0.001


def raise_later(error: BaseException, finalizer: CodeType) -> None:
    """Raise ``error`` on this thread as soon as it has left the method ``finalizer``, an object's ``__del__``.

    A signal handler that raises, as for a time limit or Ctrl-C, may run inside of it; lost, its exception would never
    end the work that it was to end. A fault of this package is logged and not raised.
    """
    if isinstance(error, Exception) and not is_from_handler(error):
        exception_once("ending what was dropped")
        return
    try:
        RealThread(partial(_raise_on, get_ident(), error, finalizer), "failpath-raise").start()
    except RuntimeError:  # there are no threads left
        exception_once("raising what has interrupted the end of a run")


def _raise_on(thread: int, error: BaseException, finalizer: CodeType) -> None:
    try:
        # Imported on use (decision 0005).
        import ctypes  # noqa: PLC0415

        while (frame := sys._current_frames().get(thread)) is not None:  # noqa: SLF001 - documented
            if not _is_within(frame, finalizer):
                target = ctypes.c_ulong(thread)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(_class_of(error)))
                return
            del frame
            sleep(_SECONDS)
    except Exception:  # noqa: BLE001 - another implementation of Python
        exception_once("raising what has interrupted the end of a run")


def _is_within(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _class_of(error: BaseException) -> type[BaseException]:
    """Return a class whose only instance is ``error``: Python takes only a class here."""
    kind: Any = type(error)
    try:
        return type(kind.__name__, (kind,), {"__new__": lambda *_: error})
    except TypeError:  # it takes no subclass
        return kind  # type: ignore[no-any-return]
