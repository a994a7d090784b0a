"""The usual record is appended to the journal without the lock of the queue, by any number of threads at once."""

import itertools
import json
import os
import signal
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from failpath_otel import DeliveryError, limits
from failpath_otel.delivery import admission as admission_module
from failpath_otel.delivery import wakeup as wakeup_module
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.journal import current as current_module
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records.record import Record
from failpath_otel.records.request import Answer
from failpath_otel.runtime.threads import has_gil
from tests.delivery.pipelines import HeldDelivery, an_outcome, numbered, pipeline
from tests.journal.reading import take_all
from tests.opcodes import trace_opcodes
from tests.receiver import wait_for

BINDING: Final = "0123456789abcdef"
PATIENCE: Final = 30

needs_ways: Final = pytest.mark.skipif(
    not has_gil() or not hasattr(os, "posix_fallocate"), reason="all appends take the lock here"
)


class Receipt:
    """The state of one step's records."""

    def __init__(self) -> None:
        self.running_ticket = 0
        self.outcome_reported = False


@pytest.fixture
def place(tmp_path: Path) -> JournalLocation:
    return JournalLocation(str(tmp_path / "journal"), BINDING)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 100_000)


def own(queue: Pipeline) -> Journal:
    assert queue.queue.journal is not None
    return queue.queue.journal


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # a thread that waits for ever must not keep the process
    thread.start()
    return thread


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.000_01)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@needs_ways
def test_an_append_does_not_wait_while_another_thread_holds_the_lock(place: JournalLocation) -> None:
    with pipeline(HeldDelivery(held=True), journal=place) as queue:
        queue.put(numbered(0))
        with queue.queue.lock:
            step = Receipt()

            def record() -> None:
                queue.put_start(numbered(1), step)
                queue.put_outcome(numbered(2), step)

            in_thread(record).join(PATIENCE)
            assert step.running_ticket
            assert step.outcome_reported
        assert queue.stats() == Stats(3, 0, 3)


