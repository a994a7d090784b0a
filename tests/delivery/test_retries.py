"""A pipeline on real sockets, to a server that fails for a while: what is tried again, when, and in which order."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest

from failpath_otel import DeliveryError, SendError, limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.pipeline import Pipeline, pipeline_to_failpath
from failpath_otel.options.options import Options
from tests.delivery.pipelines import numbered
from tests.fault_server import (
    Behaviour,
    Exchange,
    FaultServer,
    accepted,
    answer_before_reading,
    close_before_answering,
    close_while_answering,
    silent,
    status,
)
from tests.keys import KEY
from tests.ports import unused_url
from tests.receiver import wait_for

NewPipeline = Callable[..., Pipeline]
TROUBLE = {
    "408": status(408),
    "429": status(429),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
    "closed before answering": close_before_answering,
    "closed while answering": close_while_answering,
    "closed before reading": answer_before_reading(close=True),
    "silent": silent,
}


@pytest.fixture
def new_pipeline(server: FaultServer) -> Iterator[NewPipeline]:
    """Makes pipelines with a short send timeout that are emptied at the end, so that none waits for its next try."""
    made: list[Pipeline] = []

    def new(endpoint: str, **options: Any) -> Pipeline:
        made.append(pipeline_to_failpath(Options(KEY, endpoint, **{"send_timeout": 0.3, **options})))
        return made[-1]

    yield new
    server.answer_with(accepted)
    for pipeline in made:
        pipeline.shutdown(5)
        assert not pipeline.stats().waiting


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 0.01)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 0.05)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, the next attempt comes in an hour by itself."""
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 3_600.0)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 3_600.0)


def numbers(server: FaultServer) -> list[int]:
    return [event["number"] for event in server.events]


def taken(server: FaultServer, failures: int) -> list[int]:
    """The numbers of the records of all requests but the first ``failures``."""
    return [event["number"] for request in server.requests[failures:] for event in request.events]


class Times:
    """Behaves as ``then`` does, and keeps the time of each request."""

    def __init__(self, then: Behaviour) -> None:
        self.then = then
        self.at: list[float] = []

    def __call__(self, exchange: Exchange) -> bool:
        self.at.append(monotonic())
        return self.then(exchange)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE.keys())
def test_a_batch_that_meets_trouble_is_sent_again_and_arrives(
    server: FaultServer, new_pipeline: NewPipeline, trouble: Behaviour
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(trouble, trouble, accepted)
    pipeline = new_pipeline(server.url, on_error=errors.append)
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.stats() == Stats(1, 1, 0, {}))
    assert pipeline.flush(10) is True
    assert taken(server, 2) == [1]
    pipeline.callback.drain(10)
    [error] = errors
    assert isinstance(error, SendError)
    assert error.retrying


@pytest.mark.usefixtures("quick")
def test_an_endpoint_at_which_somebody_listens_later_gets_everything(
    new_pipeline: NewPipeline, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = new_pipeline(unused_url())
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.sender.retries.failing)
    # The same as if the server had come up at the address where nobody was.
    channel: Any = pipeline.sender._delivery
    monkeypatch.setattr(channel._channel, "_way", None)
    monkeypatch.setattr(channel._channel, "_url", server.url + "/v1/events")
    wait_for(lambda: numbers(server) == [1])


