"""When a batch that failed is tried again, and when no more; by a clock that a test sets."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from failpath_otel import limits
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.retries.retry_queue import RetryQueue
from failpath_otel.records.request import Answer, misconfigured, no_response

BUSY = Answer("answered 503", 503, retryable=True)
GONE = misconfigured("answered 410", 410)
BROKEN = no_response("could not be reached")
_ROUNDING = 1e-6


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def a_batch(*records: bytes, since: float = 1_000.0) -> Batch:
    given = records or (b"one",)
    return Batch(given, sum(map(len, given)), since)


def asking_for(seconds: float) -> Answer:
    return Answer("answered 503", 503, retryable=True, retry_after=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> RetryQueue:
    return RetryQueue("http://127.0.0.1:9/v1/events", clock)


def delays(backlog: RetryQueue, clock: Clock, attempts: int) -> list[float]:
    """The pauses after so many failed attempts in a row, each with a batch of its own."""
    found = []
    for _ in range(attempts):
        assert backlog.schedule_retry(a_batch(since=clock.now), BUSY)
        found.append(backlog.pause())
        clock.now += backlog.pause()
        backlog.take()
    return found


def test_delays_double_up_to_a_cap_and_each_is_changed_by_chance_within_its_bounds(
    backlog: RetryQueue, clock: Clock
) -> None:
    found = delays(backlog, clock, 40)
    middles = [min(limits.RETRY_FIRST_DELAY * 2**number, limits.RETRY_MAX_DELAY) for number in range(40)]
    for delay, middle in zip(found, middles, strict=True):
        assert middle * (1 - limits.RETRY_JITTER) - _ROUNDING <= delay <= middle * (1 + limits.RETRY_JITTER) + _ROUNDING
    capped = found[middles.index(limits.RETRY_MAX_DELAY) :]
    assert len({round(delay, 6) for delay in capped}) > 10


def test_thousands_of_failures_in_a_row_leave_the_delay_at_its_cap(backlog: RetryQueue, clock: Clock) -> None:
    assert max(delays(backlog, clock, 5_000)) <= limits.RETRY_MAX_DELAY * (1 + limits.RETRY_JITTER) + _ROUNDING


def test_two_processes_do_not_come_back_at_the_same_moment() -> None:
    clock = Clock()
    assert delays(RetryQueue("http://a", clock), clock, 6) != delays(RetryQueue("http://b", clock), clock, 6)


def test_the_random_numbers_of_the_application_are_left_as_they_are(backlog: RetryQueue, clock: Clock) -> None:
    random.seed(7)
    before = random.getstate()
    delays(backlog, clock, 20)
    RetryQueue("http://127.0.0.1:9", clock)
    assert random.getstate() == before


def test_after_a_success_the_delays_begin_anew(backlog: RetryQueue, clock: Clock) -> None:
    delays(backlog, clock, 10)
    backlog.succeeded()
    assert backlog.pause() == 0
    assert not backlog.failing
    [delay] = delays(backlog, clock, 1)
    assert delay <= limits.RETRY_FIRST_DELAY * (1 + limits.RETRY_JITTER) + _ROUNDING


def test_a_batch_is_tried_again_until_its_time_is_over_and_then_lost(backlog: RetryQueue, clock: Clock) -> None:
    batch, began, attempts = a_batch(), clock.now, 1
    while backlog.schedule_retry(batch, BUSY):
        assert backlog.take() is batch
        clock.now += backlog.pause()
        attempts += 1
    assert attempts > 1_000
    assert clock.now - began >= limits.MAX_AGE_SECONDS
    assert clock.now - began < limits.MAX_AGE_SECONDS + limits.RETRY_MAX_DELAY * (1 + limits.RETRY_JITTER)
    assert not backlog


def test_the_time_of_a_batch_counts_from_when_its_records_were_taken(backlog: RetryQueue, clock: Clock) -> None:
    old = a_batch(since=clock.now - limits.MAX_AGE_SECONDS)
    nearly = a_batch(since=clock.now - limits.MAX_AGE_SECONDS + 1)
    assert not backlog.schedule_retry(old, BUSY)
    assert backlog.schedule_retry(nearly, BUSY)


def test_no_attempt_is_due_before_the_pause_that_a_server_asked_for_is_over(backlog: RetryQueue, clock: Clock) -> None:
    assert backlog.schedule_retry(a_batch(), asking_for(60.0))
    assert backlog.pause() == 60
    backlog.retry_now()
    assert backlog.retry_after_left()
    assert backlog.pause() == 60
    clock.now += 59.5
    backlog.retry_now()
    assert backlog.pause() == 0.5
    clock.now += 0.5
    assert not backlog.retry_after_left()
    assert backlog.pause() == 0


def test_a_pause_that_a_server_asked_for_never_shortens_the_delay(backlog: RetryQueue, clock: Clock) -> None:
    delays(backlog, clock, 10)
    assert backlog.schedule_retry(a_batch(), asking_for(1.0))
    assert backlog.pause() > limits.RETRY_MAX_DELAY * (1 - limits.RETRY_JITTER) - _ROUNDING
    backlog.retry_now()
    assert backlog.pause() == 1


def test_who_is_in_a_hurry_makes_the_next_attempt_due_at_once(backlog: RetryQueue, clock: Clock) -> None:
    delays(backlog, clock, 10)
    assert backlog.schedule_retry(a_batch(), BROKEN)
    assert backlog.pause() > 1
    backlog.retry_now()
    assert backlog.pause() == 0


def test_a_success_ends_the_pause_and_one_of_a_wrong_way_asks_for_none(backlog: RetryQueue) -> None:
    assert backlog.schedule_retry(a_batch(), asking_for(60.0))
    backlog.take()
    assert backlog.schedule_retry(a_batch(), GONE)
    assert (backlog.pause() < 60, backlog.retry_after_left(), bool(backlog)) == (True, False, True)
    assert backlog.schedule_retry(a_batch(), asking_for(60.0))
    backlog.succeeded()
    assert (backlog.pause(), backlog.retry_after_left()) == (0, False)


def test_a_hurry_in_the_midst_of_planning_a_pause_does_not_take_away_what_the_server_has_asked_for() -> None:
    class Interrupting(Clock):
        """Lets the delivery thread plan a pause while another one has begun to hurry."""

        then: Callable[[], object] | None = None

        def __call__(self) -> float:
            then, self.then = self.then, None
            if then is not None:
                then()
            return super().__call__()

    clock = Interrupting()
    backlog = RetryQueue("http://127.0.0.1:9/v1/events", clock)
    assert backlog.schedule_retry(a_batch(), BUSY)
    clock.then = lambda: backlog.schedule_retry(backlog.take(), asking_for(60.0))
    backlog.retry_now()
    assert backlog.pause() == 60


def test_batches_that_are_put_back_come_first_and_keep_their_order(backlog: RetryQueue) -> None:
    halves = a_batch(b"1", b"2"), a_batch(b"3", b"4")
    backlog.add(a_batch(b"5"))
    backlog.add(*halves)
    assert [backlog.take().records for _ in range(3)] == [(b"1", b"2"), (b"3", b"4"), (b"5",)]


@pytest.mark.parametrize("count", [2, 3, 512])
def test_halves_of_a_batch_hold_its_records_in_their_order_and_its_history(count: int) -> None:
    records = [b"x" * (number % 7 + 1) for number in range(count)]
    batch = Batch(records, sum(map(len, records)), since=5.0, failed=True)
    first, second = batch.halves()
    assert [*first.records, *second.records] == records
    assert first.records
    assert second.records
    assert first.size + second.size == batch.size
    assert [(half.since, half.failed) for half in (first, second)] == [(5.0, True)] * 2


def test_an_outage_is_two_log_lines_whatever_fails_in_it_and_one_for_the_way(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lost = iter([7, 10])
    backlog = RetryQueue("http://127.0.0.1:9/v1/events", clock, lambda: next(lost))
    backlog.schedule_retry(a_batch(), BUSY)
    backlog.schedule_retry(backlog.take(), BROKEN)
    backlog.schedule_retry(backlog.take(), GONE)
    backlog.schedule_retry(backlog.take(), GONE)
    clock.now += limits.MAX_AGE_SECONDS
    assert not backlog.schedule_retry(a_batch(since=0.0), asking_for(1.0))
    clock.now += 12
    backlog.succeeded()
    backlog.succeeded()
    began, way, ended = caplog.messages
    assert "answered 503" in began
    assert "answered 410" in way
    assert f"takes records again after {limits.MAX_AGE_SECONDS + 12:.0f} s; 3 were lost" in ended


def test_the_next_outage_is_told_anew_with_its_own_length_and_losses(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lost = iter([0, 2, 2, 2])
    backlog = RetryQueue("http://127.0.0.1:9/v1/events", clock, lambda: next(lost))
    backlog.schedule_retry(a_batch(), GONE)
    backlog.succeeded()
    clock.now += 500
    backlog.schedule_retry(a_batch(), BROKEN)
    clock.now += 3
    backlog.succeeded()
    assert "2 were lost" in caplog.messages[1]
    assert "could not be reached" in caplog.messages[2]
    assert "after 3 s; 0 were lost" in caplog.messages[3]
    assert len(caplog.messages) == 4
