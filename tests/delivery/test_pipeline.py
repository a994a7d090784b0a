"""The queue: order, bounds, what a full one refuses, and its end."""

import gc
import json
import sys
import threading
from types import FrameType
from typing import Any

import pytest

from failpath_otel import limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.queue import RecordQueue
from failpath_otel.records import request
from tests.delivery.pipelines import GONE, REJECTED, HeldDelivery, an_outcome, numbered, pipeline
from tests.receiver import wait_for


def test_records_are_delivered_in_the_order_in_which_they_were_put() -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, schedule_delay=0.0) as queue:
        for number in range(2_000):
            assert queue.put(numbered(number))
        assert queue.flush(10)
    assert delivery.records == [numbered(number) for number in range(2_000)]


def test_each_thread_finds_its_own_records_in_their_order() -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, schedule_delay=0.0) as queue:

        def put(thread: int) -> None:
            for number in range(500):
                queue.put(json.dumps([thread, number]).encode())

        threads = [threading.Thread(target=put, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert queue.flush(10)
    delivered = [json.loads(record) for record in delivery.records]
    for each in range(4):
        assert [number for owner, number in delivered if owner == each] == list(range(500))


def test_a_record_is_delivered_without_anybody_flushing() -> None:
    delivery = HeldDelivery()
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert delivery.sending.wait(10)
        # And again, once the thread has gone to sleep.
        wait_for(lambda: queue.wakeup.asleep)
        queue.put(numbered(2))
        wait_for(lambda: delivery.records == [numbered(1), numbered(2)])


def test_the_first_record_waits_for_company_and_a_full_batch_does_not() -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, schedule_delay=3_600.0) as queue:
        for number in range(limits.MAX_BATCH_RECORDS - 1):
            queue.put(numbered(number))
        assert not delivery.sending.wait(0.05)
        queue.put(numbered(511))
        assert delivery.sending.wait(10)
        assert len(delivery.batches[0]) == limits.MAX_BATCH_RECORDS


def test_batches_have_at_most_512_records() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, schedule_delay=0.0) as queue:
        for number in range(1_500):
            queue.put(numbered(number))
        delivery.gate.set()
        assert queue.flush(10)
    assert max(len(batch) for batch in delivery.batches) == limits.MAX_BATCH_RECORDS


def test_batches_have_at_most_one_mebibyte() -> None:
    delivery = HeldDelivery(held=True)
    record = b'"' + b"x" * 59_998 + b'"'
    with pipeline(delivery, schedule_delay=0.0) as queue:
        for _ in range(60):
            queue.put(record)
        delivery.gate.set()
        assert queue.flush(10)
    sizes = [len(request.body(batch)) for batch in delivery.batches]
    assert limits.MAX_BATCH_BYTES - 60_003 < max(sizes) <= limits.MAX_BATCH_BYTES
    assert len(delivery.records) == 60


def test_a_queue_that_is_full_in_records_refuses_the_new_one_and_keeps_the_old_ones() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=10) as queue:
        assert [queue.put(numbered(number)) for number in range(12)] == [*range(1, 11), 0, 0]
        assert queue.stats() == Stats(10, 0, 10, {"queue_full": 2})
        delivery.gate.set()
        wait_for(lambda: queue.stats().waiting == 0)
    assert delivery.records == [numbered(number) for number in range(10)]


def test_a_queue_that_is_full_in_bytes_refuses_the_new_record() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_bytes=100) as queue:
        assert [queue.put(b"x" * 40) for _ in range(3)] == [1, 2, 0]
        assert queue.put(b"x" * 20)


def test_records_on_their_way_still_count_against_the_bound() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=2, schedule_delay=0.0) as queue:
        assert queue.put(numbered(1))
        assert delivery.sending.wait(10)
        assert queue.put(numbered(2))
        assert not queue.put(numbered(3))


def test_an_accepted_start_keeps_room_for_its_outcome_in_a_full_queue() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=10) as queue:
        assert queue.put_start(b"start")
        while queue.put(b"other"):
            pass
        assert queue.stats().waiting == 9
        assert not queue.put_start(b"late")
        outcome = an_outcome()
        assert queue.put_outcome(outcome[0])
        assert queue.stats().waiting == 10
        delivery.gate.set()
        wait_for(lambda: queue.stats().waiting == 0)
    assert delivery.records[0] == b"start"
    assert delivery.records[-1] == outcome[0]
    assert b"late" not in delivery.records


def test_beyond_half_the_queue_of_open_steps_outcomes_exceed_the_bound_and_none_is_lost() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=10, schedule_delay=0.0) as queue:
        started = 0
        while started < 8:  # more than half, each sent before the next begins
            assert queue.put_start(b"start")
            started += 1
            delivery.gate.set()
            wait_for(lambda: queue.stats().waiting == 0)
            delivery.gate.clear()
        while queue.put(b"other"):
            pass
        assert queue.stats().waiting == 5
        assert all(queue.put_outcome(an_outcome()[0]) for _ in range(started))


