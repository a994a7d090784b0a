"""Killed processes whose disk fills, whose descriptors run out, whose clock jumps, which fork and handle signals.

Before an endpoint to which requests do not find their way now and then, and which does not take every step. The number
of processes, and how to repeat a storm: see `test_kill_storm.py`.
"""

import os
from pathlib import Path

import pytest

from failpath_otel import limits
from tests.fault_server import fault_server
from tests.integration.storm import Storm
from tests.integration.storm_answers import Answers
from tests.integration.storm_faults import ADOPTING, FAULTS, FORKING, ROLLING
from tests.integration.storm_verdict import judge
from tests.integration.test_kill_storm import NUMBER

pytestmark = [pytest.mark.storm, pytest.mark.timeout(60 + 8 * NUMBER)]

ASTRAY = 0.1


@pytest.fixture
def seed() -> int:
    """Chosen in `conftest.py`, and shown at the top of every run."""
    return int(os.environ["KILL_STORM_SEED"])


def check(storm: Storm, answers: Answers) -> None:
    verdict = judge(storm.programs, list(answers.taken), limits.MAX_BATCH_RECORDS)
    print(verdict)  # noqa: T201 - shown where the test fails
    assert verdict.problems == [], str(verdict)
    assert verdict.entered > len(storm.programs)
    killed = sum(program.killed for program in storm.programs)
    assert verdict.repeated <= killed * limits.MAX_BATCH_RECORDS
    # Once a request was refused, at most one single record is taken that comes again, unless its sender is killed.
    assert verdict.asked <= answers.refused + killed * limits.MAX_BATCH_RECORDS


def test_what_faulty_programs_had_begun_when_they_were_killed_is_told(tmp_path: Path, seed: int) -> None:
    answers = Answers(seed, ASTRAY)
    with fault_server(answers) as server:
        storm = Storm(tmp_path, server.url, seed, FAULTS)
        storm.kill(NUMBER)
        answers.astray = 0.0
        storm.drain()
        check(storm, answers)


def test_programs_that_are_killed_while_segments_roll_lose_and_invent_nothing(tmp_path: Path, seed: int) -> None:
    answers = Answers(seed, 0.0)
    with fault_server(answers) as server:
        storm = Storm(tmp_path, server.url, seed, [ROLLING])
        places = storm.let_die(NUMBER // 2)
        assert places, "none was killed there"
        storm.drain()
        check(storm, answers)


def test_programs_that_are_killed_while_they_adopt_what_others_have_left_lose_and_invent_nothing(
    tmp_path: Path, seed: int
) -> None:
    answers = Answers(seed, 0.0)
    with fault_server(answers) as server:
        storm = Storm(tmp_path, server.url, seed, [ADOPTING])
        server.go_down()
        storm.let_die(NUMBER // 3)
        server.come_up()
        places = storm.let_die(NUMBER // 3)
        assert places, "none was killed there"
        storm.drain()
        check(storm, answers)


def test_programs_that_are_killed_while_they_fork_lose_and_invent_nothing(tmp_path: Path, seed: int) -> None:
    answers = Answers(seed, 0.0)
    with fault_server(answers) as server:
        storm = Storm(tmp_path, server.url, seed, [FORKING])
        places = storm.let_die(NUMBER // 2)
        assert places, "none was killed there"
        storm.drain()
        check(storm, answers)


def test_it_is_told_when_the_receiver_was_down_all_the_time(tmp_path: Path, seed: int) -> None:
    answers = Answers(seed, 0.0)
    with fault_server(answers) as server:
        storm = Storm(tmp_path, server.url, seed, FAULTS)
        server.go_down()
        storm.kill(NUMBER // 2)
        server.come_up()
        storm.drain()
        check(storm, answers)


def test_faulty_programs_that_come_to_their_end_tell_all_of_it(tmp_path: Path, seed: int) -> None:
    answers = Answers(seed, ASTRAY)
    with fault_server(answers) as server:
        storm = Storm(tmp_path, server.url, seed, FAULTS)
        storm.run_to_the_end(5)
        answers.astray = 0.0
        storm.drain()
        check(storm, answers)
