"""How long records wait, and how many bytes of the journal they take."""

import threading
from pathlib import Path

import pytest

from failpath_otel import limits
from failpath_otel.delivery.figures import arrivals
from failpath_otel.delivery.figures.arrivals import Arrivals
from failpath_otel.delivery.figures.stats import Stats, add_up
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.journal.location import JournalLocation
from failpath_otel.journal.segments.frame import FRAME_BYTES
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import HeldDelivery, numbered, pipeline
from tests.receiver import wait_for

BUSY = Answer("is busy", 503, retryable=True, retry_after=3_600.0)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(arrivals, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_oldest_record_is_as_old_as_the_first_look_at_it(clock: Clock) -> None:
    seen = Arrivals()
    assert seen.oldest() is None
    seen.look(accepted=3, taken=0)
    assert seen.oldest() == 1_000.0
    clock.now = 1_005.0
    seen.look(accepted=7, taken=0)
    assert seen.oldest() == 1_000.0
    seen.look(accepted=7, taken=2)
    assert seen.oldest() == 1_000.0
    seen.look(accepted=7, taken=3)
    assert seen.oldest() == 1_005.0
    seen.look(accepted=7, taken=7)
    assert seen.oldest() is None


def test_a_pause_without_records_is_not_counted(clock: Clock) -> None:
    seen = Arrivals()
    seen.look(accepted=1, taken=0)
    seen.look(accepted=1, taken=1)
    clock.now = 9_000.0
    seen.look(accepted=2, taken=1)
    assert seen.oldest() == 9_000.0


def test_the_ages_that_are_kept_are_bounded_and_never_too_young(clock: Clock) -> None:
    seen = Arrivals()
    for number in range(1, 5_000):
        clock.now += 2.0
        seen.look(accepted=number, taken=0)
    clock.now += 2.0
    seen.look(accepted=5_000, taken=4_998)
    assert seen.oldest() == 1_000.0 + 2.0 * 1_000
    seen.look(accepted=5_000, taken=5_000)
    assert seen.oldest() is None


def test_a_record_on_its_way_is_waited_for_and_one_that_arrived_is_not() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, schedule_delay=0.0) as queue:
        assert queue.stats().oldest_waiting_seconds is None
        queue.put(numbered(1))
        assert delivery.sending.wait(10)
        first = queue.stats().oldest_waiting_seconds
        assert first is not None
        wait_for(lambda: (queue.stats().oldest_waiting_seconds or 0.0) > first)
        delivery.gate.set()
        assert queue.flush(10)
        assert queue.stats().oldest_waiting_seconds is None
        assert queue.stats().journal_bytes is None


@pytest.mark.parametrize("has_journal", [False, True], ids=["memory", "journal"])
def test_a_record_that_is_retried_stays_the_oldest(tmp_path: Path, *, has_journal: bool) -> None:
    place = JournalLocation(str(tmp_path), "0123456789abcdef") if has_journal else None
    delivery = HeldDelivery(answers=[BUSY])
    with pipeline(delivery, schedule_delay=0.0, journal=place) as queue:
        queue.put(numbered(1))
        wait_for(lambda: queue.stuck)
        [batch] = queue.sender.retries
        batch.since -= 100
        queue.put(numbered(2))
        assert 100 <= (queue.stats().oldest_waiting_seconds or 0.0) < 200
        queue.sender.retries.clear()


def test_what_another_process_has_left_does_not_count_as_waiting_here() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, schedule_delay=0.0) as queue:
        queue.put(numbered(1))
        assert delivery.sending.wait(10)
        queue.sender.retries.add(Batch([numbered(2)], 0, since=0.0))
        assert (queue.stats().oldest_waiting_seconds or 0.0) < 60
        queue.sender.retries.clear()


def test_at_no_moment_of_a_retry_is_the_oldest_record_missing() -> None:
    """Asked by another thread all the while, as a reader of metrics does."""
    delivery = HeldDelivery(answers=[Answer("is busy", 503, retryable=True)] * 20)
    ages: list[float] = []
    over = threading.Event()
    with pipeline(delivery, schedule_delay=0.0) as queue:
        queue.put(numbered(1))
        wait_for(lambda: queue.stuck)
        for batch in queue.sender.retries:
            batch.since -= 100

        def ask() -> None:
            while not over.is_set():
                stats = queue.stats()
                if stats.waiting:
                    ages.append(stats.oldest_waiting_seconds or 0.0)

        asking = threading.Thread(target=ask)
        asking.start()
        while queue.stats().waiting:
            queue.sender.retries.retry_now()
            queue.attempts.make()
        over.set()
        asking.join(10)
    assert min(ages) >= 100


def test_the_bytes_of_the_journal_are_those_of_the_records_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)  # so that there are several
    delivery = HeldDelivery(held=True)
    records = [numbered(number) for number in range(1_000, 1_400)]
    with pipeline(delivery, schedule_delay=0.0, journal=JournalLocation(str(tmp_path), "0123456789abcdef")) as queue:
        assert queue.stats().journal_bytes == 0
        for record in records:
            assert queue.put(record)
        assert delivery.sending.wait(10)
        assert queue.stats().journal_bytes == sum(len(record) + FRAME_BYTES for record in records)
        delivery.gate.set()
        assert queue.flush(10)
        assert queue.stats().journal_bytes == 0


def test_figures_of_several_pipelines_add_up() -> None:
    parts = [
        Stats(1, 0, 1, oldest_waiting_seconds=2.0, journal_bytes=10),
        Stats(1, 1, 0),
        Stats(2, 0, 2, {}, 0, {}, 5.0, 7),
    ]
    total = add_up(parts)
    assert (total.oldest_waiting_seconds, total.journal_bytes) == (5.0, 17)
    assert (add_up([Stats(0, 0, 0)]).oldest_waiting_seconds, add_up([Stats(0, 0, 0)]).journal_bytes) == (None, None)
