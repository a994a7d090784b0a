"""A step's outcome, and its error as span attributes."""

import os
import traceback
from collections.abc import Iterable, Mapping
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE
from typing import Any, Final

from failpath_otel import limits, semconv
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.scrubbing.text import MAX_SCANNED_CHARS, redact_text, redacted_head, redacted_tail
from failpath_otel.scrubbing.values import clean_text, error_text

_MAX_LEAVES = 20
_MAX_MEMBERS = 200
_COROUTINE: Final = CO_COROUTINE | CO_ITERABLE_COROUTINE
_GENERATOR: Final = CO_GENERATOR | CO_ASYNC_GENERATOR
_OUR_FILES: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120 - a prefix


class CoroutineClosed(Exception):  # noqa: N818 - named after the event
    """The error of a step whose coroutine was closed or dropped half way; never raised."""

    __module__ = "failpath_otel"

    def __init__(self) -> None:
        super().__init__("the coroutine was closed before it ended")


class NeverAwaited(Exception):  # noqa: N818 - as above
    """The error of a step whose coroutine was closed or dropped before it was first resumed; never raised."""

    __module__ = "failpath_otel"

    def __init__(self) -> None:
        super().__init__("the coroutine was never awaited, its code has not run")


def is_failure(error: BaseException | None) -> bool:
    """Return whether a block that was left by ``error`` has failed (decision 0006).

    ``SystemExit`` with code 0 or ``None`` is a decision of the program to end well, the ``GeneratorExit`` that closes a
    generator one of the consumer to take no more. Every other exception, ``KeyboardInterrupt`` and
    ``asyncio.CancelledError`` included, is a failure, and so is the ``GeneratorExit`` that closes a coroutine.
    """
    try:
        if error is None:
            return False
        if isinstance(error, GeneratorExit):
            return not _is_raised_in(error, _GENERATOR) or _is_raised_in(error, _COROUTINE)
        return not isinstance(error, SystemExit) or (error.code is not None and bool(error.code != 0))
    except (Exception, SystemExit, GeneratorExit) as raised:  # noqa: BLE001 - an exception of the user's may raise from anything
        reraise_if_from_handler(raised)
        return True


def error_attributes(error: BaseException) -> dict[str, str]:
    """Return ``error`` as the attributes of OpenTelemetry's ``exception`` event, redacted and bounded.

    The stack leaves out the frames of this package, also in the causes of the exception and the members of its group.
    """
    if isinstance(error, GeneratorExit) and _is_raised_in(error, _COROUTINE):
        closed = CoroutineClosed()
        return _attributes(_type_name(type(closed)), str(closed), _stack(error))
    return _attributes(_type_name(type(error)), _message(error), _stack(error))


def described_error_attributes(error: object) -> tuple[dict[str, str], bool]:
    """Return the same for an error that a caller describes, and whether a stack in it is the caller's own text.

    ``error`` is an exception, or a mapping with ``name``, ``message`` and ``stack`` (each optional), or anything else,
    whose text is the message.
    """
    try:
        if isinstance(error, BaseException):
            return error_attributes(error), False
        if not isinstance(error, Mapping):
            text = "" if error is None else error_text(error, limits.MAX_ERROR_MESSAGE_CHARS)
            return _attributes("Error", text, None), False
        name, message, stack = (error.get(field) for field in ("name", "message", "stack"))
    except Exception as raised:  # noqa: BLE001 - an object of the application may raise anything
        reraise_if_from_handler(raised)
        name = message = stack = None
    attributes = _attributes(
        "Error" if name is None else error_text(name, limits.MAX_ERROR_NAME_CHARS),
        "" if message is None else error_text(message, limits.MAX_ERROR_MESSAGE_CHARS),
        None if stack is None else error_text(stack, limits.MAX_STACK_CHARS),
    )
    return attributes, semconv.EXCEPTION_STACKTRACE in attributes


