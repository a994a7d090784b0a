"""What is refused for its contents: what of it is lost, what is delivered, and when it is not the contents at all."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from failpath_otel import DeliveryError, SendError, limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.pipeline import Pipeline, pipeline_to_failpath
from failpath_otel.delivery.retries.batch import NO_BATCH, Batch
from failpath_otel.delivery.sender import AttemptResult, Sender
from failpath_otel.journal.discovery import count_records
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.options.options import Options
from failpath_otel.records.request import Answer, read_answer
from tests.delivery.pipelines import HeldDelivery, a_record, numbered, pipeline
from tests.fault_server import Exchange, FaultServer, accepted, refusing_where, status, tls_only
from tests.keys import KEY
from tests.receiver import wait_for

NewPipeline = Callable[..., Pipeline]
BATCH = limits.MAX_BATCH_RECORDS


class Choosy(HeldDelivery):
    """Refuses batches with one of these records in them; while ``all_of_it``, everything."""

    def __init__(self, *wrong: int, code: int = 400) -> None:
        super().__init__()
        self.wrong = {numbered(number) for number in wrong}
        self.code = code
        self.all_of_it = False
        self.taken: list[bytes] = []

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        super().send(records, within)
        if self.all_of_it or not self.wrong.isdisjoint(records):
            return read_answer(self.code, {}, b"", len(records))
        self.taken += records
        return Answer(status=202)


class Queue:
    """Batches that are taken one after another, and what became of them."""

    def __init__(self, sender: Sender, *batches: Sequence[int]) -> None:
        self.sender = sender
        self.batches = [[numbered(number) for number in numbers] for numbers in batches]
        self.outcomes: list[AttemptResult] = []
        self.asked: list[int] = []
        """How many bytes each batch may have."""

    def take(self, max_bytes: int) -> Batch:
        self.asked.append(max_bytes)
        if not self.batches:
            return NO_BATCH
        records = self.batches.pop(0)
        return Batch(records, sum(map(len, records)), monotonic())

    def attempt(self) -> AttemptResult | None:
        outcome = self.sender.attempt(self.take)
        if outcome is not None:
            self.outcomes.append(outcome)
        return outcome

    def run(self, attempts: int = 10_000) -> "Queue":
        """Makes attempts until nothing waits, or one has failed that is kept; no pause is waited for."""
        for _ in range(attempts):
            outcome = self.attempt()
            if outcome is None and not (self.batches or self.sender.retries):
                break
            if outcome is not None and not outcome.settled:
                break
        return self

    @property
    def lost(self) -> list[bytes]:
        return [record for each in self.outcomes if each.settled and each.error for record in each.batch.records]

    @property
    def settled(self) -> list[bytes]:
        return [record for each in self.outcomes if each.settled for record in each.batch.records]


@pytest.mark.parametrize("code", [400, 422])
@pytest.mark.parametrize("before", [True, False], ids=["something was taken before", "nothing was taken before"])
def test_one_bad_record_does_not_cost_the_others_of_its_batch(code: int, before: bool) -> None:
    delivery = Choosy(300, code=code)
    queue = Queue(Sender(delivery), *([[10_000]] if before else []), range(BATCH)).run()
    assert queue.lost == [numbered(300)]
    good = [numbered(number) for number in range(BATCH) if number != 300]
    assert set(good) <= set(delivery.taken)
    # In their order, whatever else was asked in between.
    assert [record for record in queue.settled if record in set(good)] == good
    assert len(delivery.batches) <= 30
    [error] = [each.error for each in queue.outcomes if each.error is not None]
    assert isinstance(error, SendError)
    assert (error.status, error.records, error.retrying) == (code, 1, False)


def test_bad_records_anywhere_are_lost_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    wrong = [0, 1, 2, 3, 4, 5, 100, 101, 255, 256, 511]
    delivery = Choosy(*wrong)
    queue = Queue(Sender(delivery), range(BATCH), range(BATCH, 2 * BATCH)).run()
    assert queue.lost == [numbered(number) for number in wrong]
    assert queue.settled == [numbered(number) for number in range(2 * BATCH)]
    assert not queue.sender.retries
    [line] = [message for message in caplog.messages if "400" in message]
    assert "did not understand the request (400) for one record, and accepts others; that one is lost" in line


def test_bad_records_at_the_beginning_of_a_process_do_not_hide_the_good_ones_behind_them() -> None:
    delivery = Choosy(0, 1)
    queue = Queue(Sender(delivery), [0], [1], [2], [3]).run()
    assert queue.lost == [numbered(0), numbered(1)]
    assert [numbered(2), numbered(3)] == queue.settled[2:]


@pytest.mark.parametrize("count", [1, 3, 4, 8, BATCH])
def test_where_everything_is_refused_from_the_start_it_is_the_way_and_all_is_kept(
    count: int, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = Choosy()
    delivery.all_of_it = True
    queue = Queue(Sender(delivery, binding="25d3bf6da0caec5b"), range(count))
    for attempt in range(5):
        queue.run()
        assert len(queue.outcomes) == attempt + 1
        assert queue.outcomes[-1].persistent
        assert not queue.outcomes[-1].settled
    assert len(delivery.batches) <= 5 * 5
    [line] = [message for message in caplog.messages if "400" in message]
    assert "did not understand the request (400), whatever record it is asked to take; records wait" in line
    assert "drain --rebind 25d3bf6da0caec5b" in line
    delivery.all_of_it = False
    assert queue.run().settled == [numbered(number) for number in range(count)]
    assert queue.lost == []


def test_where_everything_is_refused_later_it_is_the_way_too() -> None:
    delivery = Choosy()
    queue = Queue(Sender(delivery), range(1_000, 1_000 + BATCH)).run()
    delivery.all_of_it = True
    queue.batches += [[numbered(number) for number in range(BATCH)]]
    queue.run().run().run()
    assert queue.lost == []
    delivery.all_of_it = False
    assert queue.run().settled == [numbered(number) for number in (*range(1_000, 1_000 + BATCH), *range(BATCH))]


def test_when_single_records_are_refused_one_after_another_only_the_first_of_them_are_lost() -> None:
    delivery = Choosy()
    sender = Sender(delivery)
    Queue(sender, [0]).run()
    delivery.all_of_it = True
    queue = Queue(sender, *([number] for number in range(1, 100))).run()
    assert queue.lost == [numbered(number) for number in range(1, limits.SINGLES_IN_DOUBT + 1)]
    assert sender.retries


def test_after_the_way_was_wrong_a_refusal_has_to_show_anew_that_it_means_the_contents() -> None:
    delivery = Choosy()
    sender = Sender(delivery)
    Queue(sender, range(100)).run()
    delivery._answers = [read_answer(404, {}, b"", 1)]
    queue = Queue(sender, [1_000])
    delivery.send, kept = lambda *_: read_answer(404, {}, b"", 1), delivery.send  # type: ignore[method-assign]
    queue.run()
    delivery.send = kept  # type: ignore[method-assign]
    delivery.all_of_it = True
    queue.run()
    assert queue.lost == []


def test_where_both_halves_pass_it_was_the_size_and_smaller_batches_follow() -> None:
    class Small(Choosy):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            if sum(map(len, records)) > 2_000:
                self.batches.append(list(records))
                return read_answer(400, {}, b"", len(records))
            return super().send(records, within)

    delivery = Small()
    queue = Queue(Sender(delivery), range(200), range(200, 400)).run()
    assert queue.lost == []
    assert delivery.taken[-200:] == [numbered(number) for number in range(200, 400)]
    refused = [batch for batch in delivery.batches if sum(map(len, batch)) > 2_000]
    assert len(refused) <= 2
    assert queue.asked[0] == limits.MAX_BATCH_BYTES
    assert queue.asked[-1] <= sum(map(len, refused[0]))


def test_a_batch_is_searched_by_no_more_than_64_requests_in_a_row_and_nothing_good_is_lost_for_it() -> None:
    wrong = range(0, BATCH, 3)
    delivery = Choosy(*wrong)
    queue = Queue(Sender(delivery), range(BATCH))
    rows, row = [], 0
    while queue.attempt() is not None or queue.sender.retries:
        row += 1
        if queue.sender.retries.pause():
            rows.append(row)
            row = 0
            queue.sender.retries.retry_now()
    assert max(rows) <= limits.MAX_PROBES
    assert len(rows) >= len(delivery.batches) // limits.MAX_PROBES
    assert set(queue.lost) == {numbered(number) for number in wrong}
    assert queue.settled == [numbered(number) for number in range(BATCH)]


def test_between_two_batches_that_were_searched_there_is_one_pause() -> None:
    queue = Queue(Sender(Choosy(5, 600)), range(BATCH), range(BATCH, 2 * BATCH), range(2 * BATCH, 3 * BATCH))
    pauses = []
    for _ in range(200):
        queue.attempt()
        if queue.sender.retries.pause():
            pauses.append(len(queue.settled))
            queue.sender.retries.retry_now()
    assert pauses == [BATCH, 2 * BATCH]
    assert 0 < limits.RETRY_FIRST_DELAY <= 1


@pytest.fixture
def new_pipeline(server: FaultServer) -> Iterator[NewPipeline]:
    made: list[Pipeline] = []

    def new(**options: Any) -> Pipeline:
        made.append(pipeline_to_failpath(Options(KEY, server.url, **{"send_timeout": 5.0, **options})))
        return made[-1]

    yield new
    server.answer_with(accepted)
    for each in made:
        each.shutdown(5)


def is_bad(event: dict[str, Any]) -> bool:
    return bool(event["number"] == 77)


def test_a_pipeline_delivers_what_lies_around_a_bad_record_and_tells_of_that_one(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(refusing_where(is_bad))
    pipeline = new_pipeline(on_error=errors.append)
    pipeline.put_together([numbered(number) for number in range(300)])
    assert pipeline.flush(10) is False
    assert pipeline.stats() == Stats(300, 299, 0, {"send_failed": 1})
    pipeline.callback.drain(10)
    [error] = errors
    assert isinstance(error, SendError)
    assert (error.records, error.retrying) == (1, False)


def test_records_that_the_journal_has_lost_are_passed_over_after_the_batch_before_them_that_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = Choosy()
    delivery.all_of_it = True
    delivery.gate.clear()
    with pipeline(delivery) as queue:
        take = queue.queue.take

        def take_but_the_second(max_bytes: int) -> tuple[Batch, Skipped | None]:
            batch, skipped = take(max_bytes)
            return (NO_BATCH, Skipped(1, "damaged")) if numbered(2) in batch.records else (batch, skipped)

        monkeypatch.setattr(queue.queue, "take", take_but_the_second)
        queue.put(numbered(1))
        assert delivery.sending.wait(10)
        queue.put(numbered(2))
        delivery.gate.set()
        assert queue.flush(10) is False
        assert queue.stats() == Stats(2, 0, 2, {})
        delivery.all_of_it = False
        assert queue.flush(10) is False
        assert queue.stats() == Stats(2, 1, 0, {"damaged": 1})
        queue.put(numbered(3))
        assert queue.flush(10) is False
        assert queue.stats() == Stats(3, 2, 0, {"damaged": 1})


@pytest.mark.parametrize("reason", ["damaged", "too_old"])
def test_the_counts_add_up_where_records_are_left_behind_of_which_the_journal_has_lost_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    delivery = Choosy()
    delivery.all_of_it = True
    delivery.gate.clear()
    with pipeline(delivery, journal=JournalLocation(str(tmp_path), "0123456789abcdef")) as queue:
        take = queue.queue.take

        def take_but_the_second(max_bytes: int) -> tuple[Batch, Skipped | None]:
            batch, skipped = take(max_bytes)
            return (NO_BATCH, Skipped(1, reason)) if numbered(2) in batch.records else (batch, skipped)

        monkeypatch.setattr(queue.queue, "take", take_but_the_second)
        queue.put(numbered(1))
        assert delivery.sending.wait(10)
        queue.put(numbered(2))
        delivery.gate.set()
        assert queue.flush(10) is False
        monkeypatch.setattr(limits, "ABANDON_SECONDS", 0.0)
        queue.worker.release()
        wait_for(lambda: queue.worker.thread is None)
        assert queue.stats() == Stats(2, 0, 2)
        assert count_records(str(tmp_path), None) == 2
        delivery.all_of_it = False
        assert queue.queue.number_of(queue.put(numbered(3))) == 3
        assert not queue.flush(10), "two records were left"
        assert queue.stats() == Stats(3, 1, 2)


def test_own_records_show_that_what_a_gone_process_has_left_is_refused_for_its_contents(tmp_path: Path) -> None:
    place = JournalLocation(str(tmp_path), "0123456789abcdef")
    gone = Journal(*place, lambda _: None)
    assert gone.append(a_record(step_key="bad"))
    gone.reset_in_child()

    class Refusing(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            super().send(records, within)
            return read_answer(400 if any(b'"bad"' in record for record in records) else 202, {}, b"", len(records))

    with pipeline(Refusing(), journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.sender.retries.failing)
        assert queue.stats().adopted_dropped == {}
        queue.put(a_record(step_key="good"))
        wait_for(lambda: queue.flush(10), 20)
        assert queue.stats() == Stats(1, 1, 0, {}, 0, {"send_failed": 1})


def test_who_waits_for_a_record_is_not_told_why_another_one_was_refused() -> None:
    with pipeline(Choosy(1, 2)) as queue:
        assert queue.put(numbered(0))
        assert queue.await_attempt(10) == (True, None)
        queue.put_together([numbered(1), numbered(2)])
        assert not queue.flush(10)
        queue.sender.retries.pause_briefly()  # as it does after such a batch
        number = queue.put(numbered(3))
        assert queue.await_attempt(10, (number, number)) == (False, None)


def test_who_waits_for_an_attempt_does_not_wait_through_a_halving(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    asked = 0

    def slowly(exchange: Exchange) -> bool:
        nonlocal asked
        asked += 1
        return not exchange.closing.wait(0.1) and refusing_where(is_bad)(exchange)

    server.answer_with(slowly)
    pipeline = new_pipeline()
    pipeline.put_together([numbered(number) for number in range(300)])
    in_time, error = pipeline.await_attempt(10)
    assert in_time
    assert isinstance(error, SendError)
    assert error.retrying
    assert asked <= 2
    pipeline.put(numbered(1_000))
    before = asked
    pipeline.await_attempt(10)
    assert asked <= before + 2
    wait_for(lambda: pipeline.stats().waiting == 0, 20)


@pytest.mark.parametrize("behaviour", [tls_only, status(422)], ids=["a TLS port", "422"])
def test_a_flush_is_told_as_soon_as_it_is_clear_that_everything_is_refused(
    server: FaultServer, new_pipeline: NewPipeline, behaviour: Any
) -> None:
    server.answer_with(behaviour)
    pipeline = new_pipeline()
    pipeline.put_together([numbered(number) for number in range(300)])
    began = monotonic()
    assert pipeline.flush(20) is False
    assert monotonic() - began < 5
    assert pipeline.stats() == Stats(300, 0, 300, {})
    assert len(server.requests) <= 5
    server.answer_with(accepted)
    assert pipeline.flush(10) is True


def test_a_flush_is_back_in_time_from_the_midst_of_a_halving(server: FaultServer, new_pipeline: NewPipeline) -> None:
    def slowly(exchange: Exchange) -> bool:
        return not exchange.closing.wait(0.1) and refusing_where(is_bad)(exchange)

    server.answer_with(slowly)
    pipeline = new_pipeline()
    pipeline.put_together([numbered(number) for number in range(300)])
    began = monotonic()
    assert pipeline.flush(0.5) is False
    assert monotonic() - began < 2
    assert pipeline.stats().dropped == {}
    server.answer_with(refusing_where(is_bad))
    assert pipeline.flush(20) is False
    assert pipeline.stats() == Stats(300, 299, 0, {"send_failed": 1})


def test_a_payload_that_cannot_be_made_of_one_record_costs_that_one_and_of_none_is_kept(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    broken = False

    def payload(events: list[dict[str, Any]]) -> object:
        if broken or any(map(is_bad, events)):
            raise ZeroDivisionError
        return {"events": events}

    pipeline = new_pipeline(payload=payload)
    pipeline.put_together([numbered(number) for number in range(100)])
    assert pipeline.flush(10) is False
    assert pipeline.stats() == Stats(100, 99, 0, {"send_failed": 1})
    broken = True
    pipeline.put_together([numbered(number) for number in range(100, 200)])
    assert pipeline.flush(10) is False
    assert pipeline.stats() == Stats(200, 99, 100, {"send_failed": 1})
    broken = False
    pipeline.flush(10)
    assert pipeline.stats() == Stats(200, 199, 0, {"send_failed": 1})
