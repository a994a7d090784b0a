"""CHANGELOG.md: its sections, the one that becomes a release, and the notes that are made of it."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from packaging.version import Version

from tools.release.problems import ReleaseError
from tools.release.versions import parse

FILE: Final = "CHANGELOG.md"
_HEADING: Final = re.compile(r"^## (?:(?P<version>\S+) \((?P<date>[^)]*)\)|(?P<none>[Uu]nreleased))$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """What one version changed; ``date`` is None until it is released, ``version`` while it has no number."""

    version: Version | None
    date: date | None
    body: str
    heading: tuple[int, int]


def sections(text: str) -> list[Section]:
    """Return the sections in their order, the newest first; raise for a heading of another form."""
    headings = list(_HEADING.finditer(text))
    others = {found.start() for found in re.finditer(r"^## ", text, re.MULTILINE)} - {each.start() for each in headings}
    if others or not headings:
        line = text[min(others) :].partition("\n")[0] if others else ""
        raise ReleaseError(
            f"{FILE}: a section begins with '## 0.2.0 (unreleased)' or '## 0.2.0 (2026-12-01)', not {line!r}"
        )
    ends = [*(each.start() for each in headings[1:]), len(text)]
    return [_section(text, heading, end) for heading, end in zip(headings, ends, strict=True)]


def release(text: str, version: Version, on: date) -> str:
    """Return the text in which what is unreleased is this version, of this day."""
    newest = sections(text)[0]
    if newest.date is not None:
        raise ReleaseError(f"{FILE} has no section that is unreleased: its newest is {newest.version} ({newest.date})")
    if not newest.body.strip():
        raise ReleaseError(f"{FILE}: the section that is unreleased is empty")
    if any(each.version == version for each in sections(text)[1:]):
        raise ReleaseError(f"{FILE} has a section of {version} already")
    start, end = newest.heading
    return f"{text[:start]}## {version} ({on.isoformat()}){text[end:]}"


def newest_release(text: str) -> Section | None:
    """Return the newest section if it is one of a release, and None if it is still unreleased."""
    newest = sections(text)[0]
    return newest if newest.date is not None else None


def notes(text: str, version: Version, base: str) -> str:
    """Return the section of a version as notes of its release, with links relative to the address of its files."""
    found = next((each for each in sections(text) if each.version == version), None)
    if found is None:
        raise ReleaseError(f"{FILE} has no section of {version}")
    return re.sub(r"\]\((?![a-z]+:|#)", f"]({base}/", found.body).strip() + "\n"


def _section(text: str, heading: re.Match[str], end: int) -> Section:
    body = text[heading.end() : end]
    if heading["none"] is not None:
        return Section(None, None, body, heading.span())
    try:
        on = None if heading["date"] == "unreleased" else date.fromisoformat(heading["date"])
    except ValueError:
        raise ReleaseError(f"{FILE}: not a day: {heading['date']!r}; write it as 2026-12-01") from None
    return Section(parse(heading["version"]), on, body, heading.span())
