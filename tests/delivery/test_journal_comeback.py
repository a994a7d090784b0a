"""A journal that cannot be written for a while: what waits in memory meanwhile goes into it once it can."""

import errno
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from failpath_otel import limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.journal import outage as outage_module
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import HeldDelivery, numbered, pipeline
from tests.journal.reading import take_all
from tests.receiver import wait_for

BINDING = "0123456789abcdef"
DOWN = Answer("could not be reached (ConnectionError)", retryable=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that has failed is tried again after 20 ms, and an endpoint after 50."""
    monkeypatch.setattr(limits, "JOURNAL_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(limits, "ORPHAN_SCAN_SECONDS", 0.02)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 0.05)


@pytest.fixture
def place(tmp_path: Path) -> JournalLocation:
    return JournalLocation(str(tmp_path / "journal"), BINDING)


class Disk:
    """What the operating system says to each new file of a journal."""

    def __init__(self) -> None:
        self.error = 0
        self.refused = threading.Event()

    def check(self) -> None:
        if self.error:
            self.refused.set()
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    new_file = LockedDirectory.new_file

    def checked(directory: LockedDirectory, name: str) -> int:
        made.check()
        return new_file(directory, name)

    monkeypatch.setattr(LockedDirectory, "new_file", checked)
    return made


def own(queue: Pipeline) -> Journal:
    assert queue.queue.journal is not None
    return queue.queue.journal


def fill(queue: Pipeline, disk: Disk, error: int = errno.ENOSPC) -> None:
    """The disk is full from now on, and so is the segment at hand."""
    disk.error = error
    with queue.queue.lock:
        own(queue).finish_segment()


def left_behind(queue: Pipeline, place: JournalLocation) -> list[bytes]:
    """What another process finds after this one was killed."""
    assert queue.orphans is not None
    with queue.orphans._scanning, queue.queue.lock:  # or it finds that itself
        own(queue).reset_in_child()
        [orphan] = lock_orphans(place.path, BINDING, lambda *_: None)
    try:
        return take_all(orphan)
    finally:
        orphan.close()


@contextmanager
def down(place: JournalLocation, **options: Any) -> Iterator[Pipeline]:
    """A pipeline whose endpoint is not there, until the end."""
    delivery = HeldDelivery(answers=[DOWN] * 10_000)
    with pipeline(delivery, journal=place, **options) as queue:
        yield queue
        delivery._answers.clear()


def put(queue: Pipeline, numbers: range) -> None:
    for number in numbers:
        assert queue.put(numbered(number))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EMFILE], ids=["disk full", "no descriptors"])
def test_in_an_outage_what_waits_in_memory_goes_into_the_journal_once_it_can_be_written(
    place: JournalLocation, disk: Disk, error: int
) -> None:
    with down(place) as queue:
        put(queue, range(10))
        wait_for(lambda: queue.stuck)
        fill(queue, disk, error)
        put(queue, range(10, 600))
        assert queue.undelivered[:2] == (10, 590)
        disk.error = 0
        wait_for(lambda: queue.queue.journaling)
        put(queue, range(600, 650))
        assert queue.undelivered == (650, 0, place.path)
        assert (queue.queue.memory.size, queue.queue.memory.records) == (0, 0)
        assert queue.stats() == Stats(650, 0, 650)
        assert left_behind(queue, place) == [numbered(number) for number in range(650)]


def test_what_was_taken_from_memory_and_could_not_be_sent_goes_into_the_journal_first(
    place: JournalLocation, disk: Disk
) -> None:
    with down(place) as queue:
        disk.error = errno.ENOSPC
        put(queue, range(5))
        wait_for(lambda: queue.stuck)
        assert len(queue.sender.retries._batches) == 1
        put(queue, range(5, 10))
        disk.error = 0
        wait_for(lambda: queue.queue.journaling)
        assert queue.undelivered == (10, 0, place.path)
        assert left_behind(queue, place) == [numbered(number) for number in range(10)]


def test_records_that_come_while_others_are_moved_keep_the_order_and_are_all_delivered_once(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that record without a pause do not keep the journal from catching up."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 16_384)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 10_000)
    delivery = HeldDelivery(answers=[DOWN] * 10_000)
    numbers = count()
    back = threading.Event()
    lock = threading.Lock()

    def record() -> None:
        while not back.is_set():
            with lock:
                queue.put(numbered(next(numbers)))

    with pipeline(delivery, journal=place, max_records=1_000_000) as queue:
        queue.put(numbered(next(numbers)))
        wait_for(lambda: queue.stuck)
        fill(queue, disk)
        threads = [threading.Thread(target=record) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(queue.queue.memory.waiting) > 1_000)
        disk.error = 0
        wait_for(lambda: queue.queue.journaling)
        back.set()
        for thread in threads:
            thread.join(30)
        failed = len(delivery.batches)
        delivery._answers.clear()
        assert queue.flush(60)
        total = next(numbers)
        delivered = [record for batch in delivery.batches[failed:] for record in batch]
        assert delivered == [numbered(number) for number in range(total)]
        assert queue.stats() == Stats(total, total, 0)


def test_a_caller_waits_for_no_more_than_one_append_while_others_are_moved(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    appending: list[int] = []
    append = Journal.append

    def counted(journal: Journal, record: bytes) -> int:
        appending.append(threading.get_ident())
        return append(journal, record)

    with down(place) as queue:
        fill(queue, disk)
        put(queue, range(100))
        monkeypatch.setattr(Journal, "append", counted)
        queue.queue.is_refilling = True
        with queue.queue.lock:  # so that the delivery thread moves nothing
            disk.error = 0
            for number in range(100, 110):
                appending.clear()
                assert queue.put(numbered(number))
                assert appending == [threading.get_ident()]
        wait_for(lambda: queue.queue.journaling)


def test_the_log_says_once_that_the_journal_fails_and_what_is_at_risk_and_once_that_it_is_back(
    place: JournalLocation, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "failpath_otel")
    with down(place) as queue:
        put(queue, range(1))
        for begin in (1, 100):
            fill(queue, disk)
            put(queue, range(begin, begin + 50))
            wait_for(disk.refused.is_set)
            disk.error = 0
            wait_for(lambda: queue.queue.journaling)
            disk.refused.clear()
        wait_for(lambda: sum("journal" in message for message in caplog.messages) == 4)
    said = [message for message in caplog.messages if "journal" in message]
    for off, back in (said[:2], said[2:]):
        assert f"the journal in {place.path} fails: No space left on device" in off
        assert "lost if the process is killed" in off
        assert f"the journal in {place.path} is written again after" in back


@pytest.mark.parametrize(
    ("number", "named"),
    [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOENT, True), (errno.ENOSPC, False), (errno.EMFILE, False)],
)
def test_where_another_directory_would_help_the_line_says_how_to_name_it(
    number: int, named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    outage = outage_module.Outage("there")
    outage.record_failure(OSError(number, os.strerror(number)))
    outage.log_pending()
    [said] = caplog.messages
    assert f"the journal in there fails: {os.strerror(number)}" in said
    assert ("FAILPATH_JOURNAL" in said) == named


def test_while_the_journal_keeps_failing_it_is_tried_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(limits, "JOURNAL_RETRY_SECONDS", 30.0)
    monkeypatch.setattr(outage_module, "monotonic", lambda: clock[0])
    outage = outage_module.Outage("there")
    delays = []
    for _ in range(8):
        outage.record_failure(OSError(errno.ENOSPC, "full"))
        began = clock[0]
        while not outage.may_retry():
            clock[0] += 0.5
        delays.append(clock[0] - began)
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]
    outage.record_recovery()
    clock[0] += 29
    outage.record_failure(OSError(errno.ENOSPC, "full"))
    clock[0] += 29
    assert not outage.may_retry(), "it was back for a moment only"
    outage.record_recovery()
    clock[0] += 31
    outage.record_failure(OSError(errno.ENOSPC, "full"))
    clock[0] += 1
    assert outage.may_retry()


def test_at_the_end_the_journal_is_tried_again_at_once(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_RETRY_SECONDS", 3_600.0)
    monkeypatch.setattr(limits, "JOURNAL_RETRY_FIRST_SECONDS", 3_600.0)
    with down(place) as queue:
        put(queue, range(3))
        wait_for(lambda: queue.stuck)
        fill(queue, disk)
        put(queue, range(3, 10))
        disk.error = 0
        assert queue.undelivered[:2] == (3, 7)
        queue.upkeep.save(10)
        assert queue.undelivered == (10, 0, place.path)
        assert left_behind(queue, place) == [numbered(number) for number in range(10)]


@contextmanager
def alarm(handle: Callable[[], object], interval: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, lambda *_: handle())
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("plain", [False, True], ids=["mapped", "by system calls"])
def test_a_signal_handler_that_records_while_a_segment_is_begun_does_not_turn_the_journal_off(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, plain: bool
) -> None:
    """The handler comes in the midst of each call that a new segment needs."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 10_000)
    numbers = count()
    name = "pwrite" if plain else "posix_fallocate"
    original = getattr(os, name)
    main = threading.get_ident()
    if plain:
        monkeypatch.delattr(os, "posix_fallocate")

    def interrupted(*arguments: Any) -> Any:
        if threading.get_ident() == main and arguments[-1] in {0, 4_096}:  # a header, or the room of a segment
            signal.raise_signal(signal.SIGALRM)
        return original(*arguments)

    with down(place) as queue:
        monkeypatch.setattr(os, name, interrupted)
        handled: list[int] = []
        with alarm(lambda: handled.append(queue.put(numbered(next(numbers)))), 3_600.0):
            for _ in range(1_000):
                assert queue.put(numbered(next(numbers)))
                assert queue.queue.journaling
        assert handled
        assert all(handled)
        total = next(numbers)
        assert queue.stats() == Stats(total, 0, total)
        assert queue.undelivered == (total, 0, place.path)
        assert sorted(left_behind(queue, place)) == sorted(numbered(number) for number in range(total))
    assert not [message for message in caplog.messages if "fails" in message]


def test_what_a_handler_records_in_the_midst_of_the_last_write_before_the_disk_is_full_is_sent(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for the journal; no later record shows that this cannot be written any more."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    monkeypatch.delattr(os, "posix_fallocate")
    numbers = count()
    write = os.pwrite
    main = threading.get_ident()
    due = False

    def interrupted(descriptor: int, data: bytes, at: int) -> int:
        nonlocal due
        if due and threading.get_ident() == main:
            due = False
            signal.raise_signal(signal.SIGALRM)
        return write(descriptor, data, at)

    def handle() -> None:
        for _ in range(10):
            assert queue.put(numbered(next(numbers)))

    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        monkeypatch.setattr(os, "pwrite", interrupted)
        with alarm(handle, 3_600.0):
            assert queue.put(numbered(next(numbers)))
            while (writer := own(queue).current.writer) is not None and writer.end() < 3_900:
                assert queue.put(numbered(next(numbers)))
            disk.error, due = errno.ENOSPC, True
            with queue.queue.lock:
                own(queue)._factory.close_spares()
            assert queue.put(numbered(next(numbers)))
        assert not due
        assert queue.flush(10)
        total = next(numbers)
        assert queue.stats() == Stats(total, total, 0)
        wait_for(lambda: any("fails" in message for message in caplog.messages))
        disk.error = 0
        wait_for(lambda: queue.queue.journaling)
    assert sorted(delivery.records) == sorted(numbered(number) for number in range(total))


def test_while_failpath_is_up_a_handler_that_records_each_millisecond_is_never_refused(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 16_384)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 10_000)
    numbers = count()
    with pipeline(HeldDelivery(), journal=place, max_records=100) as queue:
        with alarm(lambda: queue.put(numbered(next(numbers))), 0.001):
            for _ in range(20_000):
                assert queue.put(numbered(next(numbers)))
                stats = queue.stats()
                assert stats.accepted == stats.delivered + stats.waiting
        assert queue.flush(30)
        total = next(numbers)
        assert queue.stats() == Stats(total, total, 0)


def test_ctrl_c_while_a_record_is_moved_neither_loses_nor_invents_one(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with down(place) as queue:
        put(queue, range(1))
        wait_for(lambda: queue.stuck)
        fill(queue, disk)
        put(queue, range(1, 10))
        append = Journal.append

        def interrupted(journal: Journal, record: bytes) -> bool:
            append(journal, record)
            raise KeyboardInterrupt

        with queue.queue.lock:
            disk.error = 0
            queue.queue.is_refilling = True
            with monkeypatch.context() as patched:
                patched.setattr(Journal, "append", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    queue.queue.move_one_to_journal()
            assert queue.stats() == Stats(10, 0, 10)
        wait_for(lambda: queue.queue.journaling)
        assert queue.stats() == Stats(10, 0, 10)
        assert left_behind(queue, place) == [numbered(number) for number in range(10)]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no room is set aside")
def test_a_handler_that_finds_the_journal_failing_while_held_records_are_written_loses_and_doubles_none(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with down(place) as queue:
        put(queue, range(1))
        wait_for(lambda: queue.stuck)
        journal = own(queue)
        with queue.queue.lock:
            journal.deferred.extend(numbered(number) for number in range(1, 4))
            write_or_roll = journal._write_or_roll

            def interrupted(framed: bytes, **options: Any) -> None:
                monkeypatch.setattr(journal, "_write_or_roll", write_or_roll)
                disk.error = errno.ENOSPC
                journal.finish_segment()
                journal._factory.close_spares()
                put(queue, range(4, 5))  # as a signal handler does
                disk.error = 0
                write_or_roll(framed, **options)

            monkeypatch.setattr(journal, "_write_or_roll", interrupted)
            journal.write_deferred()
            assert queue.stats() == Stats(5, 0, 5)
        wait_for(lambda: queue.queue.journaling)
        assert queue.stats() == Stats(5, 0, 5)
        assert sorted(left_behind(queue, place)) == [numbered(number) for number in range(5)]


def test_a_record_that_cannot_be_moved_behind_those_that_were_held_is_not_lost(
    place: JournalLocation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with down(place) as queue:
        put(queue, range(1))
        wait_for(lambda: queue.stuck)
        fill(queue, disk)
        put(queue, range(1, 3))
        journal = own(queue)
        with queue.queue.lock:
            journal.deferred.append(numbered(3))
            queue.queue.is_refilling = True
            disk.error = 0
            write = journal._write_deferred

            def full_after() -> None:
                write()
                fill(queue, disk)

            with monkeypatch.context() as patched:
                patched.setattr(journal, "_write_deferred", full_after)
                queue.queue.move_one_to_journal()
            assert queue.stats() == Stats(4, 0, 4)
            assert queue.queue.memory.waiting[0] == numbered(1)
            disk.error = 0
        wait_for(lambda: queue.queue.journaling)
        assert sorted(left_behind(queue, place)) == [numbered(number) for number in range(4)]


def test_what_a_handler_has_left_is_delivered_while_the_disk_is_full_and_nothing_else_comes(
    place: JournalLocation, disk: Disk
) -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        put(queue, range(1))
        assert queue.flush(10)
        with queue.queue.lock:
            fill(queue, disk)
            own(queue)._factory.close_spares()
            own(queue).deferred.append(numbered(1))
        assert queue.flush(10)
        assert delivery.records == [numbered(0), numbered(1)]
        assert queue.stats() == Stats(2, 2, 0)


def test_at_the_end_what_a_handler_has_left_is_written_and_counts_as_in_memory_until_then(
    place: JournalLocation, disk: Disk
) -> None:
    with down(place) as queue:
        put(queue, range(1))
        wait_for(lambda: queue.stuck)
        with queue.sender._attempt_lock, queue.queue.lock:  # so that the delivery thread does not write it
            own(queue).deferred.append(numbered(1))
            assert queue.undelivered[:2] == (1, 1)
            queue.upkeep.save(10)
            assert queue.undelivered == (2, 0, place.path)
        assert left_behind(queue, place) == [numbered(0), numbered(1)]
