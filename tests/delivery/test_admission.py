"""The way into the queue, without a thread that takes anything out of it."""

from typing import Any

import pytest

from failpath_otel import limits
from failpath_otel.delivery.admission import Admission
from failpath_otel.delivery.ledger import Ledger
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.delivery.wakeup import Wakeup
from tests.delivery.pipelines import an_outcome, numbered


class Entrance:
    """The parts that a record passes before it waits."""

    def __init__(self, max_records: int = 4, max_bytes: int = 1_000_000) -> None:
        self.started = 0
        self.ledger = Ledger(ErrorCallback(None))
        self.wakeup = Wakeup()
        self.queue = RecordQueue(self.ledger, self.wakeup)
        self.admission = Admission(
            queue=self.queue,
            ledger=self.ledger,
            wakeup=self.wakeup,
            start=self._start,
            is_failing=lambda: False,
            max_records=max_records,
            max_bytes=max_bytes,
        )

    def _start(self) -> None:
        self.started += 1

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.ledger.stats(self.queue.count()).dropped)

    def settle(self) -> None:
        batch, _ = self.queue.take()
        self.queue.settle(batch)
        self.ledger.settle(batch, len(batch.records))


def test_tickets_follow_one_another_and_batches_carry_them() -> None:
    entrance = Entrance()
    assert [entrance.admission.put(numbered(number)) for number in range(3)] == [1, 2, 3]
    batch, skipped = entrance.queue.take()
    assert (list(batch.tickets), skipped) == ([1, 2, 3], None)
    assert [list(part.tickets) for part in batch.halves()] == [[1], [2, 3]]


def test_each_record_has_a_thread_started_while_there_is_none() -> None:
    entrance = Entrance()
    entrance.admission.put(numbered(1))
    entrance.wakeup.thread_has_begun()
    entrance.admission.put(numbered(2))
    entrance.wakeup.thread_has_ended()
    entrance.admission.put(numbered(3))
    assert entrance.started == 2


def test_a_start_that_is_accepted_reserves_the_place_of_its_outcome() -> None:
    entrance = Entrance(max_records=4)
    assert entrance.admission.put_start(numbered(1))
    assert entrance.admission.put_start(numbered(2))
    assert not entrance.admission.put_start(numbered(3)), "with two that wait, and two outcomes that will follow"
    assert entrance.admission.put_outcome(an_outcome()[0])
    assert entrance.admission.put_outcome(an_outcome()[0])
    assert entrance.dropped == {"queue_full": 1}
    assert entrance.admission.reserved == 0


def test_the_outcomes_of_steps_that_stay_open_take_no_more_than_half_of_the_room() -> None:
    entrance = Entrance(max_records=4)
    for number in range(10):
        assert entrance.admission.put_start(numbered(number))
        entrance.settle()
    assert entrance.admission.has_room(2, 1)
    assert not entrance.admission.has_room(3, 1)


def test_what_is_settled_makes_room() -> None:
    entrance = Entrance(max_records=2)
    assert entrance.admission.put_together([numbered(1), numbered(2)])
    assert not entrance.admission.has_room(1, 1)
    entrance.settle()
    assert entrance.admission.has_room(2, 1)
    assert (entrance.queue.memory.size, entrance.queue.memory.records) == (0, 0)
    assert entrance.admission.is_idle()


@pytest.mark.parametrize("give_back", ["forgo_outcome", "lose_outcome"])
def test_a_place_that_is_given_back_is_free(give_back: str) -> None:
    entrance = Entrance(max_records=2)
    assert entrance.admission.put_start(numbered(1))
    assert not entrance.admission.has_room(1, 1)
    arguments: tuple[Any, ...] = ("invalid",) if give_back == "lose_outcome" else ()
    getattr(entrance.admission, give_back)(*arguments)
    assert entrance.admission.has_room(1, 1)
    assert entrance.dropped == ({"invalid": 1} if arguments else {})


def test_a_queue_that_is_closed_accepts_nothing() -> None:
    entrance = Entrance()
    entrance.queue.closed = True
    assert not entrance.admission.put(numbered(1))
    assert entrance.dropped == {"shut_down": 1}
    assert str(entrance.admission.refusal()).startswith("records came after the shutdown")


def test_an_outcome_that_has_no_room_for_its_metadata_is_cut_down_to_its_status() -> None:
    entrance = Entrance(max_bytes=500)
    data, _ = an_outcome(10_000)
    assert entrance.admission.put_start(numbered(1))
    assert entrance.admission.put_outcome(data)
    assert entrance.queue.memory.size < 500 < len(data)


def test_a_thread_is_woken_by_the_first_record_as_it_sleeps_and_by_a_full_batch() -> None:
    entrance = Entrance(max_records=10_000)
    wakeup = entrance.wakeup
    wakeup.thread_has_begun()
    with entrance.queue.lock:
        wakeup.fall_asleep()
    entrance.admission.put(numbered(0))
    assert wakeup.wait(0)
    for number in range(1, limits.MAX_BATCH_RECORDS - 1):
        entrance.admission.put(numbered(number))
    assert not wakeup.wait(0)
    entrance.admission.put(numbered(0))
    assert wakeup.wait(0)
    entrance.admission.put(numbered(0))
    assert not wakeup.wait(0), "until the next batch is full"
