"""While the endpoint is down: one attempt at a time, at its time, and no later than somebody who cannot wait asks."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from time import monotonic

import pytest

from failpath_otel import limits
from failpath_otel.delivery.pipeline import Pipeline, pipeline_to_failpath
from failpath_otel.options.options import Options
from tests.delivery.pipelines import numbered
from tests.fault_server import Behaviour, Exchange, FaultServer, accepted, status
from tests.faults import slow
from tests.keys import KEY
from tests.receiver import wait_for


class Watching:
    """Behaves as ``then``, and remembers when each request came and how many there were at once."""

    def __init__(self, then: Behaviour) -> None:
        self.then = then
        self.at: list[float] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> bool:
        with self._lock:
            self.at.append(monotonic())
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self.then(exchange)
        finally:
            with self._lock:
                self._now -= 1


@pytest.fixture
def pipeline(server: FaultServer) -> Iterator[Pipeline]:
    made = pipeline_to_failpath(Options(KEY, server.url))
    yield made
    server.answer_with(accepted)
    made.shutdown(5)
    assert not made.stats().waiting


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure, the next attempt comes in an hour by itself."""
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 3_600.0)
    monkeypatch.setattr(limits, "RETRY_MAX_DELAY", 3_600.0)


def test_there_is_one_attempt_at_a_time_whoever_records_and_flushes_meanwhile(
    pipeline: Pipeline, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RETRY_FIRST_DELAY", 0.01)
    watching = Watching(slow(0.05, status(503)))
    server.answer_with(watching)

    def work(number: int) -> None:
        for each in range(5):
            pipeline.put(numbered(number * 5 + each))
            pipeline.flush(0.1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(watching.at) > 3
    assert watching.most == 1
    server.answer_with(accepted)
    assert pipeline.flush(10) is True
    arrived = list(dict.fromkeys(event["number"] for request in server.requests for event in request.events))
    assert sorted(arrived) == list(range(40))


def test_those_who_flush_do_not_make_it_more_than_one_attempt_every_half_a_second_each(
    pipeline: Pipeline, server: FaultServer
) -> None:
    watching = Watching(status(503))
    server.answer_with(watching)
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.sender.retries.failing)
    watching.at.clear()
    assert pipeline.flush(1.7) is False
    assert 2 <= len(watching.at) <= 5
    first, *_ = gaps = [later - earlier for earlier, later in pairwise(watching.at)]
    assert first > 0.3
    assert min(gaps) > 0.3


@pytest.mark.usefixtures("patient")
def test_a_shutdown_interrupts_a_pause_with_one_attempt_and_is_back_in_time(
    pipeline: Pipeline, server: FaultServer
) -> None:
    server.answer_with(status(503))
    pipeline.put(numbered(1))
    wait_for(lambda: pipeline.sender.retries.failing)
    assert pipeline.shutdown(0.2) is False
    assert len(server.wait_for_requests(2)) == 2
    wait_for(pipeline.sender.retries.pause)
    server.answer_with(accepted)
    assert pipeline.shutdown(10) is True
    assert len(server.requests) == 3
    assert pipeline.stats().delivered == 1
