"""The report as text and as JSON, without any secret that is known."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from failpath_otel.cli.doctor.finding import Finding, Level
from failpath_otel.cli.doctor.settings import Settings
from failpath_otel.cli.printable import printable
from failpath_otel.cli.terminal import paint
from failpath_otel.scrubbing.text import redact_text
from failpath_otel.scrubbing.values import REDACTED

_COLOURS: Final[Mapping[Level, str]] = {"ok": "32", "note": "2", "warning": "33", "problem": "31"}
_MIN_SECRET_CHARS: Final = 8
"""Shorter keys, as `any` for a local receiver, are no secrets, and are parts of words."""


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks have found."""

    findings: Sequence[Finding]

    @classmethod
    def of(cls, settings: Settings, findings: Sequence[Finding]) -> "Report":
        """Return the report of an examination, in which the project key appears nowhere, whatever quotes it."""
        secrets = _secrets(settings)
        return cls([_discreet(each, secrets) for each in findings])

    def count(self, level: Level) -> int:
        """Return how many findings have this level."""
        return Counter(each.level for each in self.findings)[level]

    def as_text(self, *, colour: bool = False) -> str:
        """Return one line for each finding, with what to do below it; ends in a line break."""
        lines: list[str] = []
        for each in self.findings:
            level = f"{each.level:<7}"
            level = paint(level, _COLOURS[each.level], colour=colour)
            lines.append(f"{level}  {each.check:<13}  {printable(each.text)}")
            if each.advice:
                lines.append(f"{'':24}-> {printable(each.advice)}")
        problems, warnings = self.count("problem"), self.count("warning")
        counted = [
            f"{number} {word}{'s' * (number > 1)}"
            for number, word in ((problems, "problem"), (warnings, "warning"))
            if number
        ]
        lines.append(" and ".join(counted) if counted else "nothing is wrong")
        return "".join(f"{line}\n" for line in lines)

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "ok": not self.count("problem"),
            "problems": self.count("problem"),
            "warnings": self.count("warning"),
            "checks": [asdict(each) for each in self.findings],
        }


def without_secrets(text: str, settings: Settings) -> str:
    """Return a text that is shown beside the report, as it would be in it."""
    return printable(_clean(text, _secrets(settings)))


def _secrets(settings: Settings) -> list[str]:
    keys = {str(settings.values["project_key"] or ""), os.environ.get("FAILPATH_PROJECT_KEY", "").strip()}
    return sorted((key for key in keys if len(key) >= _MIN_SECRET_CHARS), key=len, reverse=True)


def _discreet(finding: Finding, secrets: Sequence[str]) -> Finding:
    facts = _without(finding.facts, secrets)
    return Finding(finding.check, finding.level, _clean(finding.text, secrets), _clean(finding.advice, secrets), facts)


def _without(value: Any, secrets: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return _clean(value, secrets)
    if isinstance(value, Mapping):
        return {name: _without(each, secrets) for name, each in value.items()}
    return [_without(each, secrets) for each in value] if isinstance(value, (list, tuple)) else value


def _clean(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return redact_text(text)
