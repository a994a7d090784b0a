"""The option ``rules``: objects, or a TOML file whose errors name their line."""

import contextlib
import os
import re
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from stat import S_ISDIR, S_ISREG
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.records.rules import StepRule, first_conflict
from failpath_otel.scrubbing.values import clean_text, text_of, type_name

_KEYS: Final = [field.name for field in fields(StepRule)]
_NEEDED: Final = ("flow", "step", "span_name")
_UNKNOWN: Final = "unknown {!r}; rules are [[rules]]"
_HEADER: Final = re.compile(r"\s*\[\[\s*[\"']?rules[\"']?\s*\]\]\s*(#.*)?$")


def check_rules(source: str, given: object) -> tuple[StepRule, ...] | None:
    """Return the rules that an option names; ``None`` if there are none.

    Raises:
        ConfigurationError: the rules cannot work; for a file, with its name and the line.
    """
    if isinstance(given, (str, os.PathLike)):
        path: object = os.fspath(given)
        if isinstance(path, str) and path.strip() and "\0" not in path and len(path) <= limits.MAX_PATH_CHARS:
            return _read(source, path.strip())
    elif isinstance(given, Sequence) and all(isinstance(rule, StepRule) for rule in given):
        rules = tuple(given)
        _check_together(rules, lambda place: f"{source}, rule {place + 1}")
        return rules or None
    msg = f"{source} must be StepRules or the path of a TOML file, got {text_of(given, 80)!r} ({type_name(given)})"
    raise ConfigurationError(msg)


def _read(source: str, path: str) -> tuple[StepRule, ...] | None:
    # Imported on use: most programs have no rules file.
    tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    shown = f"{source}: {clean_text(path, limits.MAX_PATTERN_CHARS)}"
    try:
        path = os.path.expanduser(path)  # noqa: PTH111 - as for the journal
        # A pipe would block; a directory fails in `open`.
        if not S_ISREG(mode := os.stat(path).st_mode) and not S_ISDIR(mode):  # noqa: PTH116
            raise ConfigurationError(f"{shown} cannot be read: it is no file")
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read(limits.MAX_RULES_BYTES + 1)
    except (OSError, UnicodeError) as error:
        msg = f"{shown} cannot be read: {getattr(error, 'strerror', None) or type_name(error)}{_relative_to(path)}"
        raise ConfigurationError(msg) from None
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
    return _RulesFile(shown, text).rules(document)


def _relative_to(path: str) -> str:
    """Return where a relative path was looked for: the program may run in an unexpected directory."""
    if not os.path.isabs(path):  # noqa: PTH117 - as above
        with contextlib.suppress(OSError):  # the directory may be deleted
            return f" (looked for in {clean_text(os.getcwd(), limits.MAX_PATH_CHARS)})"  # noqa: PTH109
    return ""


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


class _RulesFile:
    """A file of rules, and where each rule stands in it."""

    def __init__(self, shown: str, text: str) -> None:
        self._shown = shown
        self._inline = False
        self._lines = text.split("\n")
        self._headers = [number for number, line in enumerate(self._lines) if _HEADER.match(line)]

    def rules(self, document: dict[str, Any]) -> tuple[StepRule, ...] | None:
        for key in document:
            if key != "rules":
                raise self._error(self._line_of(key, 0, len(self._lines)), _UNKNOWN.format(clean_text(key, 80)))
        tables = document.get("rules", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error(self._line_of("rules", 0, len(self._lines)), "rules are [[rules]]")
        if len(self._headers) != len(tables):  # inline tables, whose lines are unknown
            self._headers = [self._line_of("rules", 0, len(self._lines))] * len(tables)
            self._inline = True
        rules = tuple(self._rule(place, table) for place, table in enumerate(tables))
        _check_together(rules, lambda place: f"{self._shown}, {self._position_of(place)}")
        return rules or None

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
        try:
            return StepRule(**table)
        except ConfigurationError as error:
            key = str(error).partition(" ")[0]
            raise self._error(self._line_of(key, start, end), str(error)) from None

    def _start(self, place: int) -> int:
        return self._headers[place] if place < len(self._headers) else len(self._lines)

    def _position_of(self, place: int) -> str:
        return f"line {self._start(place) + 1}{f' (rule {place + 1})' if self._inline else ''}"

    def _line_of(self, key: str, start: int, end: int) -> int:
        says = re.compile(rf"""\s*(\[\[?\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
        return next((number for number in range(start, end) if says.match(self._lines[number])), start)

    def _error(self, number: int, message: str) -> ConfigurationError:
        return ConfigurationError(f"{self._shown}, line {min(number + 1, len(self._lines))}: {message}")


def _check_together(rules: Sequence[StepRule], where: Any) -> None:  # noqa: ANN401 - a function of a place
    if len(rules) > limits.MAX_RULES:
        msg = f"{where(limits.MAX_RULES)}: there are {len(rules)} rules, and can be {limits.MAX_RULES}"
        raise ConfigurationError(msg)
    conflict = first_conflict(rules)
    if conflict is not None:
        earlier, later = conflict
        one, other = rules[earlier], rules[later]
        raise ConfigurationError(
            f"{where(later)}: two rules for one span: {other.span_name!r} of scope {other.scope!r}, and"
            f" {one.span_name!r} of scope {one.scope!r} ({where(earlier).rpartition(', ')[2]})"
        )
