"""The ledger alone: what became of records, and who waits for which."""

import sys
from types import FrameType
from typing import Any

import pytest

from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.delivery.waiters.waiters import Waiter
from failpath_otel.errors import DeliveryError, SendError


class Watched:
    """A ledger with waiters that write down how their wait has ended."""

    def __init__(self) -> None:
        self.errors: list[DeliveryError] = []
        self.ledger = Ledger(_Collecting(self.errors))
        self.ended: dict[str, DeliveryError | None] = {}

    def wait(self, name: str, first: int, last: int, **options: Any) -> bool:
        options.setdefault("of_attempt", False)
        waiter = Waiter(first, last, lambda error: self.ended.update({name: error}), **options)
        return self.ledger.add(waiter)


class _Collecting(ErrorCallback):
    """Calls nothing, on no thread."""

    def __init__(self, errors: list[DeliveryError]) -> None:
        super().__init__(None)
        self._errors = errors

    def call(self, error: DeliveryError) -> None:
        self._errors.append(error)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def batch(*tickets: int, after: int | None = None) -> Batch:
    before = tickets[0] - 1 if after is None else after
    return Batch([b"{}"] * len(tickets), 2 * len(tickets), 0.0, tickets=tickets, after=before)


def test_a_batch_that_is_settled_after_a_later_one_takes_nothing_back(watched: Watched) -> None:
    watched.ledger.settle(batch(2), 1)
    watched.ledger.settle(batch(1), 1)
    assert watched.ledger.is_settled(2)
    assert not watched.wait("both", 1, 2)


def test_a_wait_ends_when_its_last_record_is_settled_and_not_before(watched: Watched) -> None:
    assert watched.wait("both", 1, 2)
    watched.ledger.settle(batch(1), 1)
    assert watched.ended == {}
    watched.ledger.settle(batch(2), 1)
    assert watched.ended == {"both": None}
    assert watched.ledger.waiter_count == 0
    assert not watched.wait("late", 1, 2)
    assert watched.ledger.stats(2) == Stats(2, 2, 0)


def test_a_loss_is_reported_to_the_waiter_for_that_record_alone(watched: Watched) -> None:
    lost = SendError("is lost", 1)
    for ticket in (1, 2, 3):
        watched.wait(str(ticket), ticket, ticket)
    watched.ledger.settle(batch(1, 2, 3), 2, "rejected", rejected=[(1, lost)])
    assert watched.ended == {"1": None, "2": lost, "3": None}
    assert watched.errors == [lost]
    assert [watched.ledger.loss_of(ticket, ticket) for ticket in (1, 2, 3)] == [None, lost, None]
    assert watched.ledger.stats(3) == Stats(3, 2, 0, {"rejected": 1})


def test_tickets_need_not_follow_one_another_as_numbers_do(watched: Watched) -> None:
    """As those of records that are known by their segment and their place in it."""
    lost = SendError("is lost", 2)
    places = [7 << 32 | 64, 7 << 32 | 512, 8 << 32 | 64, 8 << 32 | 90]
    for place in places:
        watched.wait(str(place), place, place)
    watched.ledger.settle(batch(*places[:2], after=0), 1, "rejected", rejected=[(1, lost)])
    assert watched.ended == {str(places[0]): None, str(places[1]): lost}
    watched.ledger.settle(batch(*places[2:], after=places[1]), 0, "send_failed", error=lost)
    assert [watched.ended[str(place)] for place in places] == [None, lost, lost, lost]
    assert watched.ledger.stats(4) == Stats(4, 1, 0, {"rejected": 1, "send_failed": 2})


def test_what_is_settled_early_counts_once_all_before_it_is_settled(watched: Watched) -> None:
    """Where there is no delivery thread, two threads, or a signal handler and what it interrupts, may both send."""
    lost = SendError("is lost", 1)
    for ticket in (1, 3, 6):
        watched.wait(str(ticket), ticket, ticket)
    watched.ledger.settle(batch(5, 6), 1, "rejected", rejected=[(0, lost)])
    watched.ledger.pass_over(Skipped(1, "journal_full"), 3, 4)
    assert watched.ended == {}
    assert not watched.ledger.is_settled(6)
    watched.ledger.settle(batch(1, 2), 2)
    assert watched.ended == {"1": None}
    watched.ledger.settle(batch(3), 1)
    assert watched.ended == {"1": None, "3": None, "6": None}
    assert watched.ledger.is_settled(6)
    assert [watched.ledger.loss_of(ticket, ticket) for ticket in (3, 5, 6)] == [None, lost, None]


