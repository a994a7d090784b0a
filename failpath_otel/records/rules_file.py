"""The option ``rules``: objects, presets, and TOML files whose errors name their line."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from stat import S_ISDIR, S_ISREG
from typing import Any, Final
from urllib.parse import parse_qsl

from failpath_otel import limits
from failpath_otel.errors import ConfigurationError
from failpath_otel.records.presets import CHANGES, preset_rules
from failpath_otel.records.rule_conflicts import first_conflict
from failpath_otel.records.rules import StepRule
from failpath_otel.records.rules_document import OnError, read_rules
from failpath_otel.scrubbing.values import clean_text, text_of, type_name

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+(\?.*)?")
"""What can be a preset without the word before it, behind another preset."""


@dataclass(frozen=True)
class RuleSource:
    """Rules of one origin, which are checked against each other.

    Args:
        rules: the rules, in order.
        position_of: says where a rule is.
    """

    rules: tuple[StepRule, ...]
    position_of: Callable[[int], str]

    def check(self) -> None:
        """Raise :class:`ConfigurationError` if one of the rules is in the way of another one."""
        rules = self.rules
        if len(rules) > limits.MAX_RULES:
            raise ConfigurationError(
                f"{self.position_of(limits.MAX_RULES)}: there are {len(rules)} rules, and can be {limits.MAX_RULES}"
            )
        conflict = first_conflict(rules)
        if conflict is not None:
            earlier, later = conflict
            one, other = rules[earlier], rules[later]
            raise ConfigurationError(
                f"{self.position_of(later)}: two rules for one span: {other.span_name!r} of scope {other.scope!r}, and"
                f" {one.span_name!r} of scope {one.scope!r} ({self.position_of(earlier).rpartition(', ')[2]})"
            )


def check_rules(source: str, given: object) -> tuple[StepRule, ...] | None:
    """Return the rules that an option names; ``None`` if there are none.

    Rules of different files and presets can be for one span: the first one applies.

    Raises:
        ConfigurationError: the rules cannot work; for a file, with its name and the line.
    """
    sources = list(rule_sources(source, given))
    for each in sources:
        each.check()
    rules = tuple(rule for each in sources for rule in each.rules)
    if len(rules) > limits.MAX_RULES:
        raise ConfigurationError(f"{source}: there are {len(rules)} rules, and can be {limits.MAX_RULES}")
    return rules or None


def rule_sources(source: str, given: object, on_error: OnError | None = None) -> Iterator[RuleSource]:
    """Yield the rules that an option names, by their origins.

    ``on_error`` is called for each rule in a file that cannot work, which is left out; else the first one is raised.

    Raises:
        ConfigurationError: something is no rule, no preset or no file of rules.
    """
    if path := _path(given):
        yield from _named(source, path, on_error)
    elif isinstance(given, (list, tuple)) and all(isinstance(each, StepRule) or _path(each) for each in given):
        for is_rule, group in groupby(enumerate(given), key=lambda item: isinstance(item[1], StepRule)):
            items = list(group)
            if is_rule:
                yield RuleSource(tuple(each for _, each in items), partial(_numbered, source, items[0][0]))
            else:
                for _, each in items:
                    yield from _named(source, _path(each), on_error)
    else:
        msg = (
            f"{source} must be StepRules or the path of a TOML file or preset:NAME, got {text_of(given, 80)!r}"
            f" ({type_name(given)})"
        )
        raise ConfigurationError(msg)


def _numbered(source: str, first: int, place: int) -> str:
    return f"{source}, rule {first + place + 1}"


def _path(given: object) -> str:
    """Return what can be the path of a file, or several; else an empty text."""
    path: object = os.fspath(given) if isinstance(given, (str, os.PathLike)) else ""
    if not isinstance(path, str) or "\0" in path or len(path) > limits.MAX_PATH_CHARS:
        return ""
    return path.strip() if path.strip(" ,\t\n") else ""


def _named(source: str, text: str, on_error: OnError | None) -> Iterator[RuleSource]:
    """Yield the presets and files that a text names, separated by commas, unless all of it is the path of a file."""
    items = [text] if _exists(text) else [item for part in text.split(",") if (item := part.strip())]
    had_preset = False
    for item in items:
        is_bare = had_preset and _BARE.fullmatch(item) is not None and not _exists(item)
        if is_bare or item.startswith(_PRESET):
            had_preset = True
            yield _preset(source, item.removeprefix(_PRESET).strip())
        else:
            yield _file(source, item, on_error)


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111 - as below


def _preset(source: str, text: str) -> RuleSource:
    """Return the rules of ``NAME``, or of ``NAME?flow=…&run_id=…&max_keys=…``."""
    name, _, query = text.partition("?")
    changes: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := next((key for key in changes if key not in CHANGES), None):
        raise ConfigurationError(
            f"{source}: preset:{clean_text(name, 80)} has no {clean_text(unknown, 80)!r} to be set, only"
            f" {', '.join(CHANGES[:-1])} and {CHANGES[-1]}"
        )
    if (number := changes.get("max_keys", "")).isdecimal():
        changes["max_keys"] = int(number)  # else the rule says what is wrong
    try:
        rules, document = preset_rules(name, **changes)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from None
    return RuleSource(rules, document.position_of)


def _file(source: str, path: str, on_error: OnError | None) -> RuleSource:
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
    rules, document = read_rules(shown, data, on_error)
    return RuleSource(rules, document.position_of)


def _relative_to(path: str) -> str:
    """Return where a relative path was looked for: the program may run in an unexpected directory."""
    if not os.path.isabs(path):  # noqa: PTH117 - as above
        with contextlib.suppress(OSError):  # the directory may be deleted
            return f" (looked for in {clean_text(os.getcwd(), limits.MAX_PATH_CHARS)})"  # noqa: PTH109
    return ""


_PRESET: Final = "preset:"
