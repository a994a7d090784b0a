"""A Lambda-like freeze: the process stands still, its connections die meanwhile, and it goes on as if nothing was."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.integration.processes.relay import Relay, open_relay
from tests.integration.processes.site import Program, Site


@pytest.fixture
def relay(site: Site) -> Iterator[Relay]:
    with open_relay(site.receiver.port) as opened:
        site.variables["FAILPATH_DEV_ENDPOINT"] = opened.url
        yield opened


def freeze(program: Program) -> None:
    """Stops the program, and waits until it stands still."""
    program.process.send_signal(signal.SIGSTOP)
    pid, status = os.waitpid(program.pid, os.WUNTRACED)
    assert pid == program.pid
    assert os.WIFSTOPPED(status)


@pytest.mark.parametrize("end", ["finish", "reset", "forget"])
def test_after_a_freeze_whose_connections_are_dead_all_steps_arrive(site: Site, relay: Relay, end: str) -> None:
    program = site.start_app("frozen")
    program.write("steps")
    program.write("flush")
    site.wait_for(lambda: "flushed" in program.output(), "answer")
    program.write("open")
    site.wait_for_mark("entered", "open")
    site.wait_until_shown()

    freeze(program)
    assert getattr(relay, end)() >= 1
    # It lives, so nobody else may take what it has.
    assert site.drain() == ""
    program.process.send_signal(signal.SIGCONT)

    program.write("go on")
    site.wait_for_mark("success", "open")
    program.write("steps")
    site.wait_until_shown()
    program.write("flush")
    site.wait_for(lambda: program.output().count("flushed") == 2, "answer")
    program.write("end")
    assert program.wait() == 0
    site.check()


def test_a_freeze_between_a_request_and_its_answer_doubles_nothing(site: Site, relay: Relay) -> None:
    program = site.start_app("frozen")
    program.write("steps")
    program.write("flush")
    site.wait_for(lambda: "flushed" in program.output(), "answer")
    assert relay.mute() >= 1
    program.write("steps")
    site.wait_for_mark("error", "3 failing")
    # They are there, and the program does not know it.
    site.wait_until_shown()
    freeze(program)
    relay.finish()
    program.process.send_signal(signal.SIGCONT)
    program.write("flush")
    site.wait_for(lambda: program.output().count("flushed") == 2, "answer")
    program.write("end")
    assert program.wait() == 0
    site.check()
