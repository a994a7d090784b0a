"""What a program sees on stderr that has not configured logging: one line for an outage, and not before its time."""

import logging
import re
from collections.abc import Callable

import pytest

from failpath_otel import limits, report
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.retries.retry_queue import RetryQueue
from failpath_otel.records.request import Answer, no_response, read_answer
from tests.delivery.pipelines import HeldDelivery, numbered, pipeline
from tests.delivery.programs import run_program
from tests.fault_server import (
    Behaviour,
    accepted,
    close_before_answering,
    fault_server,
    html,
    silent,
    status,
)
from tests.faults import asks_for_peace, reset, truncated
from tests.ports import unused_url
from tests.receiver import wait_for

URL = "http://127.0.0.1:9/v1/events"
DOWN = no_response("could not be reached (ConnectionError)")
PASSING = [DOWN, *(read_answer(code, {}, b"", 1) for code in (408, 429, 500, 503))]
SAID_AT_ONCE = [
    *(read_answer(code, {}, b"", 1) for code in (401, 403, 404, 302)),
    read_answer(200, {}, b"<html>", 1),
]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lost() -> list[int]:
    return [0]


@pytest.fixture
def backlog(clock: Clock, lost: list[int]) -> RetryQueue:
    return RetryQueue(URL, clock, lambda: lost[0])


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The lines on stderr so far, of a logger that has no handler: pytest gives one to all that it can find."""
    monkeypatch.setattr(report, "logger", logging.Logger("of nobody"))  # noqa: LOG001 - see above
    lines: list[str] = []

    def read() -> list[str]:
        lines.extend(capsys.readouterr().err.splitlines())
        return lines

    return read


def fail(backlog: RetryQueue, answer: Answer) -> None:
    assert backlog.schedule_retry(Batch((b"a",), 1, 1_000.0), answer)
    backlog.take()


@pytest.mark.parametrize("answer", PASSING, ids=lambda answer: str(answer.failure))
def test_an_outage_that_is_over_within_ten_seconds_is_not_said(
    backlog: RetryQueue, clock: Clock, stderr: Callable[[], list[str]], answer: Answer
) -> None:
    fail(backlog, answer)
    clock.now += limits.OUTAGE_LOG_DELAY - 0.1
    fail(backlog, answer)
    assert not backlog.is_outage_logged
    assert backlog.cause == f"{URL} {answer.failure}"
    backlog.succeeded()
    assert backlog.cause == ""
    assert stderr() == []


@pytest.mark.parametrize("answer", PASSING, ids=lambda answer: str(answer.failure))
def test_a_longer_one_is_said_once_and_so_is_its_end(
    backlog: RetryQueue, clock: Clock, stderr: Callable[[], list[str]], answer: Answer
) -> None:
    fail(backlog, answer)
    for _ in range(3):
        clock.now += limits.OUTAGE_LOG_DELAY
        fail(backlog, answer)
        assert backlog.is_outage_logged
    [line] = stderr()
    assert line == f"Failpath: {URL} {answer.failure}; records wait, and are sent again for up to 48 hours."
    backlog.succeeded()
    assert len(stderr()) == 2
    assert "after 30 s" in stderr()[1]
    assert not backlog.is_outage_logged


def test_it_is_said_when_its_time_has_come_and_not_only_at_the_next_attempt(
    stderr: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTAGE_LOG_DELAY", 0.2)
    delivery = HeldDelivery(answers=[Answer("answered 503", 503, retryable=True, retry_after=3_600.0)])
    with pipeline(delivery) as queue:
        queue.put(numbered(1))
        wait_for(lambda: queue.sender.retries.failing)
        assert stderr() == []
        wait_for(stderr)
        assert len(delivery.batches) == 1
        queue.sender.retries.succeeded()  # the hour is over
        queue.flush(10)
    assert len(stderr()) == 2


@pytest.mark.parametrize("answer", SAID_AT_ONCE, ids=lambda answer: str(answer.failure))
def test_what_does_not_pass_by_itself_is_said_at_once(
    backlog: RetryQueue, stderr: Callable[[], list[str]], answer: Answer
) -> None:
    fail(backlog, answer)
    assert backlog.is_outage_logged
    [line] = stderr()
    assert str(answer.failure) in line
    fail(backlog, DOWN)
    assert len(stderr()) == 1


def test_it_is_said_at_once_in_the_midst_of_an_outage_that_was_not_said(
    backlog: RetryQueue, stderr: Callable[[], list[str]]
) -> None:
    fail(backlog, DOWN)
    fail(backlog, SAID_AT_ONCE[2])
    [line] = stderr()
    assert "404" in line


def test_the_end_of_an_outage_that_was_not_said_is_said_if_records_were_lost(
    backlog: RetryQueue, lost: list[int], stderr: Callable[[], list[str]]
) -> None:
    fail(backlog, DOWN)
    lost[0] = 3
    backlog.succeeded()
    [line] = stderr()
    assert "3 were lost" in line


@pytest.mark.parametrize("answer", PASSING, ids=lambda answer: str(answer.failure))
def test_where_logging_is_configured_it_is_said_at_once(
    backlog: RetryQueue, caplog: pytest.LogCaptureFixture, answer: Answer
) -> None:
    fail(backlog, answer)
    backlog.succeeded()
    assert len(caplog.messages) == 2


def test_a_queue_that_is_full_in_an_outage_is_no_line_of_its_own(stderr: Callable[[], list[str]]) -> None:
    delivery = HeldDelivery(answers=[DOWN] * 100)
    with pipeline(delivery, max_records=2) as queue:
        queue.put(numbered(0))
        wait_for(lambda: queue.sender.retries.failing)
        while queue.put(numbered(1)):
            pass
        assert stderr() == []
        delivery._answers.clear()
        assert queue.flush(10) is False
    assert ["1 were lost" in line for line in stderr()] == [True]


def test_a_queue_that_is_full_though_records_are_taken_is_said(stderr: Callable[[], list[str]]) -> None:
    delivery = HeldDelivery()
    with pipeline(delivery, max_records=2) as queue:
        queue.put(numbered(0))
        wait_for(lambda: queue.stats().delivered == 1)
        delivery.gate.clear()
        while queue.put(numbered(1)):
            pass
        [line] = stderr()
        assert "the queue is full" in line


OUTAGES: dict[str, Behaviour] = {
    "503": status(503),
    "429 and a minute of peace": asks_for_peace(429, 60),
    "cut": close_before_answering,
    "reset": reset(),
    "truncated": truncated(),
    "silent": silent,
}
PROGRAM = """
    import failpath_otel
    run = failpath_otel.configure(max_queue_size=1_000).run("checkout")
    for number in range(2_000):
        run.step("pack", lambda: None)
    print("end", flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize("behaviour", OUTAGES.values(), ids=OUTAGES.keys())
def test_a_program_with_a_full_queue_and_an_endpoint_in_trouble_ends_with_one_line(behaviour: Behaviour) -> None:
    with fault_server(behaviour) as server:
        ended = run_program(PROGRAM, server.url)
    [line] = ended.errors.splitlines()
    assert re.search(r"\d+ records", line)


@pytest.mark.process
def test_a_program_whose_endpoint_is_down_ends_with_one_line() -> None:
    [line] = run_program(PROGRAM, unused_url()).errors.splitlines()
    assert re.search(r"\d+ records", line)


@pytest.mark.process
def test_a_program_whose_endpoint_recovers_says_nothing() -> None:
    with fault_server(status(503), close_before_answering, accepted) as server:
        ended = run_program(
            """
            import failpath_otel
            failpath = failpath_otel.configure()
            failpath.run("checkout").step("pack", lambda: None)
            print(failpath.flush(20), flush=True)
            print("end", flush=True)
            """,
            server.url,
        )
    assert (ended.lines, ended.errors) == (["True", "end"], "")


@pytest.mark.process
@pytest.mark.parametrize("behaviour", [status(404), html], ids=["404", "html"])
def test_a_program_with_a_wrong_endpoint_says_so(behaviour: Behaviour) -> None:
    with fault_server(behaviour) as server:
        ended = run_program(
            """
            import failpath_otel
            failpath_otel.configure().run("checkout").step("pack", lambda: None)
            print("end", flush=True)
            """,
            server.url,
        )
    line, *_ = ended.errors.splitlines()
    assert "records wait, and are sent again for up to 48 hours; if the address is wrong, correct it" in line