@needs_ways
@pytest.mark.usefixtures("small_segments")
def test_an_append_does_not_wait_while_another_thread_is_stopped_inside_a_roll(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolling, go_on = threading.Event(), threading.Event()
    fallocate = os.posix_fallocate

    def stopped(*arguments: int) -> None:
        rolling.set()
        assert go_on.wait(PATIENCE)
        fallocate(*arguments)

    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(numbered(0))
        assert delivery.sending.wait(PATIENCE)
        monkeypatch.setattr(os, "posix_fallocate", stopped)
        large = json.dumps({"number": 1, "text": "x" * 1_500}).encode()
        puts = [in_thread(lambda: [queue.put_start(large) for _ in range(3)])]
        assert rolling.wait(PATIENCE)
        step = Receipt()

        def record() -> None:
            queue.put_start(numbered(2), step)
            queue.put_outcome(numbered(3), step)

        in_thread(record).join(PATIENCE)
        assert step.outcome_reported
        assert not go_on.is_set()
        go_on.set()
        for put in puts:
            put.join(PATIENCE)
        assert queue.stats() == Stats(6, 0, 6)
        delivery.gate.set()
        assert queue.flush(PATIENCE)
    assert [record for record in delivery.records if record != large] == [numbered(0), numbered(2), numbered(3)]


@pytest.mark.parametrize("locked", [False, True], ids=["past the lock", "without a GIL"])
@pytest.mark.usefixtures("small_segments")
def test_eight_threads_through_many_segments_lose_double_and_reorder_nothing_and_no_wait_ends_early(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    if locked:
        monkeypatch.setattr(current_module, "has_gil", lambda: False)
    threads, steps = 8, 400
    wrong: list[object] = []
    over = threading.Event()
    arrived: set[bytes] = set()

    class Watched(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            answer = super().send(records, within)
            arrived.update(records)
            return answer

    delivery = Watched()

    def record(thread: int) -> None:
        for number in range(steps):
            step, text = Receipt(), "x" * (number * 7 % 90)
            start, outcome = (
                json.dumps({"thread": thread, "number": 2 * number + end, "text": text}).encode() for end in (0, 1)
            )
            queue.put_start(start, step)
            ticket = queue.put_outcome(outcome, step)
            if not (step.running_ticket and step.outcome_reported and ticket):
                wrong.append(("refused", thread, number))
            if number % 40 == thread:
                settled, error = queue.await_attempt(PATIENCE, (ticket, ticket))
                if not settled or error or outcome not in arrived:
                    wrong.append(("waited", thread, number, settled, error))

    def look() -> None:
        before = Stats(0, 0, 0)
        while not over.is_set():
            stats = queue.stats()
            if stats.accepted != stats.delivered + stats.waiting or stats.accepted < before.accepted or stats.dropped:
                wrong.append((before, stats))
            before = stats

    with switching_often(), pipeline(delivery, journal=place, schedule_delay=0.001) as queue:
        looking = in_thread(look)
        recording = [in_thread(partial(record, number)) for number in range(threads)]
        for each in recording:
            each.join(PATIENCE)
            assert not each.is_alive()
        over.set()
        looking.join(PATIENCE)
        total = threads * steps * 2
        assert queue.stats().accepted == total
        assert queue.flush(PATIENCE)
        assert wrong == []
        assert queue.stats() == Stats(total, total, 0)
        assert queue.admission.reserved == 0
    found = [json.loads(record) for record in delivery.records]
    assert len(found) == total
    for thread in range(threads):
        numbers = [each["number"] for each in found if each["thread"] == thread]
        assert numbers == list(range(2 * steps))
    assert list(Path(place.path).iterdir()) == []


@needs_ways
@pytest.mark.usefixtures("small_segments")
def test_tickets_are_the_places_of_the_records_however_threads_come_between(place: JournalLocation) -> None:
    """So a loss is reported to the step that it is about, and a wait ends with its own record."""
    tickets: dict[bytes, int] = {}

    def record(thread: int) -> None:
        for number in range(1_000):
            data = json.dumps({"thread": thread, "number": number}).encode()
            tickets[data] = queue.put_start(data)

    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        with switching_often():
            threads = [in_thread(partial(record, number)) for number in range(8)]
            for each in threads:
                each.join(PATIENCE)
        numbers = {data: queue.queue.number_of(ticket) for data, ticket in tickets.items()}
        assert sorted(numbers.values()) == list(range(1, 8_001))
        delivery.gate.set()
        assert queue.flush(PATIENCE)
    assert sorted(numbers, key=numbers.__getitem__) == delivery.records


@needs_ways
@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("seals", ["a roll", "a closing", "a shutdown", "an outage", "leaving", "trimming", "a fork"])
def test_a_thread_that_was_about_to_append_when_the_segment_was_sealed_appends_elsewhere_or_is_refused(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, seals: str
) -> None:
    """It has read the way of a segment that is over by the time when it goes it."""
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.put(numbered(0))
        assert queue.flush(PATIENCE)
        way = own(queue).current.way
        assert way is not None

        def seal() -> None:
            with queue.sender._attempt_lock, queue.queue.lock:
                if seals == "a roll":
                    own(queue)._begin_segment()
                elif seals == "a closing":
                    queue.upkeep.close_if_empty()
                elif seals == "a shutdown":
                    queue.queue.close()
                elif seals == "an outage":
                    queue.queue.stop_journaling()
                elif seals == "leaving":
                    queue.upkeep.leave()
                elif seals == "trimming":
                    queue.upkeep.seal()
                else:
                    own(queue).reset_in_child()
                own(queue).maintain()

        def checksum(data: bytes, begin: int) -> int:
            monkeypatch.undo()
            monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
            in_thread(seal).join(PATIENCE)
            assert own(queue).current.way is not way
            return crc32(data, begin)

        crc32 = zlib.crc32
        monkeypatch.setattr(admission_module, "crc32", checksum)
        step = Receipt()
        ticket = queue.put_start(numbered(1), step)
        accepted = seals != "a shutdown"
        assert bool(ticket) is bool(step.running_ticket) is accepted
        assert queue.admission.reserved == accepted
        assert queue.stats().accepted == 1 + accepted
        with pytest.raises(ValueError, match=r"out of range|closed"):
            way.write(b"x")
        assert queue.flush(PATIENCE) is accepted


@needs_ways
def test_a_journal_to_which_a_record_came_past_the_lock_is_not_deleted_as_an_empty_one(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline(HeldDelivery(), journal=place, schedule_delay=3_600.0) as queue:
        queue.put(numbered(0))
        assert queue.flush(PATIENCE)
        finish = Journal.finish_segment

        def late(journal: Journal) -> None:
            monkeypatch.undo()
            in_thread(lambda: queue.put_start(numbered(1))).join(PATIENCE)
            finish(journal)

        monkeypatch.setattr(Journal, "finish_segment", late)
        queue.upkeep.close_if_empty()
        assert queue.stats() == Stats(2, 1, 1)
        with queue.queue.lock:
            own(queue).reset_in_child()
        [orphan] = lock_orphans(place.path, BINDING, lambda *_: None)
        assert take_all(orphan) == [numbered(1)]
        orphan.close()
        queue.queue.taken += 1  # what another process has
        queue.ledger.deliver(2)


class _Raised(ValueError):  # noqa: N818 - as Celery's SoftTimeLimitExceeded
    """As one of a signal handler; of the kind that `mmap` raises where there is no room."""


class Putting:
    """Puts both records of a step, with a signal at one opcode of one of the two calls."""

    def __init__(self, queue: Pipeline, at: int, name: str, handle: Callable[[], object]) -> None:
        self._queue = queue
        self._at = at
        self._name = name
        self._handle = handle
        self._opcodes = 0
        self.interrupted = False
        self.step = Receipt()

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_name != self._name or frame.f_code.co_filename != admission_module.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.interrupted:
            self._opcodes += 1
            if self._opcodes == self._at:
                self.interrupted = True
                self._handle()
        return self._trace

    def put(self, record: bytes) -> None:
        before = sys.gettrace()
        trace_opcodes(self._trace)
        try:
            if self._name == "put_start":
                self._queue.put_start(record, self.step)
            else:
                self._queue.put_outcome(record, self.step)
        finally:
            sys.settrace(before)


@needs_ways
@pytest.mark.parametrize("name", ["put_start", "put_outcome"])
@pytest.mark.parametrize("then", ["raises", "records", "fills the segment"])
def test_a_signal_handler_anywhere_in_an_append_leaves_records_and_counts_whole(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, name: str, then: str
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 65_536)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 100_000)
    delivery = HeldDelivery(held=True)
    expected: Counter[bytes] = Counter()
    with pipeline(delivery, journal=place) as queue:
        queue.put(numbered(-1))
        expected[numbered(-1)] += 1
        assert delivery.sending.wait(PATIENCE)

        def handle() -> None:
            if then == "raises":
                raise _Raised
            for _ in range(1 if then == "records" else 5):
                more = json.dumps({"more": at, "text": "x" * (10 if then == "records" else 30_000)}).encode()
                expected[more] += 1
                assert queue.put_start(more)
                queue.admission.forgo_outcome()

        for at in itertools.count(1):
            record = numbered(at)
            putting = Putting(queue, at, name, handle)
            queue.admission.reserved = name == "put_outcome"
            raised = False
            try:
                putting.put(record)
            except _Raised:
                raised = True
            stored = bool(putting.step.running_ticket) or putting.step.outcome_reported
            assert stored or raised, at
            expected[record] += stored
            assert queue.stats().accepted == expected.total(), at
            if then != "raises":
                assert queue.admission.reserved == (name == "put_start"), at
            if putting.step.running_ticket:
                assert queue.queue.number_of(putting.step.running_ticket) <= queue.stats().accepted
            if not putting.interrupted:
                break
        assert at > 50, "nothing was interrupted"
        delivery.gate.set()
        assert queue.flush(PATIENCE)
        assert Counter(delivery.records) == expected


# Python drops what a handler raises in the callback of a weak reference, as of objects of earlier tests.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@needs_ways
def test_real_signals_whose_handlers_record_and_raise_lose_and_invent_nothing(place: JournalLocation) -> None:
    delivery = HeldDelivery()
    handled = raised = 0
    put: Counter[bytes] = Counter()
    doubtful: set[bytes] = set()
    inside = False

    class TimeLimit(Exception):  # noqa: N818 - as Celery's
        pass

    def handle(*_: object) -> None:
        nonlocal handled, inside
        due, inside = inside, False  # or one that comes in the midst of this one would raise here
        handled += 1
        record = json.dumps({"handled": handled}).encode()
        step = Receipt()
        assert queue.put_start(record, step)
        put[record] += 1
        queue.admission.forgo_outcome()
        if due and not handled % 3:
            raise TimeLimit
        inside = due

    with pipeline(delivery, journal=place, schedule_delay=0.001) as queue:
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.000_3, 0.000_3)
        try:
            for number in range(6_000):
                record, step = numbered(number), Receipt()
                try:
                    inside = True
                    queue.put_start(record, step)
                    inside = False
                except TimeLimit:
                    inside = False
                    raised += 1
                if step.running_ticket:
                    put[record] += 1
                    queue.admission.forgo_outcome()
                else:
                    doubtful.add(record)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert handled
        assert queue.flush(PATIENCE)
        assert queue.admission.reserved == 0
        assert Counter(delivery.records) == put
        assert queue.stats().accepted == put.total()
        assert not doubtful & set(delivery.records)


def test_a_wait_for_a_record_whose_segment_is_gone_is_over(place: JournalLocation) -> None:
    with pipeline(HeldDelivery(), journal=place) as queue:
        ticket = queue.put_start(numbered(1))
        assert queue.flush(PATIENCE)
        queue.upkeep.close_if_empty()
        assert queue.await_attempt(PATIENCE, (ticket, ticket)) == (True, None)


def test_what_is_rejected_is_reported_to_the_wait_for_that_record_in_the_journal(place: JournalLocation) -> None:
    delivery = HeldDelivery(answers=[Answer(status=202, rejected=((1, "unknown flow"),))], held=True)
    with pipeline(delivery, journal=place, schedule_delay=3_600.0) as queue:
        tickets = [queue.put_start(a_start(number)) for number in range(3)]
        found: dict[int, DeliveryError | None] = {}
        waits = [
            in_thread(
                partial(lambda each: found.update({each: queue.await_attempt(PATIENCE, (each, each))[1]}), ticket)
            )
            for ticket in tickets
        ]
        assert delivery.sending.wait(PATIENCE)
        delivery.gate.set()
        for wait in waits:
            wait.join(PATIENCE)
        assert [found[ticket] is not None for ticket in tickets] == [False, True, False]


def a_start(number: int) -> bytes:
    record: Record = an_outcome(number)[1]
    return record.to_json()


def by_system_calls(*_: object) -> None:
    raise OSError(95, "not supported")


def test_tickets_of_a_segment_that_is_written_by_system_calls_are_those_of_their_records(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", by_system_calls)
    with pipeline(HeldDelivery(held=True), journal=place) as queue:
        tickets = [queue.put(numbered(number)) for number in range(5)]
        assert [queue.queue.number_of(ticket) for ticket in tickets] == [1, 2, 3, 4, 5]


@needs_ways
@pytest.mark.parametrize("name", ["put_start", "put_outcome"])
def test_a_handlers_own_value_error_is_not_taken_for_a_full_segment(place: JournalLocation, name: str) -> None:
    class Interrupted:
        """A way in whose first look at the end of the segment is interrupted by a signal."""

        def __init__(self, way: Any) -> None:
            self._way = way

        def tell(self) -> int:
            signal.raise_signal(signal.SIGUSR1)
            return int(self._way.tell())

        def __getattr__(self, name: str) -> Any:
            return getattr(self._way, name)

    def handle(*_: object) -> None:
        raise ValueError("of the application")

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pipeline(HeldDelivery(held=True), journal=place) as queue:
            queue.put(numbered(1))
            assert queue.queue.journal is not None
            current: Any = queue.queue.journal.current
            way, current.way = current.way, Interrupted(current.way)
            with pytest.raises(ValueError, match="of the application"):
                getattr(queue, name)(numbered(2))
            current.way = way
            assert queue.stats().accepted == 1
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_record_that_comes_as_a_released_worker_finds_work_is_delivered(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.put_start(numbered(1))
        wake_up, came = wakeup_module.Wakeup.wake_up, threading.Event()

        def late(self: wakeup_module.Wakeup) -> None:
            wake_up(self)
            if delivery.records and not came.is_set():
                came.set()
                thread = threading.Thread(target=queue.put_start, args=(numbered(2),))
                thread.start()
                thread.join(1)  # it waits for the lock where it cannot do without

        monkeypatch.setattr(wakeup_module.Wakeup, "wake_up", late)
        queue.worker.release()
        wait_for(lambda: len(delivery.records) == 2)
        assert came.is_set()


@pytest.mark.parametrize("error", [TimeoutError("of the application"), ValueError("of the application")], ids=repr)
def test_a_handlers_own_error_is_no_outage_of_the_journal(place: JournalLocation, error: Exception) -> None:
    def handle(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pipeline(HeldDelivery(held=True), journal=place) as queue:
            queue.put(numbered(1))
            current, write = own(queue).current, own(queue).current.write

            def interrupted(framed: bytes) -> int:
                signal.raise_signal(signal.SIGUSR1)
                return write(framed)

            current.write = interrupted
            with pytest.raises(type(error), match="of the application"):
                queue.put(numbered(2))
            current.write = write
            assert queue.queue.journaling
            assert queue.put(numbered(3))
            assert queue.stats().accepted == 2
    finally:
        signal.signal(signal.SIGUSR1, before)


@needs_ways
def test_a_ticket_is_exact_also_where_its_segment_was_closed_before_it_was_looked_for(place: JournalLocation) -> None:
    with pipeline(HeldDelivery(held=True), journal=place) as queue:
        for number in range(3):
            queue.put(numbered(number))
        way = own(queue).current.way
        assert way is not None
        start = way.tell()
        framed = b"a frame that another thread has appended"
        written = way.write(framed)
        with queue.queue.lock:
            own(queue)._begin_segment()
        own(queue).maintain()
        assert way.is_closed()
        assert way.find(framed, start, written) == way.base + start + len(framed)
        assert way.find(b"a frame that was not appended", start, 0) == 0
        own(queue).current.finish()
