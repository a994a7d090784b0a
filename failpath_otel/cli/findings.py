"""Findings as text, as JSON, and as annotations of GitHub."""

import json
from collections.abc import Sequence
from typing import Any, Final

from failpath_otel.checking.checker import Checked
from failpath_otel.checking.files.place import Place
from failpath_otel.checking.files.source import SourceError
from failpath_otel.checking.finding import Finding
from failpath_otel.cli.printable import printable

FORMATS: Final = ("text", "json", "github")


def format_findings(checked: Checked, findings: Sequence[Finding], how: str) -> str:
    """Return what a check has found, in one of :data:`FORMATS`."""
    if how == "json":
        # In ASCII, which no terminal is steered by.
        return f"{json.dumps(_document(checked, findings))}\n"
    if how == "github":
        lines = [*map(_annotation_of_error, checked.errors), *map(_annotation, findings)]
    else:
        lines = [*(f"{error.place}: error: {error.reason}" for error in checked.errors), *map(_line, findings)]
    return "".join(f"{printable(line)}\n" for line in lines)


def summary(checked: Checked, findings: Sequence[Finding]) -> str:
    """Return how much was checked, in words."""
    errors = sum(finding.severity == "error" for finding in findings)
    found = f"{_number(errors, 'error')}, {_number(len(findings) - errors, 'warning')}; " if findings else ""
    failed = f"{len(checked.errors)} could not be checked; " if checked.errors else ""
    computed = f", {_number(checked.computed, 'other')} computed when the program runs" if checked.computed else ""
    seen = "" if checked.seen is None else f"; runs of {_number(checked.seen, 'flow')} compared"
    return f"{failed}{found}{_number(checked.keys, 'key')} in {_number(checked.files, 'file')} checked{computed}{seen}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _line(finding: Finding) -> str:
    return f"{finding.place}: {finding.severity}: {finding.message} [{finding.code}]"


def _document(checked: Checked, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "findings": [
            {
                **_place(finding.place),
                "severity": finding.severity,
                "code": finding.code,
                "message": finding.message,
                "flowKey": finding.flow,
                "stepKey": finding.step,
                "suggestion": finding.suggestion,
            }
            for finding in findings
        ],
        "errors": [{**_place(error.place), "message": error.reason} for error in checked.errors],
        "files": checked.files,
        "keys": checked.keys,
        "computed": checked.computed,
    }


def _place(place: Place) -> dict[str, str | int | None]:
    return {"path": place.path, "line": place.line, "column": place.column}


def _annotation(finding: Finding) -> str:
    return _command(finding.severity, finding.place, f"failpath {finding.code}", finding.message)


def _annotation_of_error(error: SourceError) -> str:
    return _command("error", error.place, "failpath", error.reason)


def _command(kind: str, place: Place, title: str, message: str) -> str:
    """Return a command of a workflow: https://docs.github.com/actions, "Workflow commands"."""
    is_file = "://" not in place.path
    parts = {"file": place.path if is_file else None, "line": place.line, "col": place.column, "title": title}
    given = ",".join(f"{name}={_escaped(str(part), ':,')}" for name, part in parts.items() if part is not None)
    return f"::{kind} {given}::{_escaped(message if is_file else f'{place.path}: {message}')}"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in f"%\r\n{more}" else char for char in text)
