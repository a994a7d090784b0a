"""The source and the documentation say what does what: no riddle words for subjects, and no code that talks."""

import re
from pathlib import Path
from typing import Final

import pytest

from tools.imports import PACKAGE, ROOT

VAGUE: Final = re.compile(
    r"\b(?:whoever|whomever|nobody|somebody|anybody|told|tells|hears|heard|says who)\b", re.IGNORECASE
)

ROOMS: Final = ["journal", "options", "records", "runtime", "scrubbing"]
"""Rooms of the package that are free of these words."""

MODULES: Final = ["limits.py", "report.py", "signals.py"]
"""The same of modules that stand beside the rooms."""

FOLDERS: Final = ["bench", "examples", "tools"]
"""The same of folders beside the package."""

UNEDITED: Final = {"local.md", "scale.md"}
"""Pages that still have them."""

PAGES: Final = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name not in UNEDITED]
SOURCES: Final = [
    *(path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))),
    *(PACKAGE / name for name in MODULES),
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))),
]
TEXTS: Final = [*SOURCES, *PAGES, ROOT / "README.md"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_names_its_subject(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if VAGUE.search(line)] == []


def test_every_room_that_is_held_to_it_exists() -> None:
    assert all((PACKAGE / name).exists() for name in [*ROOMS, *MODULES])
    assert len(PAGES) > 10
