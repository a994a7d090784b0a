"""What becomes of a batch by what was answered: settled, kept, or split."""

import json
import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest

from failpath_otel import RejectedRecord, SendError, limits
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.sender import AttemptResult, Sender, Take
from failpath_otel.records.request import Answer, read_answer
from tests.delivery.pipelines import GONE, REJECTED, HeldDelivery, a_record, numbered, pipeline

BUSY = Answer("answered 503", 503, retryable=True)
TOO_LARGE = Answer("answered 413", 413, too_large=True)


class Picky(HeldDelivery):
    """Refuses, with 413, batches of more bytes than it likes."""

    def __init__(self, likes: int) -> None:
        super().__init__()
        self.likes = likes
        self.refused: list[int] = []

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        size = sum(map(len, records))
        if size > self.likes:
            self.refused.append(size)
            return TOO_LARGE
        return super().send(records, within)


def from_list(records: Sequence[bytes], since: float | None = None) -> Take:
    """Takes from ``records`` as the queue does; they wait ``since`` then, else since they are taken."""
    left = deque(records)

    def take(max_bytes: int) -> Batch:
        batch: list[bytes] = []
        while left and (not batch or sum(map(len, batch)) + len(left[0]) <= max_bytes):
            batch.append(left.popleft())
        return Batch(batch, sum(map(len, batch)), monotonic() if since is None else since)

    return take


def all_outcomes(sender: Sender, records: Sequence[bytes], since: float | None = None) -> list[AttemptResult]:
    """What became of everything; a batch that was only split has no outcome of its own."""
    take = from_list(records, since)
    outcomes: list[AttemptResult] = []
    for _ in range(10_000):
        outcome = sender.attempt(take)
        if outcome is None and not sender.retries:
            return outcomes
        if outcome is not None:
            outcomes.append(outcome)
    raise AssertionError("it never ends")


def test_a_batch_that_was_taken_is_settled_and_delivered() -> None:
    [outcome] = all_outcomes(Sender(HeldDelivery()), [b"a", b"b"])
    assert (outcome.settled, outcome.delivered, outcome.error, outcome.first) == (True, 2, None, True)


def test_each_record_that_was_rejected_is_lost_with_an_error_of_its_own_and_its_neighbours_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [a_record(step_key=key) for key in ("pack", "ship", "bill")]
    answer = Answer(status=202, rejected=((0, "unknown flow"), (2, "")))
    sender = Sender(HeldDelivery(answers=[answer, answer]))
    for _ in range(2):
        [outcome] = all_outcomes(sender, records)
        assert (outcome.settled, outcome.delivered, outcome.reason, outcome.error) == (True, 1, "rejected", None)
        [(first, pack), (third, bill)] = outcome.rejected
        assert (first, third) == (0, 2)
        assert (pack.records, pack.reason, bill.records, bill.reason) == (1, "unknown flow", 1, "")
        assert pack.record == RejectedRecord("checkout", "req-1", "pack", "success", "0" * 32)
        assert bill.record is not None
        assert bill.record.step_key == "bill"
        assert str(pack) == "the success of pack in checkout was rejected: unknown flow"
        assert "no reason" in str(bill)
    assert caplog.messages == [f"Failpath: 2 of 3 records were rejected; the first: {pack}"]


def test_a_rejected_record_that_cannot_be_read_is_lost_like_any_other() -> None:
    [outcome] = all_outcomes(Sender(HeldDelivery(answers=[REJECTED])), [b"a", b"b"])
    [(index, error)] = outcome.rejected
    assert (index, error.reason, error.record, error.records) == (0, "unknown flow", None, 1)
    assert outcome.delivered == 1


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


def test_a_failure_that_is_final_loses_the_record_that_it_is_about_at_once() -> None:
    sender = Sender(HeldDelivery(answers=[Answer(), GONE]))
    assert all_outcomes(sender, [b"a"])[0].delivered == 1
    [outcome] = all_outcomes(sender, [b"b"])
    assert (outcome.settled, outcome.delivered, outcome.reason) == (True, 0, "send_failed")
    assert isinstance(outcome.error, SendError)
    assert (outcome.error.retrying, outcome.error.status, outcome.error.records) == (False, 410, 1)
    assert sender.failure is outcome.error


