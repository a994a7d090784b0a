"""Records that Failpath rejects one by one: what is told of each, and who hears of it."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import DeliveryError, FailpathClient, RecordsRejectedError
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.records.request import Answer, read_answer
from tests.delivery.pipelines import HeldDelivery, a_record, pipeline
from tests.fault_server import FaultServer, rejecting
from tests.faults import rejecting_where
from tests.keys import KEY
from tests.receiver import wait_for

Configure = Callable[..., FailpathClient]


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    made: list[FailpathClient] = []

    def call(**options: Any) -> FailpathClient:
        given = {"project_key": KEY, "endpoint": server.url, "tracer_provider": NoOpTracerProvider(), **options}
        made.append(failpath_otel.configure(**given))
        return made[-1]

    yield call
    for client in made:
        client.shutdown(0)


def answered(*entries: object, count: int = 4) -> tuple[tuple[int, str], ...]:
    return read_answer(202, {}, json.dumps({"rejected": entries}).encode(), count).rejected


def test_each_rejected_record_is_told_on_its_own_with_its_reason_and_what_it_was(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(rejecting_where(lambda event: event["stepKey"] != "pack", "unknown step"))
    told: list[DeliveryError] = []
    client = configure(on_error=told.append)
    run = client.run("checkout", run_id="req-1", metadata={"card": "4242"})
    for key in ("pack", "ship", "bill"):
        run.step(key, lambda: None)
    assert client.flush() is False
    assert client.stats() == Stats(6, 2, 0, {"rejected": 4})
    wait_for(lambda: len(told) == 4)
    for error in told:
        assert isinstance(error, RecordsRejectedError)
        assert error.record is not None
        assert (error.records, error.reason) == (1, "unknown step")
        assert (error.record.flow_key, error.record.run_id) == ("checkout", "req-1")
        assert "4242" not in str(error) + repr(error.record)
    records = [error.record for error in told if isinstance(error, RecordsRejectedError) and error.record]
    assert [(record.step_key, record.status) for record in records] == [
        (key, status) for key in ("ship", "bill") for status in ("running", "success")
    ]
    assert [record.id for record in records] == [sent["id"] for sent in server.events if sent["stepKey"] != "pack"]


def test_rejections_are_one_line_in_the_log_of_a_process(
    configure: Configure, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_with(rejecting(0, 1))
    client = configure()
    for _ in range(3):
        client.run("checkout").step("pack", lambda: None)
        client.flush()
    [line] = caplog.messages
    assert "2 of 2 records were rejected; the first: the running of pack in checkout was rejected: unknown" in line


def test_a_reason_that_repeats_the_key_does_not_show_it(
    configure: Configure, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_with(rejecting(0, reason=f"{KEY} may not do that"))
    told: list[DeliveryError] = []
    client = configure(on_error=told.append)
    client.run("checkout").skip("pack")
    client.flush()
    wait_for(lambda: told)
    assert KEY not in f"{told[0]} {vars(told[0])} {caplog.text}"
    assert "may not do that" in str(told[0])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("unknown flow", "unknown flow"),
        ("two\nlines\r\n and\ttabs", "two lines and tabs"),
        ("\x1b[31mred\x00\u202e", "[31mred"),
        (None, ""),
        (["a", 1], "['a', 1]"),
        (7, "7"),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_bad_input_a_reason_is_one_line_of_printable_text(given: object, reason: str) -> None:
    assert answered({"index": 1, "reason": given}) == ((1, reason),)


def test_bad_input_a_reason_is_bounded_and_says_what_was_cut() -> None:
    [(_, reason)] = answered({"index": 0, "reason": "x" * 5_000})
    assert len(reason) == 200
    assert reason.endswith("[5000 characters]")


def test_bad_input_entries_are_in_the_order_of_the_records_and_each_is_there_once() -> None:
    entries = [{"index": index, "reason": "r"} for index in (3, 1, 3, -1, 4, True, "0", None, 2.0)]
    assert answered(*entries, "x", {}, None) == ((1, "r"), (3, "r"))


def test_who_waits_for_a_record_hears_of_its_own_rejection_alone() -> None:
    told: dict[int, DeliveryError | None] = {}
    records = [a_record(step_key=f"step-{number}") for number in range(400)]
    rejected = tuple((index, f"reason {index}") for index in range(0, 400, 3))
    delivery = HeldDelivery(held=True, answers=[Answer(status=202, rejected=rejected)])
    with pipeline(delivery) as queue:
        queue.put_together(records)
        for number in range(1, 401):
            queue.flusher.watch(lambda error, number=number: told.__setitem__(number, error), tickets=(number, number))  # type: ignore[misc]
        delivery.gate.set()
        assert queue.flush(10) is False
        wait_for(lambda: len(told) == 400)
        # Who asks only now hears the same.
        for number in range(1, 401):
            assert queue.flusher.outcome((number, number)) == (True, told[number])
        assert queue.flusher.outcome((2, 3)) == (True, None)
        assert queue.flusher.outcome((2, 4)) == (True, told[4])
    for number, error in told.items():
        if (number - 1) % 3:
            assert error is None
        else:
            assert isinstance(error, RecordsRejectedError)
            assert error.reason == f"reason {number - 1}"
    assert queue.stats() == Stats(400, 266, 0, {"rejected": 134})


def test_rejections_that_wait_for_a_slow_on_error_are_not_told_as_one() -> None:
    told: list[DeliveryError] = []
    entered, gate = threading.Event(), threading.Event()

    def on_error(error: DeliveryError) -> None:
        told.append(error)
        entered.set()
        assert gate.wait(30)

    callback = ErrorCallback(on_error)
    callback.call(DeliveryError("first", 1))
    assert entered.wait(10)
    for number in range(5):
        callback.call(Batch([a_record(id=f"{number:032x}")], 0, 0.0).rejection(0, "unknown flow"))
    gate.set()
    callback.drain(10)
    assert len(told) == 6
    assert len({error.record for error in told[1:] if isinstance(error, RecordsRejectedError)}) == 5


def test_bad_input_an_entry_that_makes_no_sense_does_not_hide_the_others() -> None:
    nonsense: list[object] = [
        None,
        7,
        [],
        {},
        {"index": "1"},
        {"index": True},
        {"index": None},
        {"index": 0.5},
        {"index": -1},
    ]
    assert answered(*nonsense, {"index": 4}, {"index": 2, "reason": "no", "more": {}}) == ((2, "no"),)
