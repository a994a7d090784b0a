"""The pipeline on a journal: what waits is on disk, and what the journal does not take is in memory behind it."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from failpath_otel import DeliveryError, JournalError, SendError, limits
from failpath_otel.export.pipeline import Pipeline
from failpath_otel.export.queue import JournalPlace
from failpath_otel.export.stats import Stats
from failpath_otel.export.wire import Answer
from failpath_otel.journal import journal as journal_module
from failpath_otel.journal.journal import Journal
from tests.export.pipelines import GONE, HeldDelivery, a_record, an_outcome, numbered, pipeline
from tests.receiver import wait_for

BINDING = "0123456789abcdef"
TOO_LARGE = Answer("is too large", 413, too_large=True)
REFUSED = Answer("refused the project key (401)", 401, again=True)
BUSY = Answer("is busy", 503, again=True)
PEACE = Answer("is busy", 503, again=True, retry_after=3_600.0)


@pytest.fixture
def place(tmp_path: Path) -> JournalPlace:
    return JournalPlace(str(tmp_path / "journal"), BINDING)


def numbers(delivery: HeldDelivery) -> list[int]:
    return [json.loads(record)["number"] for record in delivery.records]


def files(place: JournalPlace) -> list[Path]:
    return sorted(Path(place.path).glob("*/*.records"))


def padded(number: int, size: int) -> bytes:
    return json.dumps({"number": number, "text": "x" * size}).encode()


def own(queue: Pipeline) -> Journal:
    assert queue._journal is not None
    return queue._journal


def test_after_a_413_a_journaled_batch_is_halved_and_not_sent_record_by_record(place: JournalPlace) -> None:
    delivery = HeldDelivery(answers=[TOO_LARGE])
    with pipeline(delivery, journal=place, schedule_delay=3_600.0) as queue:
        for number in range(64):
            queue.put(numbered(number))
        assert queue.flush(10)
        for number in range(64, 128):
            queue.put(numbered(number))
        assert queue.flush(10)
        assert min(len(batch) for batch in delivery.batches) > 8
        assert numbers(delivery)[64:] == list(range(128))
        assert queue.stats() == Stats(128, 128, 0)


def test_parts_of_a_journaled_batch_do_not_count_in_memory(place: JournalPlace) -> None:
    seen: list[int] = []

    class Looking(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            answer = super().send(records, within)
            seen.append(queue._bytes)
            return answer

    delivery = Looking(answers=[TOO_LARGE], held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put_together([numbered(1), numbered(2)])
        assert delivery.sending.wait(10)
        queue._journaling = False  # as after a failure of the disk
        queue.put(numbered(3))
        delivery.gate.set()
        assert queue.flush(10)
        assert seen == [len(numbered(3))] * 4
        assert queue.stats() == Stats(3, 3, 0)


def test_the_journal_is_not_closed_while_its_records_are_being_confirmed(
    place: JournalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptors would be those of other files when they are written to."""
    confirming, go_on = threading.Event(), threading.Event()
    closed: list[bool] = []
    confirm = Journal.confirm

    def slowly(journal: Journal, records: int = 0) -> None:
        confirming.set()
        assert go_on.wait(10)
        confirm(journal, records)

    close = Journal.close

    def watched(journal: Journal) -> Any:
        closed.append(go_on.is_set())
        return close(journal)

    monkeypatch.setattr(Journal, "confirm", slowly)
    monkeypatch.setattr(Journal, "close", watched)
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.put(numbered(1))
        assert confirming.wait(10)
        queue.shutdown(0)
        go_on.set()
        assert queue.flush(10)
    assert all(closed)
