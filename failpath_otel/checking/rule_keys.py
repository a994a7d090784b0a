"""The keys in files of rules."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from failpath_otel.checking.files.place import Place
from failpath_otel.checking.files.source import Source, SourceError
from failpath_otel.errors import ConfigurationError
from failpath_otel.records.matching.templates import Template
from failpath_otel.records.rules import StepRule
from failpath_otel.records.rules_document import RulesDocument, read_rules

_LOOKS_LIKE_RULES: Final = re.compile(rb"^\s*(\[\[\s*rules\s*\]\]|rules\s*=)", re.MULTILINE)
_WITH_LINE: Final = re.compile(r", line (\d+): (.*)", re.DOTALL)


class RuleKeys(NamedTuple):
    """The templates of the keys of one rule, and where they are."""

    flow: Template
    flow_place: Place
    step: Template
    step_place: Place
    source: Source


def is_rules_file(source: Source) -> bool:
    """Return whether a file of TOML has rules."""
    return _LOOKS_LIKE_RULES.search(source.data) is not None and b"span_name" in source.data


def read_rule_keys(source: Source) -> list[RuleKeys]:
    """Return the keys of all rules in a file.

    Raises:
        SourceError: the rules cannot work.
    """
    shown = str(source.path)
    try:
        rules, document = read_rules(shown, source.data)
    except ConfigurationError as error:
        text = str(error).removeprefix(shown)
        found = _WITH_LINE.fullmatch(text)
        place = Place(shown, int(found[1])) if found else Place(shown)
        raise SourceError(place, found[2] if found else text.lstrip(": ")) from None
    lines = source.data.decode("utf-8-sig").split("\n")
    return [_keys(source, document, place, rule, lines) for place, rule in enumerate(rules)]


def _keys(source: Source, document: RulesDocument, place: int, rule: StepRule, lines: list[str]) -> RuleKeys:
    flow, step = (_place(source.path, document, place, key, lines) for key in ("flow", "step"))
    return RuleKeys(Template(rule.flow), flow, Template(rule.step), step, source)


def _place(path: Path, document: RulesDocument, place: int, key: str, lines: list[str]) -> Place:
    line = document.line_of(place, key)
    found = re.search(rf"""["']?\b{key}\b["']?\s*=\s*""", lines[line - 1])
    return Place(str(path), line, found.end() + 1 if found else 1)
