"""An exception of a signal handler at a chosen instruction of a file."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import FrameType
from typing import Any

from tests.opcodes import trace_opcodes


class Limit(BaseException):
    """As the time limit of a worker."""


def interrupted(file: str, at: int, call: Callable[[], object]) -> bool:
    """Call, raise at that instruction of the file, counted from 1, and return whether it was reached.

    On a thread of its own: where a trace function raises at the instruction that leaves an ``except``, CPython has the
    exception be the one being handled on that thread for good.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, _interrupted, file, at, call).result()


def _interrupted(file: str, at: int, call: Callable[[], object]) -> bool:
    left = at

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != file:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise Limit
        return interrupt

    tracing = sys.gettrace()
    trace_opcodes(interrupt)
    try:
        call()
    except Limit:
        return True
    finally:
        sys.settrace(tracing)
    return False
