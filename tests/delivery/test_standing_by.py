"""A process that has recorded nothing delivers what others have left: while it lives, and more often after a fork."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from failpath_otel import limits
from failpath_otel.delivery import worker
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from tests.delivery.pipelines import HeldDelivery, a_record, pipeline
from tests.delivery.programs import start_program
from tests.fault_server import FaultServer
from tests.receiver import wait_for

BINDING = "0123456789abcdef"


@pytest.fixture
def place(tmp_path: Path) -> JournalLocation:
    return JournalLocation(str(tmp_path / "journal"), BINDING)


def leave(place: JournalLocation) -> None:
    """What a process leaves that is gone."""
    journal = Journal(place.path, place.binding, lambda _: None)
    assert journal.append(a_record())
    journal.reset_in_child()


def test_a_process_that_has_recorded_nothing_delivers_what_is_left_while_it_lives(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ORPHAN_SCAN_SECONDS", 0.05)
    Path(place.path).mkdir()
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.stand_by()
        wait_for(lambda: queue.wakeup.asleep)
        leave(place)
        wait_for(lambda: queue.stats().adopted == 1)
        # And goes on for as long as it lives, without anything of its own.
        wait_for(lambda: queue.wakeup.asleep)
        leave(place)
        wait_for(lambda: queue.stats().adopted == 2)
        assert queue.stats().accepted == 0


def test_without_a_journal_directory_no_thread_looks_for_one(place: JournalLocation) -> None:
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.stand_by()
        assert queue.worker.thread is None
        assert not Path(place.path).exists()


def test_after_a_fork_a_process_looks_for_a_while_though_there_is_no_journal_directory_yet(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FORK_SCAN_SECONDS", 0.02)
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.stand_by()
        queue._after_fork()
        leave(place)
        wait_for(lambda: queue.stats().adopted == 1)


def test_a_thread_that_looks_after_a_fork_ends_if_no_child_makes_a_journal_directory(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FORK_SCAN_SECONDS", 0.02)
    monkeypatch.setattr(limits, "ORPHAN_SCAN_SECONDS", 0.05)
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue._after_fork()
        assert queue.worker.thread is not None
        assert queue.orphans is not None
        queue.orphans._forked_until = 0  # the ten seconds are over
        wait_for(lambda: queue.worker.thread is None)
        # And begins again with whatever comes.
        queue._after_fork()
        leave(place)
        wait_for(lambda: queue.stats().adopted == 1)


def test_a_fork_makes_a_process_look_every_second_for_ten_seconds(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("failpath_otel.delivery.orphans.monotonic", lambda: now)
    with pipeline(HeldDelivery(), journal=place) as queue:
        adoption = queue.orphans
        assert adoption is not None
        adoption.scan()
        assert adoption.seconds == 3
        adoption.forked()
        for _ in range(10):
            assert adoption.seconds == 1
            assert adoption.is_worthwhile()
            assert not adoption.is_due()
            now += 1
            assert adoption.is_due()
            adoption.scan()
        assert adoption.seconds == 3
        assert not adoption.is_worthwhile()


def test_green_threads_do_not_begin_in_the_midst_of_a_fork(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "HAS_GREEN_THREADS", True)  # as where eventlet has patched first
    Path(place.path).mkdir()
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.stand_by()
        queue._after_fork()
        assert queue.worker.thread is None
        assert not queue.wakeup.wait(0)


IDLE = """
    import os, signal
    import failpath_otel

    failpath = failpath_otel.configure()
    {then}
    print(os.getpid(), flush=True)
    signal.pause()
"""
KILLED = """
    import os, signal
    import failpath_otel

    print("end", flush=True)
    failpath = failpath_otel.configure()
    failpath.run("killed").step("pack", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


@contextmanager
def idle_process(server: FaultServer, then: str = "pass") -> Iterator[None]:
    """A process that has called `configure()`, or a child of it, and does nothing more."""
    with start_program(IDLE.format(then=then), server.url) as started:
        assert started.stdout is not None
        pid = int(started.stdout.readline())
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            started.kill()


def kill_one(server: FaultServer) -> None:
    """Runs a process that is killed inside of a step."""
    with start_program(KILLED, server.url) as killed:
        killed.communicate(timeout=60)


@pytest.mark.process
def test_an_idle_process_delivers_what_a_killed_one_beside_it_has_left(server: FaultServer) -> None:
    with idle_process(server):
        kill_one(server)
        assert [event["status"] for event in server.wait_for_events(1, 30)] == ["running"]


@pytest.mark.process
def test_an_idle_child_delivers_it_too_where_its_parent_is_gone(server: FaultServer) -> None:
    with idle_process(server, "os.fork() and os._exit(0)"):
        kill_one(server)
        assert [event["status"] for event in server.wait_for_events(1, 30)] == ["running"]


@pytest.mark.process
def test_a_parent_that_has_recorded_nothing_delivers_what_its_child_has_left(server: FaultServer) -> None:
    # There is no journal directory before the child makes it.
    journal = Path(os.environ["FAILPATH_JOURNAL"])
    journal.rmdir()
    inside = "lambda: os.kill(os.getpid(), signal.SIGKILL)"
    with idle_process(server, f"os.fork() or failpath.run('killed').step('pack', {inside})"):
        assert [event["status"] for event in server.wait_for_events(1, 30)] == ["running"]
        wait_for(lambda: list(journal.iterdir()) == [])
