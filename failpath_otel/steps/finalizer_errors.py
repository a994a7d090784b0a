"""Exceptions that come where Python prints them and goes on, and are raised a moment later instead."""

import sys
from functools import partial
from types import CodeType, FrameType
from typing import Any, Final

from failpath_otel.report import exception_once
from failpath_otel.runtime.signals import is_from_handler
from failpath_otel.runtime.threads import RealThread, get_ident, sleep

_SECONDS: Final = 0.001


def raise_later(error: BaseException, finalizer: CodeType) -> None:
    """Raises ``error`` on this thread as soon as it has left the method ``finalizer``, an object's ``__del__``.

    A time limit or Ctrl-C may come in there, by a signal handler that raises. Lost, it would never end what it was to
    end. A fault of ours, which the application does not wait for, is reported and goes no further.
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
        # Here, because it takes a while to import, and is hardly ever needed.
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
    """A class whose only instance is ``error``: Python takes nothing but a class here."""
    kind: Any = type(error)
    try:
        return type(kind.__name__, (kind,), {"__new__": lambda *_: error})
    except TypeError:  # it takes no subclass
        return kind  # type: ignore[no-any-return]