def test_a_record_that_arrives_in_the_midst_of_another_one_stays_settled(watched: Watched) -> None:
    watched.ledger.deliver(2)  # by a signal handler
    watched.ledger.deliver(1)
    assert watched.ledger.is_settled(2)
    assert watched.ledger.stats(2) == Stats(2, 2, 0)


def test_a_failed_attempt_ends_the_waits_for_an_attempt_and_a_lasting_failure_all_of_them(watched: Watched) -> None:
    failed = SendError("is down", 1, retrying=True)
    watched.wait("attempt", 1, 1, of_attempt=True)
    watched.wait("delivery", 1, 1)
    assert watched.ledger.attempt_failed(failed, lasting=False) is True
    assert watched.ended == {"attempt": failed}
    assert watched.ledger.attempt_failed(failed, lasting=True) is False
    assert watched.ended == {"attempt": failed, "delivery": failed}
    assert watched.errors == [], "nothing is lost"
    assert watched.ledger.stats(1) == Stats(1, 0, 1)


def test_a_batch_that_is_sent_in_parts_ends_the_waits_but_for_those_for_the_whole_batch(watched: Watched) -> None:
    divided = SendError("was too large", 2, retrying=True)
    watched.wait("attempt", 1, 2, of_attempt=True)
    watched.wait("whole", 1, 2, of_attempt=True, whole_batch=True)
    watched.ledger.attempt_divided(divided)
    assert watched.ended == {"attempt": divided}


def test_records_that_the_journal_has_dropped_count_once_as_lost_and_are_settled_when_they_are_passed_over(
    watched: Watched,
) -> None:
    watched.wait("dropped", 1, 3)
    watched.ledger.evict(3)
    assert watched.ledger.stats(5) == Stats(5, 0, 2, {"journal_full": 3})
    assert [watched.ledger.take_evicted(), watched.ledger.take_evicted()] == [3, 0]
    watched.ledger.pass_over(Skipped(3, "journal_full"), 0, 3)
    assert str(watched.ended["dropped"]) == str(Skipped(3, "journal_full").error())
    assert watched.errors == [], "that is reported where they are dropped"
    watched.ledger.settle(batch(4, 5), 2)
    assert watched.ledger.stats(5) == Stats(5, 2, 0, {"journal_full": 3})


def test_what_is_left_to_another_process_still_waits_and_is_no_delivery(watched: Watched) -> None:
    watched.ledger.settle(batch(1), 1)
    watched.wait("left", 2, 3)
    failed = SendError("is down", 2, retrying=True)
    for waiter in watched.ledger.leave(3, 3, failed):
        waiter.notify()
    assert watched.ended == {"left": failed}
    assert watched.ledger.stats(3) == Stats(3, 1, 2)
    assert not watched.ledger.is_lossless
    assert watched.ledger.waiting(3) == 0


def test_the_first_loss_is_given_once(watched: Watched) -> None:
    watched.ledger.lose("queue_full")
    watched.ledger.lose("invalid")
    assert watched.ledger.take_first_loss() is watched.errors[0]
    assert watched.ledger.take_first_loss() is None
    assert watched.ledger.dropped == 2


def test_a_waiter_that_asks_the_ledger_as_it_is_notified_finds_the_loss(watched: Watched) -> None:
    found: list[DeliveryError | None] = []
    watched.ledger.add(Waiter(1, 1, lambda _: found.append(watched.ledger.take_first_loss()), of_attempt=False))
    lost = SendError("is lost", 1)
    watched.ledger.settle(batch(1), 0, "send_failed", error=lost)
    assert found == [lost]


@pytest.mark.parametrize("at", range(8))
def test_a_handler_that_settles_a_batch_in_the_midst_of_a_settlement_leaves_nothing_waiting(
    watched: Watched, at: int
) -> None:
    watched.wait("all", 1, 6)
    first, second, third = batch(1, 2), batch(3, 4), batch(5, 6)
    second.after, third.after = 2, 4
    calls = 0

    def interrupt(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        if event == "c_return" and frame.f_code is Ledger._settle.__code__:
            calls += 1
            if calls == at + 1:
                sys.setprofile(None)
                watched.ledger.settle(third, 2)

    watched.ledger.settle(second, 2)
    sys.setprofile(interrupt)
    try:
        watched.ledger.settle(first, 2)
    finally:
        sys.setprofile(None)
    if calls <= at:
        watched.ledger.settle(third, 2)
    assert watched.ledger.is_settled(6)
    assert watched.ended == {"all": None}
