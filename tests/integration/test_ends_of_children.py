"""Children of `multiprocessing`, which skip `atexit`: what they leave is delivered without anybody's doing."""

import os
from pathlib import Path

import pytest

from tests.delivery.programs import run_program
from tests.fault_server import FaultServer, fault_server, silent

pytestmark = pytest.mark.process

CHILDREN = """
    import multiprocessing, os, signal, sys, time
    import failpath_otel

    def work(number):
        failpath_otel.configure().run("children", run_id=str(number)).step("pack", {inside})

    if __name__ == "__main__":
        failpath_otel.configure()
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(number,)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        {after}
"""


def statuses(server: FaultServer) -> dict[str, list[str]]:
    """The statuses of each run, in the order in which they came, each record once."""
    found: dict[str, dict[str, str]] = {}
    for event in server.events:
        found.setdefault(event["runId"], {})[event["id"]] = event["status"]
    return {run: list(records.values()) for run, records in found.items()}


def journals() -> list[Path]:
    return list(Path(os.environ["FAILPATH_JOURNAL"]).iterdir())


def test_forked_children_deliver_what_they_have_at_their_end(server: FaultServer) -> None:
    # The parent records nothing, and does not get to its own end.
    ended = run_program(CHILDREN.format(inside="str", after="os._exit(0)"), server.url)
    assert ended.code == 0, ended.errors
    assert statuses(server) == {str(number): ["running", "success"] for number in range(3)}
    assert journals() == []


def test_what_killed_children_have_left_is_delivered_at_the_end_of_their_parent(server: FaultServer) -> None:
    inside = "lambda: os.kill(os.getpid(), signal.SIGKILL)"
    ended = run_program(CHILDREN.format(inside=inside, after="pass"), server.url)
    assert ended.code == 0, ended.errors
    assert statuses(server) == {str(number): ["running"] for number in range(3)}
    assert journals() == []


@pytest.mark.parametrize("after", ["pass", "os._exit(0)"])
def test_a_silent_endpoint_holds_up_children_and_their_parent_for_two_seconds_each_at_most(after: str) -> None:
    with fault_server(silent) as server:
        ended = run_program(CHILDREN.format(inside="str", after=after), server.url)
    assert ended.code == 0
    assert ended.errors.count("\n") <= 1
    assert ended.seconds < 3 + 2 + 2
    assert len(journals()) == 3


def test_a_child_without_a_journal_says_what_it_could_not_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILPATH_JOURNAL", "off")
    with fault_server(silent) as server:
        ended = run_program(CHILDREN.format(inside="str", after="pass"), server.url)
    assert ended.code == 0
    assert ended.errors.count("2 records could not be delivered before the process ended") == 3, ended.errors
