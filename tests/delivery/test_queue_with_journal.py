"""The pipeline on a journal: what waits is on disk, and what the journal does not take is in memory behind it."""

import contextlib
import errno
import json
import logging
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from failpath_otel import DeliveryError, JournalError, limits, report
from failpath_otel.delivery import memory, orphans
from failpath_otel.delivery import queue as record_queue
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import GONE, HeldDelivery, an_outcome, numbered, pipeline
from tests.receiver import wait_for

BINDING = "0123456789abcdef"
TOO_LARGE = Answer("is too large", 413, too_large=True)
REFUSED = Answer("refused the project key (401)", 401, retryable=True)
BUSY = Answer("is busy", 503, retryable=True)
PEACE = Answer("is busy", 503, retryable=True, retry_after=3_600.0)


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def place(tmp_path: Path) -> JournalLocation:
    return JournalLocation(str(tmp_path / "journal"), BINDING)


def numbers(delivery: HeldDelivery) -> list[int]:
    return [json.loads(record)["number"] for record in delivery.records]


def files(place: JournalLocation) -> list[Path]:
    return sorted(Path(place.path).glob("*/*.records"))


def padded(number: int, size: int) -> bytes:
    return json.dumps({"number": number, "text": "x" * size}).encode()


def own(queue: Pipeline) -> Journal:
    assert queue.queue.journal is not None
    return queue.queue.journal


def test_after_a_413_a_journaled_batch_is_halved_and_not_sent_record_by_record(place: JournalLocation) -> None:
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


