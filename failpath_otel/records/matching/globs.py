"""Patterns with ``*`` for any text and ``?`` for any character."""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Final

Matcher = Callable[[str], object]


def is_literal(glob: str) -> bool:
    """Return whether a pattern has no wildcards."""
    return not set(glob) & set("*?")


def expression(glob: str) -> str:
    """Return the regular expression of a pattern, which takes linear time."""
    return translate(glob.replace("[", "[[]"))  # brackets are literal here


def matcher(glob: str) -> Matcher:
    """Return a function whose result is true for texts that the pattern matches as a whole."""
    return re.compile(expression(glob)).match


class Glob:
    """A pattern that can be compared with others."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self.matches: Final[Matcher] = text.__eq__ if is_literal(text) else matcher(text)

    def overlaps(self, other: "Glob") -> bool:
        """Return whether one of the two patterns matches all that the other matches, as far as their texts show it."""
        return self.covers(other) or other.covers(self)

    def covers(self, other: "Glob") -> bool:
        """Return whether this pattern matches all that *other* matches, as far as their texts show it."""
        # A pattern that matches the other pattern's text matches everything that the other matches.
        return bool(self.matches(other.text))


class Wildcards:
    """What the wildcards of a pattern stand for in a text that it matches."""

    def __init__(self, glob: str) -> None:
        self.count: Final = sum(map(glob.count, "*?"))
        # Backtracks without end in a text that does not match: `expression` has to match it before.
        parts = (_CAPTURES.get(part) or re.escape(part) for part in re.split(r"([*?])", glob))
        self._fullmatch: Final = re.compile("".join(parts), re.DOTALL).fullmatch

    def captured(self, text: str) -> tuple[str, ...]:
        """Return the texts of the wildcards, in order; each ``*`` takes as little as it can."""
        found = self._fullmatch(text) if self.count else None
        return () if found is None else found.groups()


_CAPTURES: Final = {"*": "(.*?)", "?": "(.)"}
