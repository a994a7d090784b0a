"""What the tests of the journal share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from failpath_otel import limits, report
from failpath_otel.journal.journal import Journal

BINDING = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 4 KiB, of which a journal has at most four."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 4)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The journal directory, which is not there yet."""
    return tmp_path / "journal"


@pytest.fixture
def new_journal(base: Path) -> Iterator[Callable[..., Journal]]:
    """Makes journals whose descriptors are closed at the end, as by the end of their process."""
    made: list[Journal] = []

    def new(binding: str = BINDING, overflow: Callable[[int], object] = lambda _: None) -> Journal:
        made.append(Journal(str(base), binding, overflow))
        return made[-1]

    yield new
    for journal in made:
        journal.reset_in_child()
