"""A journal's directory that goes while its process lives: taken away by others, or left by itself when idle."""

import shutil
from pathlib import Path

import pytest

from failpath_otel import limits
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from tests.delivery.pipelines import HeldDelivery, numbered, pipeline
from tests.journal.conftest import BINDING
from tests.journal.reading import take_all
from tests.receiver import wait_for


def test_records_of_a_deleted_journal_are_sent_and_later_ones_have_a_new_one(tmp_path: Path) -> None:
    place = JournalLocation(str(tmp_path / "journal"), BINDING)
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(numbered(0))
        assert delivery.sending.wait(10)
        queue.put(numbered(1))
        assert queue.undelivered == (2, 0, place.path)
        shutil.rmtree(place.path)
        assert queue.undelivered == (0, 2, "")  # the process is the only one that has them
        delivery.gate.set()
        assert queue.flush(10)
        assert delivery.records == [numbered(0), numbered(1)]
        wait_for(lambda: queue.queue.journal is not None and queue.queue.journal._directory is None)
        queue.put(numbered(2))
        assert queue.flush(10)
        assert [path.name for path in Path(place.path).glob("*/*.records")] == ["00000002.records"]


def test_a_process_that_is_busy_all_the_time_begins_anew_too_and_sends_all_in_order(tmp_path: Path) -> None:
    place = JournalLocation(str(tmp_path / "journal"), BINDING)
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(numbered(0))
        assert delivery.sending.wait(10)
        for number in range(1, 200):
            queue.put(numbered(number))
        shutil.rmtree(place.path)
        queue.sender.retries.retry_now()
        delivery.gate.set()

        count = 200
        while not Path(place.path).exists():
            queue.put(numbered(count))
            count += 1
        assert queue.flush(10)
        assert delivery.records == [numbered(number) for number in range(count)]


def test_a_process_that_is_idle_for_long_leaves_nothing_on_the_disk_and_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IDLE_SECONDS", "ORPHAN_SCAN_SECONDS", "POLLING_SECONDS"):
        monkeypatch.setattr(limits, name, 0.05)
    place = JournalLocation(str(tmp_path / "journal"), BINDING)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        for number in range(3):
            queue.put(numbered(number))
            assert len(list(Path(place.path).iterdir())) == 1
            wait_for(lambda: not list(Path(place.path).iterdir()))
    assert delivery.records == [numbered(number) for number in range(3)]


def test_a_spare_segment_that_is_deleted_by_others_does_not_turn_the_journal_off(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), BINDING, lambda _: None)
    assert journal.append(b"first")
    assert journal.prepare()
    _, spare = sorted(tmp_path.glob("*/*.records"))
    spare.unlink()
    assert journal.prepare()
    journal.finish_segment()
    assert journal.append(b"second")
    assert take_all(journal) == [b"first", b"second"]
    journal.reset_in_child()


def test_what_comes_after_a_deleted_journal_is_not_written_into_a_spare_segment_of_it(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), BINDING, lambda _: None)
    assert journal.append(b"first")
    assert journal.prepare()
    [gone] = tmp_path.iterdir()
    shutil.rmtree(gone)
    journal.start_new_directory()
    assert journal.append(b"second")
    [path] = tmp_path.glob("*/*.records")
    assert path.parent != gone
    assert b"second" in path.read_bytes()
    journal.reset_in_child()
