"""What `stats()` tells a signal handler, or a finaliser, in the midst of a record that is being put into the queue."""

from collections.abc import Callable
from pathlib import Path

import pytest

from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.stats import Stats
from failpath_otel.journal.location import JournalLocation


@pytest.fixture
def queue(tmp_path: Path) -> RecordQueue:
    return RecordQueue(100, 1_000_000, JournalLocation(str(tmp_path), "binding"))


def asking(queue: RecordQueue, call: Callable[[bytes], object], told: list[Stats]) -> Callable[[bytes], object]:
    """As ``call``, and a signal handler asks for the counts when that is through."""

    def called(record: bytes) -> object:
        result = call(record)
        told.append(queue.stats())
        return result

    return called


def test_a_record_is_counted_once_where_a_handler_asks_for_the_counts_when_it_was_stored(
    queue: RecordQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = queue._journal
    assert journal is not None
    queue.put(b"first")
    told: list[Stats] = []
    with monkeypatch.context() as patched:
        patched.setattr(journal, "append", asking(queue, journal.append, told))
        queue.put(b"second")
        patched.setattr(journal, "_write", asking(queue, journal._write, told))
        queue.put(b"third")
    assert len(told) == 3
    queue.put(b"fourth")
    for stats in told:
        assert stats.accepted == stats.waiting
    stats = queue.stats()
    assert (stats.accepted, stats.waiting, dict(stats.dropped)) == (4, 4, {})
