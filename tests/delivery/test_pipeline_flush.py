"""What flush says, and when."""

import signal
import threading
from collections.abc import Sequence
from time import monotonic

import pytest

from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.records.request import Answer
from failpath_otel.runtime.threads import RealThread
from tests.delivery.pipelines import GONE, REJECTED, HeldDelivery, numbered, pipeline
from tests.receiver import wait_for


def test_flush_is_true_only_once_everything_was_delivered() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert queue.flush(0.05) is False
        assert queue.stats().delivered == 0
        delivery.gate.set()
        assert queue.flush(10) is True
        assert queue.stats() == Stats(1, 1, 0, {})


def test_flush_of_an_empty_queue_is_true_at_once() -> None:
    with pipeline(HeldDelivery()) as queue:
        assert queue.flush(0) is True


def test_flush_does_not_wait_for_records_that_come_after_it() -> None:
    delivery = HeldDelivery(held=True)
    said: list[bool] = []
    with pipeline(delivery, schedule_delay=0.0) as queue:
        queue.put(numbered(1))
        assert delivery.sending.wait(10)
        flushing = threading.Thread(target=lambda: said.append(queue.flush(10)))
        flushing.start()
        wait_for(lambda: queue.ledger.waiter_count)
        delivery.sending.clear()
        queue.put(numbered(2))
        first = delivery.gate
        delivery.gate = threading.Event()
        first.set()
        flushing.join(10)
        assert said == [True]
        assert queue.stats().waiting == 1


@pytest.mark.parametrize(
    ("answer", "dropped"),
    [
        (GONE, {"send_failed": 1}),
        (REJECTED, {"rejected": 1}),
    ],
    ids=repr,
)
def test_flush_is_false_for_good_after_a_loss(answer: Answer, dropped: dict[str, int]) -> None:
    delivery = HeldDelivery(answers=[Answer(), answer])
    with pipeline(delivery) as queue:
        queue.put(numbered(0))
        assert queue.flush(10) is True
        queue.put(numbered(1))
        assert queue.flush(10) is False
        queue.put(numbered(2))
        assert queue.flush(10) is False
        assert queue.stats() == Stats(3, 2, 0, dropped)


def test_a_fault_of_ours_costs_no_record_and_a_flush_that_meets_it_is_false() -> None:
    delivery = HeldDelivery(answers=[ZeroDivisionError("a fault of ours")])
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert queue.flush(10) is False
        assert queue.stats() == Stats(1, 0, 1, {})
        queue.put(numbered(2))
        assert queue.flush(10) is True
        assert queue.stats() == Stats(2, 2, 0, {})


def test_flush_is_false_after_a_record_that_found_the_queue_full() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=1) as queue:
        assert queue.put(numbered(1))
        assert not queue.put(numbered(2))
        delivery.gate.set()
        assert queue.flush(10) is False


def test_flush_is_false_in_time_when_nothing_is_ever_answered() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery) as queue:
        for number in range(5_000):
            queue.put(numbered(number))
        began = monotonic()
        assert queue.flush(0.2) is False
        assert monotonic() - began < 2


def test_many_threads_that_flush_at_once_all_hear_the_truth() -> None:
    delivery = HeldDelivery(held=True)
    said: list[bool] = []
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        threads = [threading.Thread(target=lambda: said.append(queue.flush(10))) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: queue.ledger.waiter_count == 8)
        delivery.gate.set()
        for thread in threads:
            thread.join(10)
    assert said == [True] * 8


def test_a_flush_in_the_midst_of_a_send_of_the_same_thread_does_not_count_what_is_sent_as_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no thread can be started, a signal handler may interrupt a send, and what comes later is sent first."""
    answers: list[object] = []

    class Interrupted(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            if records == [numbered(1)] and not answers:
                answers.append(None)
                queue.put(numbered(2))
                answers[0] = queue.flush(0.05)
                return Answer("is down", 503, retryable=True)
            return super().send(records, within)

    def refuse(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(RealThread, "start", refuse)
    with pipeline(Interrupted()) as queue:
        queue.put(numbered(1))
        assert not queue.flush(0.05)
        assert answers == [False]
        assert queue.flush(10)
        assert queue.stats() == Stats(2, 2, 0)


def test_a_flush_in_the_midst_of_signals_ends_in_time() -> None:
    """The handler outlasts the timeout, so that what is left of it is negative as the wait goes on."""

    def hold_up(*_: object) -> None:
        until = monotonic() + 0.0002
        while monotonic() < until:
            pass

    delivery = HeldDelivery(held=True)
    before = signal.signal(signal.SIGALRM, hold_up)
    try:
        with pipeline(delivery) as queue:
            queue.put(numbered(1))
            assert delivery.sending.wait(10)
            threading.Timer(5, delivery.gate.set).start()
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            began = monotonic()
            for _ in range(500):
                queue.flush(0.001)
            assert monotonic() - began < 4
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
