"""A trace function that is called at each opcode, on every Python."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def trace_opcodes(trace: Callable[[FrameType, str, object], Any]) -> None:
    """Does what ``sys.settrace`` does, for a function that asks for opcodes by ``f_trace_opcodes``.

    Python 3.12.1 sends those of a function's first call only if a frame has asked for some before.
    """
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
