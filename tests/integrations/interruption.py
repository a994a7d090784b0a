"""An exception of a signal handler at a chosen instruction of a file."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Limit(BaseException):
    """As the time limit of a worker."""


def interrupted(file: str, at: int, call: Callable[[], object]) -> bool:
    """Call, raise at that instruction of the file, counted from 1, and return whether it was reached."""
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
    sys.settrace(interrupt)
    try:
        call()
    except Limit:
        return True
    finally:
        sys.settrace(tracing)
    return False
