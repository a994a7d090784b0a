"""Waiting for an attempt and for the truth: on threads and in asynchronous code."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import pytest

from failpath_otel import DeliveryError, RecordsRejectedError, SendError
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.waiters import async_waiters
from failpath_otel.delivery.waiters.async_waiters import attempted, settled
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import GONE, REJECTED, HeldDelivery, numbered, pipeline

BUSY = Answer("answered 503", 503, retryable=True)
PAUSE = Answer("answered 503", 503, retryable=True, retry_after=60.0)


def on_trio(function: Callable[..., Any], *arguments: object) -> Any:
    return pytest.importorskip("trio").run(function, *arguments)


Attempt = Callable[[Pipeline, float], DeliveryError | None]
Settle = Callable[[Pipeline, float], bool]
ATTEMPTS: dict[str, Attempt] = {
    "thread": lambda queue, timeout: queue.await_attempt(timeout)[1],
    "asyncio": lambda queue, timeout: asyncio.run(attempted(queue, timeout)),
    "trio": lambda queue, timeout: on_trio(attempted, queue, timeout),
}
SETTLED: dict[str, Settle] = {
    "thread": lambda queue, timeout: queue.flush(timeout),
    "asyncio": lambda queue, timeout: asyncio.run(settled(queue, timeout)),
    "trio": lambda queue, timeout: on_trio(settled, queue, timeout),
}
each_way_to_attempt = pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
each_way_to_settle = pytest.mark.parametrize("settle", SETTLED.values(), ids=SETTLED.keys())


def take_off(queue: Pipeline) -> None:
    """Ends the pause that a server has asked for, so that the shutdown need not wait for it."""
    queue.sender.retries.succeeded()
    queue.flusher.send_now()


@each_way_to_attempt
def test_an_attempt_that_succeeds_has_nothing_to_tell(attempt: Attempt) -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, schedule_delay=3_600.0) as queue:
        queue.put(numbered(1))
        assert attempt(queue, 10) is None
        assert delivery.records == [numbered(1)]
        assert attempt(queue, 10) is None


@each_way_to_attempt
def test_an_attempt_that_fails_is_enough_although_the_records_are_kept(attempt: Attempt) -> None:
    delivery = HeldDelivery(answers=[BUSY])
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        error = attempt(queue, 10)
        assert isinstance(error, SendError)
        assert error.retrying
        assert queue.stats().waiting == 1
        assert attempt(queue, 10) is error  # while the next attempt is not due, nobody waits for it
        assert queue.flush(10)
        assert attempt(queue, 10) is None


@each_way_to_attempt
@pytest.mark.parametrize(
    ("answer", "kind"), [(GONE, SendError), (REJECTED, RecordsRejectedError)], ids=["gone", "rejected"]
)
def test_who_waits_for_an_attempt_hears_why_the_records_are_lost_also_afterwards(
    attempt: Attempt, answer: Answer, kind: type[DeliveryError]
) -> None:
    with pipeline(HeldDelivery(answers=[Answer(), answer])) as queue:
        queue.put(numbered(0))
        assert queue.flush(10)
        queue.put(numbered(1))
        error = attempt(queue, 10)
        assert type(error) is kind
        assert attempt(queue, 10) is error


@each_way_to_attempt
def test_a_loss_before_the_records_that_somebody_waits_for_is_not_theirs(attempt: Attempt) -> None:
    delivery = HeldDelivery(held=True, answers=[REJECTED])
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        cancel = queue.flusher.watch(lambda _: None)
        assert cancel is not None
        assert delivery.sending.wait(10)
        queue.put(numbered(2))
        threading.Timer(0.05, delivery.gate.set).start()
        assert attempt(queue, 10) is None
        cancel()
        assert queue.stats().dropped == {"rejected": 1}


@each_way_to_attempt
def test_during_a_pause_that_the_server_asked_for_nobody_waits_for_an_attempt(attempt: Attempt) -> None:
    delivery = HeldDelivery(answers=[PAUSE])
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        first = attempt(queue, 10)
        began = monotonic()
        queue.put(numbered(2))
        assert attempt(queue, 10) is first is not None
        assert monotonic() - began < 2
        assert len(delivery.batches) == 1
        take_off(queue)


@each_way_to_attempt
def test_an_attempt_that_never_ends_is_waited_for_until_the_timeout(attempt: Attempt) -> None:
    with pipeline(HeldDelivery(held=True)) as queue:
        queue.put(numbered(1))
        began = monotonic()
        assert attempt(queue, 0.1) is None
        assert monotonic() - began < 2
        assert queue.ledger.waiter_count == 0


@each_way_to_settle
def test_a_flush_is_true_after_a_second_attempt_has_succeeded(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failpath_otel.limits.RETRY_FIRST_DELAY", 0.01)
    delivery = HeldDelivery(answers=[BUSY, BUSY])
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert settle(queue, 10) is True
        assert delivery.batches == [[numbered(1)]] * 3


@each_way_to_settle
def test_a_flush_is_false_in_time_during_a_pause_that_the_server_asked_for(settle: Settle) -> None:
    with pipeline(HeldDelivery(answers=[PAUSE])) as queue:
        queue.put(numbered(1))
        began = monotonic()
        assert settle(queue, 0.2) is False
        assert monotonic() - began < 2
        assert queue.ledger.waiter_count == 0
        take_off(queue)


@each_way_to_settle
def test_a_flush_is_false_after_a_loss(settle: Settle) -> None:
    with pipeline(HeldDelivery(answers=[REJECTED])) as queue:
        queue.put(numbered(1))
        assert settle(queue, 10) is False


def test_asynchronous_waiting_does_not_block_the_loop() -> None:
    delivery = HeldDelivery(held=True)

    async def main(queue: Pipeline) -> DeliveryError | None:
        waiting = asyncio.ensure_future(attempted(queue, 10))
        await asyncio.to_thread(delivery.sending.wait, 10)
        delivery.gate.set()  # only a loop that goes round can let the delivery go on
        return await waiting

    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        assert asyncio.run(main(queue)) is None
    assert delivery.records == [numbered(1)]


def test_waiting_that_is_cancelled_stops_at_once_and_leaves_nothing_behind() -> None:
    delivery = HeldDelivery(held=True)

    async def main(queue: Pipeline) -> None:
        waiting = asyncio.ensure_future(attempted(queue, 60))
        await asyncio.sleep(0)
        assert queue.ledger.waiter_count == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert queue.ledger.waiter_count == 0

    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        asyncio.run(main(queue))


def test_a_loop_that_is_closed_while_somebody_waits_there_hinders_no_delivery() -> None:
    delivery = HeldDelivery(held=True)
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        loop = asyncio.new_event_loop()
        waiting: Any = loop.create_task(attempted(queue, 60))
        loop.run_until_complete(asyncio.sleep(0))
        assert queue.ledger.waiter_count == 1
        loop.close()
        delivery.gate.set()
        assert queue.flush(10)
        waiting._log_destroy_pending = False
        waiting.get_coro().close()


def test_waiting_on_trio_blocks_no_other_task_and_leaves_nothing_behind_when_it_is_cancelled() -> None:
    trio = pytest.importorskip("trio")
    delivery = HeldDelivery(held=True)

    async def main(queue: Pipeline) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempted, queue, 60)
            nursery.start_soon(settled, queue, 60)
            while queue.ledger.waiter_count < 2:
                await trio.sleep(0)
            nursery.cancel_scope.cancel()
        assert queue.ledger.waiter_count == 0

    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        trio.run(main, queue)


def test_a_loop_of_trio_that_has_ended_hinders_no_delivery() -> None:
    trio = pytest.importorskip("trio")

    async def begin() -> async_waiters.TrioWait:
        return async_waiters.TrioWait(trio)

    trio.run(begin).notify(None)  # from the delivery thread, which has to go on


def test_where_no_loop_runs_the_error_says_what_to_do() -> None:
    with pipeline(HeldDelivery()) as queue, pytest.raises(RuntimeError, match=r"asyncio or of trio.* call flush\(\)"):
        settled(queue, 1).send(None)


@pytest.mark.parametrize("wait", ["flush", "await_attempt"])
def test_the_delivery_thread_never_waits_for_itself(wait: str) -> None:
    said: list[Any] = []

    class Waiting(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            began = monotonic()
            said.append(getattr(queue, wait)(60))
            assert monotonic() - began < 5
            return super().send(records, within)

    with pipeline(Waiting()) as queue:
        queue.put(numbered(1))
        assert queue.flush(10)
    assert said == [False if wait == "flush" else (False, None)]


def test_many_threads_that_record_and_wait_at_once_all_come_through() -> None:
    delivery = HeldDelivery(answers=[BUSY, GONE, REJECTED] * 5)
    done: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            queue.put(numbered(number))
            queue.await_attempt(30)
        done.append(number)

    with pipeline(delivery) as queue:
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(done) == list(range(16))
        queue.flush(10)
        assert queue.stats().waiting == 0
        assert queue.ledger.waiter_count == 0
