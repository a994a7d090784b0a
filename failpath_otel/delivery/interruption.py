"""Whether a thread was interrupted in the midst of something: by a signal handler, or by a garbage collection."""

import inspect
from collections.abc import Set as AbstractSet
from types import CodeType


def interrupted_in(codes: AbstractSet[CodeType], target: object) -> bool:
    """Whether a method of ``target`` with one of ``codes`` is under way on this thread, further up the stack.

    For code that would wait for what that method holds up. The stack is looked at, because a lock does not tell who
    holds it, and a note of it would cost every record time.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in codes and frame.f_locals.get("self") is target:
            return True
        frame = frame.f_back
    return False
