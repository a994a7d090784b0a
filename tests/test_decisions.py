"""The records of ``docs/decisions/``: the code names them by number, and every number leads to one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
RECORDS: Final = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
_NUMBERS: Final = re.compile(r"\bdecisions?\s+(\d{4}(?:(?:,\s+|\s+and\s+)\d{4})*)")


def number_of(record: Path) -> str:
    return record.name[:4]


def named_in(text: str) -> set[str]:
    """The numbers of the decisions that a text names."""
    return {number for found in _NUMBERS.findall(text) for number in re.findall(r"\d{4}", found)}


def texts() -> Iterator[tuple[Path, str]]:
    """Every file that may name a decision, other than the index of the records."""
    folders = ("failpath_otel", "tests", "docs", "bench", "tools", "examples")
    skipped = {Path(__file__), ROOT / "docs" / "decisions" / "README.md"}
    for path in [*ROOT.glob("*.*"), *(path for folder in folders for path in (ROOT / folder).rglob("*.*"))]:
        if path.suffix in {".py", ".js", ".css", ".md", ".toml"} and path not in skipped:
            yield path, path.read_text(encoding="utf-8")


def test_every_decision_that_is_named_has_one_record() -> None:
    numbers = [number_of(record) for record in RECORDS]
    assert sorted(set(numbers)) == numbers
    missing = {str(path.relative_to(ROOT)): named_in(text) - set(numbers) for path, text in texts()}
    assert {path: left for path, left in missing.items() if left} == {}


def test_every_record_is_named_by_the_code_or_by_another_record() -> None:
    named = {
        number
        for path, text in texts()
        if path.suffix != ".md" or path in RECORDS
        for number in named_in(text)
        if path not in RECORDS or number != number_of(path)
    }
    assert {number_of(record) for record in RECORDS} - named == set()


@pytest.mark.parametrize("record", RECORDS, ids=number_of)
def test_a_record_has_its_number_as_title_and_its_three_sections(record: Path) -> None:
    title, *sections = re.findall(r"^#+ (.+)$", record.read_text(encoding="utf-8"), re.MULTILINE)
    assert title.startswith(f"{number_of(record)}: ")
    assert sections == ["Context", "Decision", "Consequences"]
