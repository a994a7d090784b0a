"""What a rule asks of the attributes of a span."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, TypeGuard

from failpath_otel import limits
from failpath_otel.records.matching.globs import Matcher, is_literal, matcher
from failpath_otel.records.matching.values import text_of_attribute
from failpath_otel.scrubbing.values import clean_text, text_of, type_name

Expected = str | bool | int | float | Sequence[str | bool | int | float]
"""A pattern for the text of an attribute, a value, or several of these, of which one is enough."""


Verdict = Literal["matches", "differs", "missing"]
"""What the attributes of a span say about a condition; one that is missing may come before the span ends."""


class Conditions(Mapping[str, Expected]):
    """What is expected of attributes, by their names; cannot be changed.

    Raises:
        ValueError: a name or a value cannot be one; the text says why.
    """

    def __init__(self, given: Mapping[Any, object]) -> None:
        if len(given) > limits.MAX_CONDITIONS:
            raise ValueError(f"must have at most {limits.MAX_CONDITIONS} attributes, got {len(given)}")
        self._expected: Final = MappingProxyType({_name(name): _expected(name, value) for name, value in given.items()})
        # `True == 1`, but an attribute that is `True` is not 1.
        self._typed: Final = frozenset((name, repr(value)) for name, value in self._expected.items())

    def __getitem__(self, name: str) -> Expected:
        return self._expected[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._expected)

    def __len__(self) -> int:
        return len(self._expected)

    def __repr__(self) -> str:
        return repr(dict(self._expected))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Conditions):
            return self._typed == other._typed
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._typed)

    def __reduce__(self) -> tuple[object, ...]:
        return Conditions, (dict(self),)


class Condition:
    """What is expected of one attribute.

    Args:
        name: the attribute, or several by ``|``, of which the first that is there counts.
        expected: what it has to be.
    """

    __slots__ = ("_matchers", "_values", "expected", "name", "names")

    def __init__(self, name: str, expected: Expected) -> None:
        self.name: Final = name
        self.expected: Final = expected
        self.names: Final = names_in(name)
        expectations = expected if isinstance(expected, tuple) else (expected,)
        texts = [each for each in expectations if isinstance(each, str)]
        self._values: Final = [each for each in expectations if not isinstance(each, str)]
        # `None` is for `*`: the attribute is there, whatever it is.
        self._matchers: Final[list[Matcher | None]] = [None if text == "*" else _matcher(text) for text in texts]

    def verdict(self, attributes: Mapping[str, Any]) -> Verdict:
        """Return what *attributes* say about it."""
        for name in self.names:
            if name in attributes:
                return "matches" if self.accepts(attributes[name]) else "differs"
        return "missing"

    def accepts(self, value: object) -> bool:
        """Return whether an attribute with this value is what is expected; of a list, whether one of its items is."""
        if None in self._matchers:
            return True
        return any(map(self._accepts, value)) if isinstance(value, (tuple, list)) else self._accepts(value)

    def _accepts(self, value: object) -> bool:
        if self._values and any(_is_same(value, each) for each in self._values):
            return True
        if not self._matchers:
            return False
        text = text_of_attribute(value)[: limits.MAX_NAME_CHARS]
        return any(matches(text) for matches in self._matchers if matches is not None)


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of attributes in a text that separates them by ``|``."""
    return tuple(name.strip() for name in text.split("|"))


def _matcher(text: str) -> Matcher:
    return text.__eq__ if is_literal(text) else matcher(text)


def _is_same(value: object, expected: object) -> bool:
    """Return whether two values are the same number, or the same boolean."""
    return value == expected and isinstance(value, bool) is isinstance(expected, bool)


def _name(name: object) -> str:
    if isinstance(name, str) and len(name) <= limits.MAX_PATTERN_CHARS and name.isprintable() and all(names_in(name)):
        return name
    raise ValueError(
        f"must name attributes by 1 to {limits.MAX_PATTERN_CHARS} printable characters, got {_shown(name)}"
    )


def _expected(name: object, value: object) -> Expected:
    if isinstance(value, (list, tuple)):
        if 0 < len(value) <= limits.MAX_CONDITIONS and all(map(_is_single, value)):
            return tuple(value)
    elif _is_single(value):
        return value
    raise ValueError(
        f"must have for {clean_text(str(name), 80)!r} a text of 1 to {limits.MAX_PATTERN_CHARS} characters, a number,"
        f" a boolean, or 1 to {limits.MAX_CONDITIONS} of these, got {_shown(value)}"
    )


def _is_single(value: object) -> TypeGuard[str | bool | int | float]:
    if isinstance(value, str):
        return 0 < len(value) <= limits.MAX_PATTERN_CHARS
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _shown(value: object) -> str:
    return f"{text_of(value, 80)!r} ({type_name(value)})"
