"""The source and the documentation say what does what: no riddle words for subjects, and no code that talks."""

import re
from pathlib import Path
from typing import Final

import pytest

from tools.imports import PACKAGE, ROOT

VAGUE: Final = re.compile(
    r"\b(?:whoever|whomever|nobody|somebody|anybody|told|tells|hears|heard|says who)\b", re.IGNORECASE
)

FOLDERS: Final = [PACKAGE, ROOT / "bench", ROOT / "examples", ROOT / "tools"]
PAGES: Final = sorted((ROOT / "docs").rglob("*.md"))
SOURCES: Final = [path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))]
TEXTS: Final = [*SOURCES, *PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_names_its_subject(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if VAGUE.search(line)] == []