def test_parts_of_a_journaled_batch_do_not_count_in_memory(place: JournalLocation) -> None:
    seen: list[int] = []

    class Looking(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            answer = super().send(records, within)
            seen.append(queue.queue.memory.size)
            return answer

    delivery = Looking(answers=[TOO_LARGE], held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put_together([numbered(1), numbered(2)])
        assert delivery.sending.wait(10)
        queue.queue.journaling = False  # as after a failure of the disk
        own(queue).outage.record_failure(OSError(errno.ENOSPC, "No space left on device"))
        queue.put(numbered(3))
        delivery.gate.set()
        assert queue.flush(10)
        assert seen == [len(numbered(3))] * 4
        assert queue.stats() == Stats(3, 3, 0)


def test_the_journal_is_not_closed_while_its_records_are_being_confirmed(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptors would be those of other files when they are written to."""
    confirming, go_on = threading.Event(), threading.Event()
    closed: list[bool] = []
    confirm = Journal.confirm

    def slowly(journal: Journal, records: int = 0) -> None:
        if journal is watching[0]:
            confirming.set()
            assert go_on.wait(10)
        confirm(journal, records)

    close = Journal.close_if_empty

    def watched(journal: Journal) -> Any:
        if journal is watching[0]:  # and not one that another test has left to its thread
            closed.append(go_on.is_set())
        return close(journal)

    with pipeline(HeldDelivery(), journal=place) as queue:
        watching = [own(queue)]
        monkeypatch.setattr(Journal, "confirm", slowly)
        monkeypatch.setattr(Journal, "close_if_empty", watched)
        queue.put(numbered(1))
        assert confirming.wait(10)
        queue.shutdown(0)
        go_on.set()
        assert queue.flush(10)
    assert closed
    assert all(closed)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 16 KiB, of which a journal has at most four."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 16_384)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 4)


def room(place: JournalLocation) -> int:
    """Bytes that this process has in files of the journal, also in those that have no name any more."""
    held = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name, status = str(descriptor.readlink()), descriptor.stat()
        except FileNotFoundError:  # the one by which the directory is listed
            continue
        held += status.st_blocks * 512 if name.startswith(place.path) and name.endswith("(deleted)") else 0
    for path in Path(place.path).rglob("*.records"):
        with contextlib.suppress(FileNotFoundError):  # it has just been deleted
            held += path.stat().st_blocks * 512
    return held


@pytest.mark.usefixtures("small_segments")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are looked up in /proc")
def test_over_its_cap_the_oldest_records_go_and_the_room_is_free_also_during_an_outage(place: JournalLocation) -> None:
    errors: list[DeliveryError] = []
    delivery = HeldDelivery(answers=[PEACE])
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.put(padded(0, 10))
        wait_for(lambda: queue.sender.retries.failing)
        for number in range(1, 2_001):
            queue.put(padded(number, 200))
        wait_for(lambda: room(place) <= 7 * 16_384, message=f"{room(place)} bytes are held")
        stats = queue.stats()
        dropped = stats.dropped["journal_full"]
        assert stats.accepted == 2_001 == stats.waiting + dropped
        wait_for(lambda: sum(e.records for e in errors if isinstance(e, JournalError)) == dropped)
        queue.sender.retries._not_before = 0.0
        assert queue.flush(10) is False
        assert numbers(delivery) == [0, 0, *range(dropped + 1, 2_001)]
        assert queue.stats() == Stats(2_001, 2_001 - dropped, 0, {"journal_full": dropped})


@pytest.mark.usefixtures("small_segments")
def test_a_process_without_descriptors_reads_its_journal_later_and_loses_nothing(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(padded(0, 10))
        assert delivery.sending.wait(10)
        for number in range(1, 180):
            queue.put(padded(number, 200))
        own(queue).maintain()
        refused = threading.Event()
        open_file = LockedDirectory.open_file

        def full(directory: LockedDirectory, name: str) -> int:
            refused.set()
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(LockedDirectory, "open_file", full)
        delivery.gate.set()
        assert refused.wait(10)
        assert queue.stats().dropped == {}
        monkeypatch.setattr(LockedDirectory, "open_file", open_file)
        assert queue.flush(10)
        assert numbers(delivery) == list(range(180))


def test_a_logging_handler_that_records_a_step_does_not_deadlock_with_a_journal_that_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[bool] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # Another thread may have this handler's lock, and wait in it for the queue's.
            other = threading.Thread(target=queue.stats)
            other.start()
            other.join(5)
            said.append(not other.is_alive())

    logger, handler = logging.getLogger("failpath_otel"), Handler()
    logger.addHandler(handler)
    try:
        with pipeline(HeldDelivery(), journal=JournalLocation(str(tmp_path / "file"), BINDING)) as queue:
            queue.put(numbered(1))
            assert queue.flush(10)
            wait_for(lambda: said)
            assert all(said), "the queue's lock is held while something is said"
    finally:
        logger.removeHandler(handler)


def refuse(queue: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full from now on."""

    def full(_: bytes, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    own(queue).close_way()
    monkeypatch.setattr(own(queue), "_write_or_roll", full)


@pytest.mark.parametrize("then", ["journal", "memory"])
def test_what_the_disk_refuses_waits_in_memory_behind_what_it_has_and_the_order_holds(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_RETRY_SECONDS", 0.05 if then == "journal" else 3_600.0)
    monkeypatch.setattr(limits, "JOURNAL_RETRY_FIRST_SECONDS", 3_600.0)
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        for number in range(10):
            queue.put(numbered(number))
        assert delivery.sending.wait(10)
        with monkeypatch.context() as broken:
            refuse(queue, broken)
            for number in range(10, 20):
                assert queue.put(numbered(number)) == number + 1
        for number in range(20, 30):
            queue.put(numbered(number))
        assert queue.stats() == Stats(30, 0, 30)
        assert own(queue).appended == 10, "what comes later has overtaken"
        delivery.gate.set()
        assert queue.flush(10)
        if then == "journal":
            wait_for(lambda: queue.queue.journaling)
        queue.put(numbered(30))
        assert queue.flush(10)
        assert (own(queue).appended > 10) is (then == "journal")
        assert numbers(delivery) == list(range(31))
        assert queue.stats() == Stats(31, 31, 0)


def test_memory_has_its_own_bounds_however_much_waits_in_the_journal(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place, max_records=20) as queue:
        for number in range(100):
            assert queue.put(numbered(number))
        assert delivery.sending.wait(10)
        refuse(queue, monkeypatch)
        accepted = [queue.put(numbered(number)) > 0 for number in range(100, 130)]
        assert accepted == [True] * 20 + [False] * 10
        assert queue.stats().dropped == {"queue_full": 10}
        delivery.gate.set()
        assert queue.flush(10) is False
        assert numbers(delivery) == list(range(120))


def test_bytes_in_memory_are_bounded_and_an_outcome_is_cut_rather_than_lost(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place, max_bytes=3_000) as queue:
        assert queue.put_start(padded(0, 10))
        assert delivery.sending.wait(10)
        refuse(queue, monkeypatch)
        queue.put(padded(1, 2_000))
        data, _ = an_outcome(5_000)
        assert queue.put_outcome(data)
        delivery.gate.set()
        assert queue.flush(10)
        assert b"failpath.cut_down" in delivery.records[-1]


@pytest.mark.usefixtures("small_segments")
def test_while_many_threads_record_and_a_slow_server_drains_nothing_is_lost_doubled_or_reordered(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 1_000)

    class Slow(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            busy = len(self.batches) % 7 == 6
            self.gate.clear()
            threading.Timer(0.002, self.gate.set).start()
            answer = super().send(records, within)
            if busy:
                self.batches[-1] = []
                return Answer("is busy", 503, retryable=True)
            return answer

    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 0.001)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 0.001)
    delivery = Slow()

    def record(thread: int) -> None:
        for number in range(1_500):
            queue.put(json.dumps({"number": number, "thread": thread}).encode())

    with pipeline(delivery, journal=place) as queue:
        threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        assert queue.flush(20)
        assert queue.stats() == Stats(6_000, 6_000, 0)
    found = [json.loads(record) for record in delivery.records]
    for number in range(4):
        assert [each["number"] for each in found if each["thread"] == number] == list(range(1_500))
    assert list(Path(place.path).iterdir()) == []


def test_records_that_are_rejected_or_refused_are_counted_told_and_not_sent_again(place: JournalLocation) -> None:
    errors: list[DeliveryError] = []
    delivery = HeldDelivery(answers=[Answer(status=202, rejected=((1, "unknown flow"),)), GONE])
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.put_together([numbered(1), numbered(2), numbered(3)])
        in_time, error = queue.await_attempt(10, (2, 2))
        assert in_time
        assert "unknown flow" in str(error)
        assert queue.await_attempt(10, (3, 3)) == (True, None)
        queue.put(numbered(4))
        assert queue.flush(10) is False
        assert queue.stats() == Stats(4, 2, 0, {"rejected": 1, "send_failed": 1})
        queue.callback.drain(10)
    assert [error.records for error in errors] == [1, 1]
    assert list(Path(place.path).iterdir()) == []


def test_records_that_are_too_old_are_given_up_and_told(place: JournalLocation) -> None:
    errors: list[DeliveryError] = []
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place, on_error=errors.append, schedule_delay=3_600.0) as queue:
        queue.put(numbered(1))
        queue.put(numbered(2))
        own(queue).current.epoch += limits.MAX_AGE_SECONDS + 10
        queue.put(numbered(3))
        assert queue.await_attempt(10, (2, 2))[0]
        assert queue.flush(10) is False
        assert queue.stats() == Stats(3, 1, 0, {"too_old": 2})
        queue.callback.drain(10)
    assert numbers(delivery) == [3]
    [error] = errors
    assert isinstance(error, JournalError)
    assert error.records == 2


def test_records_that_are_too_old_leave_the_journal_when_they_are_given_up(place: JournalLocation) -> None:
    with pipeline(HeldDelivery(), journal=place) as queue:
        with queue.queue.lock:  # so that nothing is taken before it is too old
            queue.put(numbered(1))
            own(queue).current.epoch += limits.MAX_AGE_SECONDS + 10
        assert queue.await_attempt(10, (1, 1))[0]
        assert queue.stats() == Stats(1, 0, 0, {"too_old": 1})
        assert own(queue)._is_empty()


def test_records_that_are_too_old_are_settled_although_a_fault_keeps_the_journal_from_noting_it(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        with queue.queue.lock:  # so that nothing is taken before it is too old
            queue.put(numbered(1))
            own(queue).current.epoch += limits.MAX_AGE_SECONDS + 10
            monkeypatch.setattr(own(queue), "confirm", lambda _: 1 / 0)
        assert queue.await_attempt(10, (1, 1))[0]
        assert queue.stats() == Stats(1, 0, 0, {"too_old": 1})
    assert delivery.batches == []


def test_under_a_refused_key_records_wait_and_an_end_leaves_them_to_the_next(place: JournalLocation) -> None:
    delivery = HeldDelivery(answers=[REFUSED] * 100)
    queue = Pipeline(delivery, journal=place)
    queue.put(numbered(1))
    assert queue.flush(10) is False
    assert queue.stats() == Stats(1, 0, 1)
    assert queue.undelivered[::2] == (1, place.path)
    queue.close_at_exit()
    assert len(files(place)) == 1
    delivery._answers.clear()
    queue.sender.retries._next_try = 0.0
    assert queue.shutdown(10)


def test_what_is_confirmed_and_not_counted_yet_is_not_said_to_be_lost_with_the_process(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, str]] = []

    queue = Pipeline(HeldDelivery(), journal=place)
    settle = queue.ledger.settle

    def looking(*arguments: Any, **named: Any) -> None:
        seen.append(queue.undelivered)
        settle(*arguments, **named)

    monkeypatch.setattr(queue.ledger, "settle", looking)
    queue.put(numbered(1))
    assert queue.shutdown(10)
    assert seen == [(1, 0, place.path)]


def test_counts_add_up_also_where_a_signal_handler_records_while_they_are_taken(place: JournalLocation) -> None:
    queue = Pipeline(HeldDelivery(answers=[REFUSED] * 100), journal=place)
    before = signal.signal(signal.SIGALRM, lambda *_: queue.put(numbered(1)))
    signal.setitimer(signal.ITIMER_REAL, 0.000_2, 0.000_2)
    try:
        while (stats := queue.stats()).accepted < 500:
            assert stats.accepted == stats.delivered + stats.waiting
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        queue.shutdown(0)


class ShortMemory:
    """Makes the JSON of records, but for one time, at which there is no memory."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, record: bytes) -> bytes:
        self.left -= 1
        if not self.left:
            raise MemoryError
        return record


@pytest.mark.parametrize("is_journaled", [True, False], ids=["journal", "memory"])
def test_records_whose_json_cannot_be_made_for_want_of_memory_are_delivered_when_it_is_there(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, is_journaled: bool
) -> None:
    make_json = ShortMemory(at=37)
    monkeypatch.setattr(record_queue, "json_of", make_json)
    monkeypatch.setattr(memory, "json_of", make_json)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place if is_journaled else None) as queue:
        for number in range(100):
            queue.put(numbered(number))
        assert queue.flush(10)
        assert make_json.left < 0
        assert numbers(delivery) == list(range(100))
        assert queue.stats() == Stats(100, 100, 0)


def test_records_of_an_orphan_are_not_taken_where_memory_is_short(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, journal = an_outcome()[0], Journal(*place, lambda _: None)
    for _ in range(5):
        journal.append(record)
    journal.reset_in_child()  # as if its process was gone
    monkeypatch.setattr(orphans, "json_of", ShortMemory(at=3))
    source = OrphanSource(*place)
    assert source.scan()
    with pytest.raises(MemoryError):
        source.take(limits.MAX_BATCH_BYTES)
    batch = source.take(limits.MAX_BATCH_BYTES)
    assert batch is not None
    assert batch.records == [record] * 5
    source.release()
