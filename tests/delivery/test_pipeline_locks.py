"""What must not wait for each other: the queue, a garbage collection, a logging handler, a forked process."""

import logging
import multiprocessing
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.context import attach, detach, get_value, set_value

from failpath_otel.delivery import worker
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import HeldDelivery, numbered, pipeline
from tests.receiver import wait_for


class ImpatientLock:
    """A lock that gives up where another one would wait for ever."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def acquire(self) -> bool:
        if not self._lock.acquire(timeout=3):
            raise TimeoutError
        return True

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


def test_a_logging_handler_that_records_a_step_does_not_deadlock_with_a_full_queue() -> None:
    stuck: list[str] = []
    at_the_handler = threading.Event()

    def put(number: int) -> None:
        try:
            queue.put(numbered(number))
        except TimeoutError:
            stuck.append("the queue's lock is held while the handler's lock is waited for")

    class Recording(logging.Handler):
        """Puts a record for what it is told, as an instrumented handler may; logging holds its lock meanwhile."""

        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "other":
                refused.start()
                assert at_the_handler.wait(10)
                put(3)

    def note(record: logging.LogRecord) -> bool:
        at_the_handler.set()
        return True

    handler = Recording()
    handler.lock = ImpatientLock()  # type: ignore[assignment]
    ours, other = logging.getLogger("failpath_otel"), logging.getLogger("other")
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=1) as queue:
        queue.put(numbered(1))
        refused = threading.Thread(target=put, args=(2,))
        ours.addFilter(note)
        for logger in (ours, other):
            logger.addHandler(handler)
        try:
            other.warning("anything")
            refused.join(10)
        finally:
            ours.removeFilter(note)
            for logger in (ours, other):
                logger.removeHandler(handler)
    assert stuck == []


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_what_waits_in_a_forked_queue_is_the_parents_to_send() -> None:
    delivery = HeldDelivery()
    fork = multiprocessing.get_context("fork")
    with pipeline(delivery, schedule_delay=3_600.0) as queue:
        queue.put(numbered(1))
        reading, writing = fork.Pipe(duplex=False)

        def in_child() -> None:
            before = queue.stats()
            queue.put(numbered(2))
            said = queue.flush(10)
            writing.send((before, said, queue.stats(), delivery.records))

        child = fork.Process(target=in_child)
        child.start()
        assert reading.poll(20), "the child said nothing"
        before, said, after, records = _received(reading)
        child.join(10)
        assert child.exitcode == 0
        assert (before.accepted, before.waiting) == (0, 0)
        assert said is True
        assert (after.accepted, after.delivered) == (1, 1)
        assert records == [numbered(2)]
        assert delivery.records == []
        assert queue.flush(10) is True
        assert delivery.records == [numbered(1)]


def _received(reading: Any) -> Any:
    return reading.recv()


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_a_fork_while_the_parent_holds_the_lock_leaves_the_child_a_free_one() -> None:
    delivery = HeldDelivery()
    fork = multiprocessing.get_context("fork")
    with pipeline(delivery) as queue:
        released, held = threading.Event(), threading.Event()

        def hold() -> None:
            with queue.queue.lock:
                held.set()
                assert released.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(10)
        child = fork.Process(target=lambda: queue.put(numbered(1)))
        child.start()
        child.join(20)
        code = child.exitcode
        child.kill()
        released.set()
        holder.join(10)
        assert code == 0


def test_the_thread_is_not_in_the_context_of_the_step_that_came_first() -> None:
    seen: list[object] = []

    class Looking(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            seen.append(get_value("mine"))
            return super().send(records, within)

    delivery = Looking()
    with pipeline(delivery) as queue:
        token = attach(set_value("mine", "a step"))
        try:
            queue.put(numbered(1))
        finally:
            detach(token)
        wait_for(lambda: delivery.records)
    assert seen == [None]


def test_a_fault_that_stays_does_not_keep_a_processor_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = threading.Event()
    monkeypatch.setattr(worker, "sleep", lambda _: slept.set())
    delivery = HeldDelivery()
    with monkeypatch.context() as broken, pipeline(delivery) as queue:
        broken.setattr(queue.upkeep, "tidy", lambda: 1 / 0)
        queue.put(numbered(1))
        assert slept.wait(10)
        broken.undo()
        assert queue.flush(10)


def test_a_step_of_a_signal_handler_in_the_midst_of_a_count_does_not_wait_for_another_thread_that_counts() -> None:
    """Two locks, taken by the two in different orders, would wait for each other for ever."""
    with pipeline(HeldDelivery()) as queue:
        at_the_count, over = threading.Event(), threading.Event()

        def count() -> None:
            with queue.queue.lock:
                at_the_count.set()
                over.wait(0.2)
                queue.stats()

        def interrupted() -> None:
            with queue.ledger.lock:
                counting.start()
                at_the_count.wait(0.2)
                queue.put(numbered(1))

        counting = threading.Thread(target=count, daemon=True)
        recording = threading.Thread(target=interrupted, daemon=True)
        recording.start()
        recording.join(10)
        assert not recording.is_alive()
        over.set()
        counting.join(10)
        assert not counting.is_alive()