@pytest.mark.parametrize("code", [302, 404, 405, 409, 410, 421])
def test_an_answer_that_is_about_the_way_keeps_the_batch(code: int) -> None:
    away = read_answer(code, {}, b"", 2)
    sender, take = Sender(HeldDelivery(answers=[away, away])), from_list([b"a", b"b"])
    first, second, third = (sender.attempt(take) for _ in range(3))
    for outcome in (first, second):
        assert outcome is not None
        assert (outcome.settled, outcome.persistent) == (False, True)
        assert isinstance(outcome.error, SendError)
        assert (outcome.error.retrying, outcome.error.status) == (True, code)
    assert third is not None
    assert third.delivered == 2


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_is_refused_keeps_the_batch(code: int, caplog: pytest.LogCaptureFixture) -> None:
    refused = read_answer(code, {}, b"", 1)
    sender, take = Sender(HeldDelivery(answers=[refused, refused])), from_list([b"a"])
    first, second, third = (sender.attempt(take) for _ in range(3))
    for outcome in (first, second):
        assert outcome is not None
        assert not outcome.settled
        assert isinstance(outcome.error, SendError)
        assert (outcome.error.retrying, outcome.error.status) == (True, code)
    assert third is not None
    assert third.delivered == 1
    refusal, end = caplog.messages
    assert f"refused the project key ({code}); records are kept until the key is accepted, for up to 48 h" in refusal
    assert "takes records again" in end


def test_a_batch_that_has_waited_for_too_long_is_lost_when_an_attempt_fails() -> None:
    old = monotonic() - limits.MAX_AGE_SECONDS
    [outcome] = all_outcomes(Sender(HeldDelivery(answers=[BUSY])), [b"a"], old)
    assert (outcome.settled, outcome.delivered, outcome.reason) == (True, 0, "too_old")
    assert isinstance(outcome.error, SendError)
    assert (outcome.error.retrying, outcome.error.status) == (False, 503)
    assert "48 hours" in str(outcome.error)
    [outcome] = all_outcomes(Sender(HeldDelivery()), [b"a"], old)
    assert outcome.delivered == 1


@pytest.mark.parametrize("records", [1, 2, 3, 100, 512])
def test_a_batch_that_is_too_large_is_halved_until_it_fits_and_nothing_is_lost(records: int) -> None:
    delivery, given = Picky(likes=200), [numbered(number).ljust(100) for number in range(records)]
    outcomes = all_outcomes(Sender(delivery), given)
    assert delivery.records == given
    assert sum(outcome.delivered for outcome in outcomes) == records


def test_a_single_record_that_is_too_large_is_sent_as_its_identity_and_status_in_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = [a_record(step_key="pack"), a_record(2_000, step_key="ship"), a_record(step_key="bill")]
    delivery = Picky(likes=600)
    outcomes = all_outcomes(Sender(delivery), given * 2)
    assert sum(outcome.delivered for outcome in outcomes) == 6
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    arrived = [json.loads(record) for record in delivery.records]
    assert [event["stepKey"] for event in arrived] == ["pack", "ship", "bill"] * 2
    whole = json.loads(given[1])
    assert arrived[1] == {**whole, "metadata": {"failpath.cut_down": "the record was too large"}}
    assert arrived[0] == json.loads(given[0])
    # The queue counts what it was given.
    assert sum(outcome.batch.size for outcome in outcomes) == 2 * sum(map(len, given))
    assert [line for line in caplog.messages if "without metadata" in line] == [
        f"Failpath: a record of {len(given[1])} bytes was too large; it is sent without metadata."
    ]


def test_a_cut_record_that_fails_for_a_while_stays_cut_and_keeps_its_place() -> None:
    delivery = HeldDelivery(answers=[TOO_LARGE, BUSY])
    outcomes = all_outcomes(Sender(delivery), [a_record(2_000), a_record(1, step_key="next")][:1])
    assert [(outcome.settled, outcome.delivered) for outcome in outcomes] == [(False, 0), (True, 1)]
    assert delivery.batches[1] == delivery.batches[2] != delivery.batches[0]


@pytest.mark.parametrize("large", [a_record(2_000, step_key="k" * 9_000), b"x" * 5_000], ids=["cut", "unreadable"])
def test_a_single_record_that_is_refused_in_its_smallest_form_is_lost_and_its_neighbours_are_not(large: bytes) -> None:
    class Refusing(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            refused = any(b"small" not in record for record in records)
            return TOO_LARGE if refused else super().send(records, within)

    delivery = Refusing()
    given = [b"small 1", large, b"small 2"]
    outcomes = all_outcomes(Sender(delivery), given)
    assert delivery.records == [given[0], given[2]]
    [lost] = [outcome for outcome in outcomes if outcome.error is not None]
    assert (lost.settled, lost.reason, lost.batch.size) == (True, "send_failed", len(large))
    assert isinstance(lost.error, SendError)
    assert (lost.error.status, lost.error.retrying, lost.error.records) == (413, False, 1)


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
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            if not self.sending.is_set():
                self.sending.set()
                raise KeyboardInterrupt
            return super().send(records, within)

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
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            if not self.sending.is_set():
                self.sending.set()
                inner.append(sender.attempt(take))
            return super().send(records, within)

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
        outcomes = all_outcomes(
            Sender(HeldDelivery(answers=[BUSY, Answer(), REJECTED])), [b"a" * 900_000, b"b" * 900_000]
        )
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
