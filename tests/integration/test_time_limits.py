"""Alarms that go off in steps: each reaches the application, and no step is left open by it, lost or told twice."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from tests.fault_server import FaultServer

ALARMS: Final = 1_250
"""In each of four cases."""


class TimeLimit(Exception):  # noqa: N818 - as Celery's SoftTimeLimitExceeded
    """What the handler raises."""


class _Alarms:
    """A handler that raises, as the time limits of Celery, RQ and Airflow do."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.sent += 1
        raise TimeLimit


@pytest.fixture
def alarms() -> Iterator[_Alarms]:
    handler = _Alarms()
    before = signal.signal(signal.SIGALRM, handler)
    yield handler
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _charge() -> None:
    time.sleep(0.0001)


def _by_call(run: failpath_otel.Run) -> None:
    run.step("charge", _charge)


def _by_block(run: failpath_otel.Run) -> None:
    with run.step("charge"):
        _charge()


def _step_until(
    alarms: _Alarms, number: int, step: Callable[[failpath_otel.Run], None], run: failpath_otel.Run
) -> None:
    """Makes steps until an alarm comes; a function, because Python 3.13.0 jumps back in a loop outside of its `try`."""
    while alarms.sent == number:
        step(run)


# Where a garbage collection calls back, Python prints what is raised, and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("provider", [True, False], ids=["the host's provider", "no provider"])
@pytest.mark.parametrize("step", [_by_call, _by_block], ids=["call", "block"])
def test_alarms_over_short_steps_reach_the_application_and_every_step_has_one_end(
    step: Callable[[failpath_otel.Run], None], provider: bool, server: FaultServer, alarms: _Alarms, tmp_path: Path
) -> None:
    client = failpath_otel.configure(
        project_key="fp_project_limits",
        endpoint=server.url,
        journal=str(tmp_path),
        tracer_provider=TracerProvider(shutdown_on_exit=False) if provider else None,
    )
    run = client.run("checkout", run_id="order-1")
    before = client.stats()
    chance = Random(1)
    caught = 0
    outside = context.get_current()
    for number in range(ALARMS):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.002))
            _step_until(alarms, number, step, run)
        except TimeLimit:
            caught += 1
        context.attach(outside)  # as the next request of a server has
    assert alarms.sent == ALARMS
    assert alarms.sent - caught <= ALARMS * 0.005, f"{alarms.sent - caught} of {alarms.sent} were swallowed"

    assert client.flush(30)
    stats = client.stats()
    client.shutdown()
    events = Counter((event["spanId"], event["status"]) for event in server.events)
    assert set(events.values()) == {1}
    begun = {span for span, status in events if status == "running"}
    ended = Counter(span for span, status in events if status != "running")
    assert begun <= set(ended)  # one that was hit before it was `running` is an error from the start
    assert set(ended.values()) == {1}
    assert stats.accepted - before.accepted == stats.delivered - before.delivered == len(server.events)
    assert (stats.waiting, stats.dropped) == (0, before.dropped)
    assert sum(status == "error" for _, status in events) > ALARMS // 2
