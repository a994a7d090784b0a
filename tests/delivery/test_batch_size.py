"""After a 413: how small batches get, how soon they are large again, and what is said of it."""

import threading
from collections.abc import Sequence
from time import monotonic

import pytest

from failpath_otel import SendError, limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.retries.batch import NO_BATCH, Batch
from failpath_otel.delivery.retries.batch_size import BatchSize
from failpath_otel.delivery.sender import Sender
from failpath_otel.records.request import Answer, read_answer
from tests.delivery.pipelines import HeldDelivery, a_record, pipeline
from tests.receiver import wait_for

URL = "http://127.0.0.1:9/v1/events"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Limited(HeldDelivery):
    """Answers 413 to more bytes than its limit."""

    limit = 0
    refused = 0

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        if sum(map(len, records)) > self.limit:
            self.refused += 1
            return read_answer(413, {}, b"", len(records))
        return super().send(records, within)


def test_a_moment_of_413_is_over_in_seconds_and_full_batches_follow_each_other_without_a_pause() -> None:
    delivery = Limited()
    with pipeline(delivery, schedule_delay=5.0) as queue:
        queue.put_together([a_record(0) for _ in range(1_000)])
        wait_for(lambda: queue.sender.retries.failing)
        delivery.limit = 10**9
        began = monotonic()
        queue.put_together([a_record(0) for _ in range(9_000)])
        queue.flusher.send_now()
        # At one batch every schedule delay, this would take hours.
        wait_for(lambda: queue.stats() == Stats(10_000, 10_000, 0, {}), 20)
        assert monotonic() - began < 20
    assert max(map(len, delivery.batches)) == limits.MAX_BATCH_RECORDS


def test_a_full_batch_is_followed_by_the_next_without_a_pause_where_the_limit_stays_low() -> None:
    delivery = Limited()
    delivery.limit = 3_000
    with pipeline(delivery, schedule_delay=0.3) as queue:
        queue.put_together([a_record(0) for _ in range(510)])
        wait_for(lambda: queue.stats().waiting == 0, 20)
        began = monotonic()
        queue.put_together([a_record(0) for _ in range(500)])
        wait_for(lambda: queue.stats().waiting == 0, 20)
        assert monotonic() - began < 100 * 0.3
        took = len(delivery.batches)
    assert took > 100


def test_a_limit_that_stays_costs_few_requests() -> None:
    clock, limit, refused = Clock(), 100_000, 0
    size = BatchSize(URL, clock)
    for _ in range(2_000):  # a batch a second, as large as it may be
        clock.now += 1
        if size.bytes > limit:
            refused += 1
            size.refuse(size.bytes)
        else:
            size.take(size.bytes)
    assert refused < 60


@pytest.mark.parametrize("limit", [700, 30_000, 600_000])
def test_a_limit_that_goes_away_is_noticed_within_seconds(limit: int) -> None:
    clock = Clock()
    size = BatchSize(URL, clock)
    while size.bytes > limit:
        size.refuse(size.bytes)
    began = clock.now
    while size.bytes < limits.MAX_BATCH_BYTES:
        clock.now += 0.02
        size.take(size.bytes)
    assert clock.now - began < 3


def test_it_is_one_line_at_the_start_and_one_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    size = BatchSize(URL, clock)
    for _ in range(50):
        size.refuse(size.bytes)
        clock.now += 1
        size.take(size.bytes)
    [began] = [message for message in caplog.messages if "batch" in message]
    assert began == f"Failpath: {URL} rejects a batch of 1048576 bytes as too large; it gets smaller ones."
    for _ in range(50):
        clock.now += 10
        size.take(size.bytes)
    assert caplog.messages[1:] == [f"Failpath: {URL} accepts batches of full size again."]
    for _ in range(50):
        size.take(size.bytes)
    assert len(caplog.messages) == 2


def attempts(sender: Sender, records: Sequence[bytes], count: int) -> list[SendError | None]:
    left = [Batch(tuple(records), sum(map(len, records)), monotonic())]
    errors = []
    for _ in range(count):
        outcome = sender.attempt(lambda _: left.pop() if left else NO_BATCH)
        if outcome is not None:
            assert outcome.error is None or isinstance(outcome.error, SendError)
            errors.append(outcome.error)
    return errors


def test_413_to_a_record_that_cannot_be_too_large_is_worth_another_try(caplog: pytest.LogCaptureFixture) -> None:
    delivery = Limited()
    sender = Sender(delivery)
    record = a_record(500)
    errors = attempts(sender, [record, record], 20)
    assert all(error is not None and error.retrying and error.status == 413 for error in errors)
    assert len(errors) >= 10
    outage = [line for line in caplog.messages if "wait" in line]
    assert len(outage) == 1
    assert "which is not too large; records wait, and are sent again" in outage[0]
    delivery.limit = 10**9
    assert attempts(sender, (), 2) == [None, None]
    assert len(delivery.records) == 2
    assert len(caplog.messages) == 4


def test_413_to_a_large_record_of_which_nothing_can_be_left_out_is_final() -> None:
    [error] = attempts(Sender(Limited()), [b"x" * 5_000], 3)
    assert error is not None
    assert (error.status, error.retrying) == (413, False)


def test_who_waits_for_an_attempt_does_not_wait_until_the_parts_are_small_enough() -> None:
    class Slow(Limited):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            asked.append(len(records))
            return super().send(records, within)

    asked: list[int] = []
    delivery = Slow(held=True)
    delivery.limit = 10_000
    with pipeline(delivery) as queue:
        queue.put_together([a_record(0) for _ in range(400)])
        in_time, error = queue.await_attempt(10)
        # A step does not wait for it, but whoever answers for the records does.
        threading.Timer(0.05, delivery.gate.set).start()
        assert queue.await_attempt(10, whole_batch=True) == (True, None)
        assert in_time
        assert isinstance(error, SendError)
        assert error.retrying
        assert queue.flush(10) is True
    assert asked[0] == 400
