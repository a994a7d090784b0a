"""Errors as applications raise them, and worse: every way in which an exception can refuse to be described."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from tests.properties.hostile import Closed, Given, Mute, Refusal, Silent, Text, Undecided, anything


class NoText(Exception):  # noqa: N818 - names that say what they are, here and below
    def __str__(self) -> str:
        raise Refusal

    __repr__ = __str__


class NotAText(Exception):  # noqa: N818
    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # noqa: PLE0307 - that is what is wrong with it


class LongText(Exception):  # noqa: N818
    def __str__(self) -> str:
        return "\udc80é" * 300_000


class LyingText(Exception):  # noqa: N818
    def __str__(self) -> str:
        return Text("x")


class NoAttribute(Exception):  # noqa: N818
    def __getattribute__(self, name: str) -> Any:
        raise Refusal(name)


class NoTraceback(Exception):  # noqa: N818
    @property
    def __traceback__(self) -> Any:
        raise Refusal

    @__traceback__.setter
    def __traceback__(self, value: Any) -> None: ...


class NoCause(Exception):  # noqa: N818
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise Refusal

    @property
    def __context__(self) -> Any:  # type: ignore[override]
        raise Refusal


class NoMembers(Exception):  # noqa: N818
    @property
    def exceptions(self) -> Any:
        raise Refusal


class OwnMember(Exception):  # noqa: N818
    @property
    def exceptions(self) -> Any:
        return (self, self, type(self)())


class NoMember(Exception):  # noqa: N818
    exceptions = (1, None)


class Unequal(Exception):  # noqa: N818
    def __eq__(self, other: object) -> bool:
        raise Refusal

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise Refusal


class NoName(type):
    """A metaclass whose classes do not tell their names."""

    def __getattribute__(cls, name: str) -> Any:
        if name in {"__name__", "__qualname__", "__module__"}:
            raise Refusal(name)
        return super().__getattribute__(name)

    def __repr__(cls) -> str:
        raise Refusal


class Nameless(Exception, metaclass=NoName):  # noqa: N818
    pass


class OtherModule(Exception):  # noqa: N818
    __module__ = Undecided()  # type: ignore[assignment]


class NoCode(SystemExit):
    @property
    def code(self) -> Any:  # type: ignore[override]
        raise Refusal


def _with_notes(notes: object) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes  # type: ignore[attr-defined,unused-ignore]
    return error


def _chained(length: int, name: str) -> BaseException:
    first = last = ValueError(0)
    for number in range(length):
        following = ValueError(number)
        setattr(last, name, following)
        last = following
    return first


def _circle(name: str) -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    setattr(first, name, second)
    setattr(second, name, first)
    return first


def _group(depth: int, width: int) -> BaseException:
    error: BaseException = ValueError("leaf")
    if sys.version_info >= (3, 11):
        for _ in range(depth):
            error = ExceptionGroup("group", [error, *(KeyError(number) for number in range(width))])  # noqa: F821
    return error


def _badly_placed() -> BaseException:
    error = SyntaxError("bad", ("file", 3, 4, "text", 5, 6))
    error.lineno = error.offset = error.text = error.end_lineno = Silent()  # type: ignore[assignment]
    return error


def _without_text() -> BaseException:
    error = OSError(2, "x")
    error.filename = Silent()
    error.strerror = Closed()  # type: ignore[assignment]
    return error


Make = Callable[[], BaseException]
_MADE: Final[list[Make]] = [
    *(NoText, NotAText, LongText, LyingText, NoAttribute, NoTraceback, NoCause, NoMembers, OwnMember, NoMember),
    *(Unequal, Nameless, OtherModule, _badly_placed, _without_text, asyncio.TimeoutError),
    *(lambda: ValueError(Silent(), Mute()), lambda: KeyError("x" * 100_000), lambda: Exception(Closed())),
    *(lambda: _with_notes(7), lambda: _with_notes([7, Silent(), Text("x")])),
    *(lambda: _with_notes(["n" * 100_000] * 10), lambda: _chained(300, "__cause__")),
    *(lambda: _chained(3_000, "__context__"), lambda: _circle("__cause__"), lambda: _circle("__context__")),
    *(lambda: _group(2, 2), lambda: _group(60, 60), lambda: _group(3_000, 0), lambda: _group(1, 5_000)),
    *(lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\udcff"), RecursionError, MemoryError),
]


class Made:
    """An error that Hypothesis has chosen, made when it is asked for."""

    def __init__(self, name: str, make: Make) -> None:
        self._name = name
        self.error = make()

    def __repr__(self) -> str:
        return f"Made({self._name})"


def _built(kind: type[BaseException], argument: Given) -> Made:
    return Made(f"{kind.__name__} of {argument!r}", lambda: kind(argument.value))


exceptions: Final = st.sampled_from(range(len(_MADE))).map(
    lambda number: Made(f"_MADE[{number}]", _MADE[number])
) | st.builds(
    _built,
    st.sampled_from([ValueError, KeyError, RuntimeError, OSError, Exception, Refusal]),
    anything,
)
"""Exceptions that an application may raise anywhere."""

_EXITS: Final[list[Make]] = [
    *(KeyboardInterrupt, asyncio.CancelledError, SystemExit, NoCode, lambda: SystemExit(0), lambda: SystemExit(3)),
    *(lambda: SystemExit(Undecided()), lambda: SystemExit("x" * 100_000), lambda: BaseException(Silent())),
]
exits: Final = st.sampled_from(range(len(_EXITS))).map(lambda number: Made(f"_EXITS[{number}]", _EXITS[number]))
"""What leaves a program, or a task."""