def test_the_place_of_an_outcome_is_given_back_when_it_has_come() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_records=4) as queue:
        assert queue.put_start(b"start")
        assert queue.put_outcome(an_outcome()[0])
        assert queue.put(b"other")
        assert queue.put(b"other")
        assert not queue.put(b"other")


def test_an_outcome_for_which_bytes_are_short_is_cut_to_its_identity() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, max_bytes=5_000) as queue:
        assert queue.put_start(b"x" * 4_900)
        whole, _ = an_outcome(1_000)
        assert queue.put_outcome(whole)
        delivery.gate.set()
        wait_for(lambda: queue.stats().waiting == 0)
    sent = json.loads(delivery.records[-1])
    assert "failpath.cut_down" in sent["metadata"]
    for name in ("id", "flowKey", "runId", "stepKey", "status", "timestamp"):
        assert sent[name] == json.loads(whole)[name]


def test_counts_of_every_kind_of_loss_add_up_with_what_was_accepted() -> None:
    delivery = HeldDelivery(held=True, answers=[REJECTED, *[GONE] * 5])
    with pipeline(delivery, max_records=6) as queue:
        for number in range(3):
            queue.put(numbered(number))
        cancel = queue.flusher.watch(lambda _: None)
        assert delivery.sending.wait(10)
        for number in range(10):
            queue.put(numbered(number))
        delivery.gate.set()
        assert queue.flush(10) is False
        assert cancel is not None
        cancel()
        stats = queue.stats()
    assert stats == Stats(6, 2, 0, {"rejected": 1, "send_failed": 3, "queue_full": 7})
    assert stats.accepted == stats.delivered + stats.waiting + 1 + 3


def test_shutdown_flushes_then_refuses_and_ends_the_thread() -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, schedule_delay=3_600.0) as queue:
        queue.put(numbered(1))
        thread = queue.worker.thread
        assert thread is not None
        assert queue.shutdown(10) is True
        assert delivery.records == [numbered(1)]
        thread.join(10)
        assert not thread.is_alive()
        assert not queue.put(numbered(2))
        assert not queue.put_start(numbered(2))
        assert not queue.put_outcome(an_outcome()[0])
        assert queue.stats() == Stats(1, 1, 0, {"shut_down": 3})


def test_what_waits_at_a_shutdown_that_gives_up_is_still_sent() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert queue.shutdown(0.01) is False
        delivery.gate.set()
        wait_for(lambda: queue.stats().delivered == 1)


def test_a_retired_pipeline_ends_its_thread_and_still_delivers_the_outcomes_of_open_steps() -> None:
    delivery = HeldDelivery()
    with pipeline(delivery) as queue:
        queue.put_start(b"start")
        thread = queue.worker.thread
        assert thread is not None
        queue.worker.retire()
        thread.join(10)
        assert not thread.is_alive()
        outcome = an_outcome()
        assert queue.put_outcome(outcome[0])
        assert queue.flush(10)
        assert delivery.records == [b"start", outcome[0]]


def test_a_record_that_garbage_collection_ends_inside_of_put_does_not_deadlock() -> None:
    delivery = HeldDelivery()
    done = threading.Event()
    with pipeline(delivery) as queue:

        class Ending:
            def __init__(self) -> None:
                self.itself = self

            def __del__(self) -> None:
                queue.put(b"from __del__")

        def collect(frame: Any, kind: str, argument: object) -> None:
            # Inside of _put the lock is held; a collection there is what an allocation can set off at any time.
            if kind == "call" and frame.f_code is RecordQueue.add.__code__ and not done.is_set():
                done.set()
                Ending()
                gc.collect()

        def put() -> None:
            sys.setprofile(collect)
            try:
                queue.put(b"outer")
            finally:
                sys.setprofile(None)

        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        assert done.is_set()
        assert queue.flush(10)
    assert sorted(delivery.records) == [b"from __del__", b"outer"]


def test_a_thread_without_records_ends_after_a_while_and_the_next_record_starts_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "POLLING_SECONDS", 0.01)
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.01)
    delivery = HeldDelivery()
    with pipeline(delivery, schedule_delay=0.01) as queue:
        for number in range(3):
            queue.put(numbered(number))
            assert queue.flush(10)
            wait_for(lambda: queue.worker.thread is None)
    assert delivery.records == [numbered(number) for number in range(3)]


def test_an_interruption_between_two_lines_of_a_put_leaves_the_counts_true() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery) as queue:
        queue.put(numbered(0))

        def interrupt(frame: FrameType, event: str, argument: object) -> Any:
            if (
                event == "line"
                and frame.f_code is RecordQueue.add.__code__
                and len(queue.queue.memory.waiting) > before
            ):
                raise KeyboardInterrupt
            return interrupt

        assert delivery.sending.wait(10)
        before = len(queue.queue.memory.waiting)
        sys.settrace(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                queue.put(numbered(1))
        finally:
            sys.settrace(None)
        assert queue.stats().waiting == 2
        assert queue.flush(0) is False
        delivery.gate.set()
        assert queue.flush(10) is True
        assert queue.stats() == Stats(2, 2, 0, {})