def _is_raised_in(error: BaseException, flags: int) -> bool:
    """Return whether the code that raised ``error``, or was suspended when it was closed, has one of ``flags``."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and bool(trace.tb_frame.f_code.co_flags & flags)


def _attributes(name: str, message: str, stack: str | None) -> dict[str, str]:
    attributes = {semconv.EXCEPTION_TYPE: name, semconv.EXCEPTION_MESSAGE: message}
    if stack:
        attributes[semconv.EXCEPTION_STACKTRACE] = stack
    return attributes


def _type_name(kind: type[BaseException]) -> str:
    module = kind.__module__
    name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    return error_text(name, limits.MAX_ERROR_NAME_CHARS)


def _message(error: BaseException) -> str:
    message = error_text(error, limits.MAX_ERROR_MESSAGE_CHARS)
    leaves = _leaves(error)
    if not leaves:
        return message
    listed = "; ".join(f"{type(leaf).__name__}: {error_text(leaf, 200)}" for leaf in leaves)
    return clean_text(f"{message}: {listed}", limits.MAX_ERROR_MESSAGE_CHARS)


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions at the bottom of an ``ExceptionGroup``; none for any other exception.

    Found by its attribute and not by its type, which Python 3.10 has only as backports of several names.
    """
    leaves: list[BaseException] = []
    pending = [error]
    seen: set[int] = set()
    while pending and len(leaves) < _MAX_LEAVES and len(seen) < _MAX_MEMBERS:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        try:
            members: Any = getattr(current, "exceptions", None)
        except Exception as raised:  # noqa: BLE001 - a property of the user's may raise anything
            reraise_if_from_handler(raised)
            members = None
        if isinstance(members, tuple) and members and all(isinstance(member, BaseException) for member in members):
            pending[:0] = members[:_MAX_MEMBERS]
        elif current is not error:
            leaves.append(current)
    return leaves


def _has_many_members(error: BaseException) -> bool:
    pending: list[Any] = [error]
    for _ in range(_MAX_MEMBERS):
        if not pending:
            return False
        members = getattr(pending.pop(), "exceptions", ())
        if isinstance(members, tuple):
            pending.extend(members[: _MAX_MEMBERS + 1])
    return True


def _formatted(error: BaseException) -> Iterable[str]:
    shown = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    pending: list[Any] = [shown]
    while pending:  # each one occurs once: `TracebackException` leaves out those that it has already
        each = pending.pop()
        each.stack[:] = _without_ours(each.stack)
        members = getattr(each, "exceptions", None) or ()  # before Python 3.11 it has none
        pending += [other for other in (each.__cause__, each.__context__, *members) if other is not None]
    return shown.format()


def _without_ours(frames: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    return [frame for frame in frames if not frame.filename.startswith(_OUR_FILES)]


def _stack(error: BaseException) -> str | None:
    lines: Iterable[str]
    try:
        if _has_many_members(error):
            # Formatting visits every member, also those that it then leaves out.
            frames = _without_ours(traceback.extract_tb(error.__traceback__))
            lines = [*traceback.format_list(frames), f"{_type_name(type(error))}: {_message(error)}\n"]
        else:
            lines = list(_formatted(error))
    except Exception as raised:  # noqa: BLE001 - formatting runs code of the exception, which may raise anything
        reraise_if_from_handler(raised)
        return None
    text = "".join(lines)
    if len(text) <= MAX_SCANNED_CHARS:
        text = redact_text(text)
        head = tail = text
    else:
        head, tail = redacted_head(text), redacted_tail(text)
    if head is tail and len(text) <= limits.MAX_STACK_CHARS:
        return clean_text(text, limits.MAX_STACK_CHARS)
    # The end has the innermost frames and the message, the beginning shows how the program got there.
    mark = f"\n…[{len(text)} characters]\n"
    room = limits.MAX_STACK_CHARS - len(mark)
    tail = tail[-min(len(tail), room - limits.MAX_STACK_CHARS // 4) :]
    return clean_text(head[: room - len(tail)] + mark + tail, limits.MAX_STACK_CHARS)
