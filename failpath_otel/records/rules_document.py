"""Rules as TOML: where each rule stands, and what is wrong there."""

import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import import_module
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.records.rules import StepRule
from failpath_otel.scrubbing.values import clean_text

_KEYS: Final = [field.name for field in fields(StepRule)]
_NEEDED: Final = ("flow", "step", "span_name")
_UNKNOWN: Final = "unknown {!r}; rules are [[rules]]"
_HEADER: Final = re.compile(r"\s*\[\[\s*[\"']?rules[\"']?\s*\]\]\s*(#.*)?$")


OnError = Callable[[ConfigurationError], object]
"""Takes what is wrong with one rule."""


def read_rules(
    shown: str, data: bytes, on_error: OnError | None = None
) -> "tuple[tuple[StepRule, ...], RulesDocument]":
    """Return the rules in the contents of a file, and where they stand.

    Args:
        shown: names the file in errors.
        data: the contents.
        on_error: called for each rule that cannot work, which is left out; without it, the first one is raised.

    Raises:
        ConfigurationError: the contents are too long, no TOML, or have a rule that cannot work; with the line.
    """
    # Imported on use: most programs have no rules file.
    tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    if len(data) > limits.MAX_RULES_BYTES:
        raise ConfigurationError(f"{shown} has more than {limits.MAX_RULES_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown}, line {data.count(10, 0, error.start) + 1}: not UTF-8") from None
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not all are tomllib's own
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else _line_of_fault(text, tomllib)
        reason = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
        raise ConfigurationError(f"{shown}, line {line}: not TOML: {clean_text(reason, 200)}") from None
    places = RulesDocument(shown, text)
    return places.rules(document, on_error), places


def _line_of_fault(text: str, tomllib: Any) -> int:  # noqa: ANN401 - a module
    lines = text.rstrip("\n").split("\n")

    def fails(count: int) -> bool:
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            return False  # the text goes on
        except (ValueError, RecursionError):
            return True
        return False

    return min(bisect_left(range(len(lines)), True, key=fails), len(lines))  # noqa: FBT003 - what is looked for


class RulesDocument:
    """A file of rules, and where each rule stands in it.

    Args:
        shown: names the file in errors.
        text: what is in it.
    """

    def __init__(self, shown: str, text: str) -> None:
        self._shown = shown
        self._inline = False
        self._lines = text.split("\n")
        self._headers = [number for number, line in enumerate(self._lines) if _HEADER.match(line)]

    def rules(self, document: dict[str, Any], on_error: OnError | None = None) -> tuple[StepRule, ...]:
        """Return the rules of *document*, which is the text as TOML has it; ``on_error`` as for :func:`read_rules`.

        Raises:
            ConfigurationError: a rule cannot work; with the line.
        """
        for key in document:
            if key != "rules":
                raise self._error(self._line_of(key, 0, len(self._lines)), _UNKNOWN.format(clean_text(key, 80)))
        tables = document.get("rules", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error(self._line_of("rules", 0, len(self._lines)), "rules are [[rules]]")
        if len(self._headers) != len(tables):  # inline tables, whose lines are unknown
            self._headers = [self._line_of("rules", 0, len(self._lines))] * len(tables)
            self._inline = True
        rules: list[StepRule] = []
        for place, table in enumerate(tables):
            try:
                rules.append(self._rule(place, table))
            except ConfigurationError as error:
                if on_error is None:
                    raise
                on_error(error)
        return tuple(rules)

    def _rule(self, place: int, table: dict[str, Any]) -> StepRule:
        start, end = self._start(place), self._start(place + 1)
        if self._inline:
            try:
                return self._checked(table, start, start)
            except ConfigurationError as error:
                raise ConfigurationError(f"{error} (rule {place + 1})") from None
        return self._checked(table, start, end)

    def _checked(self, table: dict[str, Any], start: int, end: int) -> StepRule:
        for key in table:
            if key not in _KEYS:
                message = f"unknown key {clean_text(key, 80)!r}; a rule has {', '.join(_KEYS)}"
                raise self._error(self._line_of(key, start, end), message)
        for key in _NEEDED:
            if key not in table:
                raise self._error(start, f"the rule has no {key}")
        where = table.get("where")
        if isinstance(where, dict):
            table = {**table, "where": dict(_dotted(where))}
        try:
            return StepRule(**table)
        except ConfigurationError as error:
            key = str(error).partition(" ")[0]
            raise self._error(self._line_of(key, start, end), str(error)) from None

    def _start(self, place: int) -> int:
        return self._headers[place] if place < len(self._headers) else len(self._lines)

    def position_of(self, place: int) -> str:
        """Return where a rule is, in words."""
        return f"{self._shown}, line {self._start(place) + 1}{f' (rule {place + 1})' if self._inline else ''}"

    def line_of(self, place: int, key: str) -> int:
        """Return the line of a key of a rule, from 1."""
        return self._line_of(key, self._start(place), self._start(place if self._inline else place + 1)) + 1

    def _line_of(self, key: str, start: int, end: int) -> int:
        says = re.compile(rf"""\s*(\[\[?\s*(rules\.)?)?["']?{re.escape(key)}["']?\s*[=.\]]""")
        return next((number for number in range(start, end) if says.match(self._lines[number])), start)

    def _error(self, number: int, message: str) -> ConfigurationError:
        return ConfigurationError(f"{self._shown}, line {min(number + 1, len(self._lines))}: {message}")


def _dotted(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of a table by their whole names: TOML makes tables of a name with dots and no quotes."""
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
