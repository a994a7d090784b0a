"""What becomes of a batch by what was answered: settled, kept, or split."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from failpath_otel import RecordsRejected, SendError, limits
from failpath_otel.export.sender import Outcome, Sender
from failpath_otel.export.wire import Answer
from tests.export.pipelines import GONE, REJECTED, HeldDelivery, numbered, pipeline

BUSY = Answer("answered 503", 503, again=True)
TOO_LARGE = Answer("answered 413", 413, too_large=True)


class Picky(HeldDelivery):
    """Refuses, with 413, batches of more bytes than it likes."""

    def __init__(self, likes: int) -> None:
        super().__init__()
        self.likes = likes
        self.refused: list[int] = []

    def send(self, records: Sequence[bytes]) -> Answer:
        size = sum(map(len, records))
        if size > self.likes:
            self.refused.append(size)
            return TOO_LARGE
        return super().send(records)


def from_list(records: Sequence[bytes]) -> Callable[[int], tuple[list[bytes], int]]:
    """Takes from ``records`` as the queue does."""
    left = deque(records)

    def take(max_bytes: int) -> tuple[list[bytes], int]:
        batch: list[bytes] = []
        while left and (not batch or sum(map(len, batch)) + len(left[0]) <= max_bytes):
            batch.append(left.popleft())
        return batch, sum(map(len, batch))

    return take


def all_outcomes(sender: Sender, records: Sequence[bytes]) -> list[Outcome]:
    """What became of everything; a batch that was only split has no outcome of its own."""
    take = from_list(records)
    outcomes: list[Outcome] = []
    for _ in range(10_000):
        outcome = sender.attempt(take)
        if outcome is None and not sender.backlog:
            return outcomes
        if outcome is not None:
            outcomes.append(outcome)
    raise AssertionError("it never ends")


def test_a_batch_that_was_taken_is_settled_and_delivered() -> None:
    [outcome] = all_outcomes(Sender(HeldDelivery()), [b"a", b"b"])
    assert (outcome.settled, outcome.delivered, outcome.error, outcome.first) == (True, 2, None, True)


def test_records_that_were_rejected_are_lost_and_their_neighbours_are_not(caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender(HeldDelivery(answers=[REJECTED, REJECTED]))
    for _ in range(2):
        [outcome] = all_outcomes(sender, [b"a", b"b"])
        assert (outcome.settled, outcome.delivered, outcome.reason) == (True, 1, "rejected")
        assert isinstance(outcome.error, RecordsRejected)
        assert outcome.error.records == 1
    assert len(caplog.messages) == 1


def test_a_batch_that_failed_is_kept_and_is_the_first_to_be_sent_again() -> None:
    delivery = HeldDelivery(answers=[BUSY, BUSY])
    sender, take = Sender(delivery), from_list([b"a"])
    first, second, third = (sender.attempt(take) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert [outcome.settled for outcome in (first, second, third)] == [False, False, True]
    assert [outcome.first for outcome in (first, second, third)] == [True, False, False]
    assert isinstance(first.error, SendError)
    assert (first.error.retrying, first.error.status, first.error.records) == (True, 503, 1)
    assert delivery.batches == [[b"a"]] * 3
    assert third.delivered == 1
    assert sender.failure is None


def test_a_failure_that_is_final_loses_the_batch_at_once() -> None:
    sender = Sender(HeldDelivery(answers=[GONE]))
    [outcome] = all_outcomes(sender, [b"a", b"b"])
    assert (outcome.settled, outcome.delivered, outcome.reason) == (True, 0, "send_failed")
    assert isinstance(outcome.error, SendError)
    assert (outcome.error.retrying, outcome.error.status, outcome.error.records) == (False, 410, 2)
    assert sender.failure is outcome.error


def test_a_batch_whose_time_is_over_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RETRY_SECONDS", 0.0)
    [outcome] = all_outcomes(Sender(HeldDelivery(answers=[BUSY])), [b"a"])
    assert (outcome.settled, outcome.delivered, outcome.reason) == (True, 0, "send_failed")
    assert isinstance(outcome.error, SendError)
    assert outcome.error.retrying is False


@pytest.mark.parametrize("records", [1, 2, 3, 100, 512])
def test_a_batch_that_is_too_large_is_halved_until_it_fits_and_nothing_is_lost(records: int) -> None:
    delivery, given = Picky(likes=200), [numbered(number).ljust(100) for number in range(records)]
    outcomes = all_outcomes(Sender(delivery), given)
    assert delivery.records == given
    assert sum(outcome.delivered for outcome in outcomes) == records


def test_a_single_record_that_is_too_large_is_lost_and_its_neighbours_are_not() -> None:
    given = [b"a" * 10, b"b" * 1_000, b"c" * 10]
    delivery = Picky(likes=100)
    outcomes = all_outcomes(Sender(delivery), given)
    assert delivery.records == [given[0], given[2]]
    [lost] = [outcome for outcome in outcomes if outcome.error is not None]
    assert lost.batch.records == [given[1]]
    assert (lost.settled, lost.reason) == (True, "send_failed")
    assert isinstance(lost.error, SendError)
    assert (lost.error.status, lost.error.retrying) == (413, False)


def test_batches_of_a_pipeline_stay_below_a_size_that_was_refused() -> None:
    delivery = Picky(likes=300_000)
    with pipeline(delivery) as queue:
        for number in range(60):
            queue.put(numbered(number).ljust(60_000))
        assert queue.flush(10)
        refused = len(delivery.refused)
        for number in range(60, 120):
            queue.put(numbered(number).ljust(60_000))
        assert queue.flush(10)
        assert len(delivery.refused) == refused
    assert delivery.records == [numbered(number).ljust(60_000) for number in range(120)]


def test_the_halves_of_a_batch_that_has_failed_before_are_not_its_first_attempt() -> None:
    sender, take = Sender(HeldDelivery(answers=[BUSY, TOO_LARGE, BUSY])), from_list([b"a", b"b"])
    first, split, half = (sender.attempt(take) for _ in range(3))
    assert first is not None
    assert first.first
    assert split is None
    assert half is not None
    assert not half.first


def test_an_interruption_in_the_midst_of_an_attempt_keeps_the_batch() -> None:
    class Interrupted(HeldDelivery):
        def send(self, records: Sequence[bytes]) -> Answer:
            if not self.sending.is_set():
                self.sending.set()
                raise KeyboardInterrupt
            return super().send(records)

    delivery = Interrupted()
    sender, take = Sender(delivery), from_list([b"a"])
    with pytest.raises(KeyboardInterrupt):
        sender.attempt(take)
    outcome = sender.attempt(take)
    assert outcome is not None
    assert outcome.delivered == 1
    assert delivery.records == [b"a"]


def test_an_attempt_within_an_attempt_of_the_same_thread_does_not_wait_for_itself() -> None:
    inner: list[Any] = []

    class Nested(HeldDelivery):
        def send(self, records: Sequence[bytes]) -> Answer:
            if not self.sending.is_set():
                self.sending.set()
                inner.append(sender.attempt(take))
            return super().send(records)

    delivery = Nested()
    sender, take = Sender(delivery), from_list([b"a" * 600_000, b"b" * 600_000])
    outer = sender.attempt(take)
    assert outer is not None
    assert outer.delivered == inner[0].delivered == 1
    assert sorted(delivery.records) == [b"a" * 600_000, b"b" * 600_000]


def test_a_logging_handler_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError

    handler = Raising()
    logging.getLogger("failpath_otel").addHandler(handler)
    try:
        outcomes = all_outcomes(Sender(HeldDelivery(answers=[BUSY, GONE, REJECTED])), [b"a" * 900_000, b"b" * 900_000])
    finally:
        logging.getLogger("failpath_otel").removeHandler(handler)
    assert [outcome.settled for outcome in outcomes] == [False, True, True]


def test_a_size_that_was_refused_is_not_tried_again_by_what_waits() -> None:
    delivery = Picky(likes=100_000)
    all_outcomes(Sender(delivery), [b"x" * 1_000] * 1_000)
    assert sorted(set(delivery.refused), reverse=True) == delivery.refused


def test_a_small_limit_is_remembered_too() -> None:
    delivery = Picky(likes=10_000)
    sender = Sender(delivery)
    all_outcomes(sender, [b"x" * 1_000] * 60)
    delivery.refused.clear()
    all_outcomes(sender, [b"x" * 1_000] * 60)
    assert delivery.refused == []


def test_after_many_batches_larger_ones_are_tried_again() -> None:
    delivery = Picky(likes=1_500)
    sender = Sender(delivery)
    all_outcomes(sender, [b"x" * 1_000] * 2)
    delivery.likes = 10**9
    all_outcomes(sender, [b"x" * 1_000] * 2_000)
    assert max(len(batch) for batch in delivery.batches) > 16
