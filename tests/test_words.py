"""Docstrings, comments and pages name their subjects, and describe code as code."""

import re
from pathlib import Path
from typing import Final

import pytest

from tools.imports import ROOT

VAGUE: Final = re.compile(
    r"\b(?:whoever|whomever|nobody|somebody|anybody|told|tells|hears|heard|says who)\b", re.IGNORECASE
)

FOLDERS: Final = ["failpath_otel", "bench", "examples", "tools"]
SOURCES: Final = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS: Final = [*SOURCES, *PAGES]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_names_its_subject(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if VAGUE.search(line)] == []


def test_the_sources_and_pages_are_found() -> None:
    assert len(SOURCES) > 150
    assert len(PAGES) > 15