@pytest.mark.usefixtures("quick")
def test_what_comes_during_an_outage_waits_behind_it_and_everything_arrives_once_in_order(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    server.answer_with(status(503))
    pipeline = new_pipeline(server.url)
    for number in range(1_500):
        pipeline.put(numbered(number))
        if number == 3:
            wait_for(lambda: pipeline.sender.retries.failing)
    server.wait_for_requests(5)
    assert pipeline.stats().waiting == 1_500
    failed = {tuple(event["number"] for event in request.events) for request in list(server.requests)}
    assert len(failed) == 1, "another batch has overtaken the one that failed"
    server.answer_with(accepted)
    before = len(server.requests)
    assert pipeline.flush(10) is True
    arrived = taken(server, before)
    assert arrived[-1_000:] == list(range(500, 1_500))
    assert len(arrived) in {1_500, 1_500 - len(failed.pop())}, "the attempt under way may have been taken"


@pytest.mark.usefixtures("quick")
def test_delays_grow_from_attempt_to_attempt(
    server: FaultServer, new_pipeline: NewPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 0.32)
    times = Times(status(503))
    server.answer_with(times)
    new_pipeline(server.url).put(numbered(1))
    server.wait_for_requests(8)
    gaps = [later - earlier for earlier, later in pairwise(times.at)]
    smallest = [min(0.01 * 2**number, 0.32) * (1 - limits.RETRY_JITTER) for number in range(7)]
    assert all(gap > least - 0.005 for gap, least in zip(gaps, smallest, strict=False))


@pytest.mark.usefixtures("quick")
def test_after_the_deadline_a_batch_is_lost_and_the_next_one_has_its_turn(
    server: FaultServer, new_pipeline: NewPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_AGE_SECONDS", 0.3)
    errors: list[DeliveryError] = []
    server.answer_with(status(503))
    pipeline = new_pipeline(server.url, on_error=errors.append)
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.stats() == Stats(1, 0, 0, {"too_old": 1}))
    assert len(server.requests) > 3
    pipeline.callback.drain(10)
    assert [(type(error), error.records, getattr(error, "retrying", None)) for error in errors] == [
        (SendError, 1, True),
        (SendError, 1, False),
    ]
    server.answer_with(accepted)
    pipeline.put(numbered(2))
    assert pipeline.flush(10) is False
    assert pipeline.stats() == Stats(2, 1, 0, {"too_old": 1})


@pytest.mark.usefixtures("patient")
def test_a_record_that_is_refused_by_an_endpoint_that_takes_others_is_lost_at_once_and_the_next_one_is_sent_at_once(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    errors: list[DeliveryError] = []
    server.answer_with(accepted, status(422), accepted)
    pipeline = new_pipeline(server.url, on_error=errors.append)
    pipeline.put(numbered(0))
    assert pipeline.flush(10)
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.stats().dropped == {"send_failed": 1})
    pipeline.put(numbered(2))
    wait_for(lambda: pipeline.stats().delivered == 2)
    assert numbers(server) == [0, 1, 2]
    pipeline.callback.drain(10)
    [error] = errors
    assert isinstance(error, SendError)
    assert (error.status, error.records, error.retrying) == (422, 1, False)


def in_seconds(seconds: int) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("code", [429, 503])
# A date has whole seconds only, so one that is three seconds ahead may be two seconds away.
@pytest.mark.parametrize(("form", "seconds"), [(str, 2), (in_seconds, 3)], ids=["seconds", "date"])
def test_no_attempt_is_made_before_the_pause_that_the_server_asked_for_is_over(
    server: FaultServer, new_pipeline: NewPipeline, form: Callable[[int], str], seconds: int, code: int
) -> None:
    times = Times(status(code, Retry_After=form(seconds)))
    server.answer_with(times)
    pipeline = new_pipeline(server.url)
    pipeline.put(numbered(1))
    wait_for(pipeline.sender.retries.retry_after_left)
    times.then = accepted
    began = monotonic()
    assert pipeline.flush(0.2) is False
    assert monotonic() - began < 1.5
    assert len(server.requests) == 1
    assert pipeline.flush(10) is True
    assert times.at[1] - times.at[0] > 1.9
    assert numbers(server) == [1, 1]


@pytest.mark.usefixtures("patient")
def test_a_flush_during_an_outage_makes_one_attempt_at_once(server: FaultServer, new_pipeline: NewPipeline) -> None:
    server.answer_with(status(503))
    pipeline = new_pipeline(server.url)
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.sender.retries.failing)
    for flush in range(3):
        assert pipeline.flush(0.2) is False
        assert len(server.wait_for_requests(flush + 2)) == flush + 2
        wait_for(pipeline.sender.retries.pause)
    server.answer_with(accepted)
    assert pipeline.flush(10) is True
    assert len(server.requests) == 5


@pytest.mark.usefixtures("patient")
def test_nothing_is_sent_during_a_delay_for_what_is_recorded_meanwhile(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    server.answer_with(status(503))
    pipeline = new_pipeline(server.url)
    pipeline.put(numbered(0))
    wait_for(lambda: pipeline.sender.retries.failing)
    for number in range(1, 5_000):
        pipeline.put(numbered(number))
    # Each full batch wakes the thread, which is back asleep when it has seen every one of them.
    wait_for(pipeline.wakeup._bell.locked)
    assert len(server.requests) == 1


@pytest.mark.usefixtures("quick")
def test_a_server_that_comes_back_while_a_flush_waits_makes_it_true(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    server.answer_with(status(503))
    pipeline = new_pipeline(server.url)
    said: list[bool] = []
    pipeline.put(numbered(1))
    flushing = threading.Thread(target=lambda: said.append(pipeline.flush(10)))
    flushing.start()
    server.wait_for_requests(3)
    server.answer_with(accepted)
    flushing.join(10)
    assert said == [True]


@pytest.mark.usefixtures("patient")
def test_several_threads_that_flush_at_once_get_everything_sent_once(
    server: FaultServer, new_pipeline: NewPipeline
) -> None:
    server.answer_with(status(503), accepted)
    pipeline = new_pipeline(server.url)
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.sender.retries.failing)
    said: list[bool] = []
    threads = [threading.Thread(target=lambda: said.append(pipeline.flush(10))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert said == [True] * 8
    assert numbers(server) == [1, 1]
