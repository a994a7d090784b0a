"""What `stats()` tells a signal handler, or a finaliser, in the midst of a record that is being put into the queue."""

from collections.abc import Callable
from pathlib import Path

import pytest

from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.journal.location import JournalLocation
from tests.delivery.pipelines import HeldDelivery


@pytest.fixture
def queue(tmp_path: Path) -> Pipeline:
    return Pipeline(HeldDelivery(), 100, 1_000_000, 3_600.0, journal=JournalLocation(str(tmp_path), "binding"))


def asking(queue: Pipeline, call: Callable[[bytes], object], told: list[Stats]) -> Callable[[bytes], object]:
    """As ``call``, and a signal handler asks for the counts when that is through."""

    def called(record: bytes) -> object:
        result = call(record)
        told.append(queue.stats())
        return result

    return called


def test_a_record_is_counted_once_where_a_handler_asks_for_the_counts_when_it_was_stored(
    queue: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = queue.queue.journal
    assert journal is not None
    queue.put(b"first")
    told: list[Stats] = []
    with monkeypatch.context() as patched:
        patched.setattr(journal, "append", asking(queue, journal.append, told))
        queue.put(b"second")
        patched.setattr(journal.current, "write", asking(queue, journal.current.write, told))
        queue.put(b"third")
    assert len(told) == 3
    queue.put(b"fourth")
    for stats in told:
        assert stats.accepted == stats.waiting
    stats = queue.stats()
    assert (stats.accepted, stats.waiting, dict(stats.dropped)) == (4, 4, {})
