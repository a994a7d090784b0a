"""Processes killed at random instants, a few at a time: what they had begun is at the receiver, whole and once.

``KILL_STORM`` is the number of processes, ``KILL_STORM_SEED`` repeats the choices of a storm that went wrong.
"""

import os
import random
from pathlib import Path
from typing import Final

import pytest

from failpath_otel import limits
from tests.fault_server import Behaviour, Exchange, FaultServer, accepted, fault_server
from tests.integration.storm import Storm
from tests.integration.storm_verdict import judge

NUMBER: Final = int(os.environ.get("KILL_STORM", "12"))
pytestmark = [pytest.mark.storm, pytest.mark.timeout(60 + 6 * NUMBER)]


@pytest.fixture
def seed() -> int:
    """Chosen in `conftest.py`, and shown at the top of every run."""
    return int(os.environ["KILL_STORM_SEED"])


def slowly(seed: int) -> Behaviour:
    """Accepts everything, each time after a while, so that many a sender is killed while it waits for the answer."""
    chance = random.Random(seed)

    def behave(exchange: Exchange) -> bool:
        exchange.closing.wait(chance.uniform(0, 0.1))
        return accepted(exchange)

    return behave


def check(storm: Storm, server: FaultServer, senders_killed: int) -> None:
    """Everything has arrived, and no more came twice than was in flight when its sender was killed."""
    verdict = judge(storm.programs, [request.body for request in list(server.requests)])
    print(verdict)  # noqa: T201 - as above
    assert verdict.problems == [], str(verdict)
    assert verdict.entered > len(storm.programs)
    assert verdict.resent <= senders_killed
    assert verdict.repeated <= senders_killed * limits.MAX_BATCH_RECORDS


def test_programs_that_nobody_kills_are_told_whole_and_once(server: FaultServer, tmp_path: Path, seed: int) -> None:
    storm = Storm(tmp_path, server.url, seed)
    storm.run_to_the_end(5)
    check(storm, server, 0)


def test_every_step_of_killed_programs_is_told_whole_and_once(tmp_path: Path, seed: int) -> None:
    with fault_server(slowly(seed)) as server:
        storm = Storm(tmp_path, server.url, seed)
        storm.kill(NUMBER)
        storm.drain()
        check(storm, server, NUMBER)


def test_every_step_is_told_when_the_receiver_was_down_all_the_time(
    server: FaultServer, tmp_path: Path, seed: int
) -> None:
    storm = Storm(tmp_path, server.url, seed)
    server.go_down()
    storm.kill(NUMBER // 2)
    server.come_up()
    storm.drain()
    check(storm, server, 0)


def test_a_delivery_of_what_others_left_that_is_killed_repeats_only_what_was_in_flight(
    tmp_path: Path, seed: int
) -> None:
    with fault_server(slowly(seed)) as server:
        storm = Storm(tmp_path, server.url, seed)
        server.go_down()
        storm.kill(NUMBER // 2)
        server.come_up()
        storm.kill_adopters(NUMBER // 2)
        storm.drain()
        check(storm, server, NUMBER // 2)


def test_nothing_is_sent_any_more_when_all_was_delivered(tmp_path: Path, seed: int) -> None:
    with fault_server() as server:
        storm = Storm(tmp_path, server.url, seed)
        storm.kill(5)
        storm.drain()
        before = len(server.requests)
        assert storm.drain() == ""
        assert len(server.requests) == before
        check(storm, server, 5)
