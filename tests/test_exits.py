"""The end of a run in a process that will end by `os._exit`: it waits for delivery, within bounds, and nowhere else."""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import FailpathClient, limits
from failpath_otel.runtime import exits
from failpath_otel.runtime.exits import AbruptExit, abrupt_exit
from tests.delivery.programs import run_program
from tests.fault_server import FaultServer, accepted, fault_server, held, silent, status
from tests.faults import slow
from tests.receiver import wait_for

T = TypeVar("T")


def below_exit(body: Callable[[], T]) -> T:
    """As rq runs a job."""
    if body is None:
        os._exit(0)
    return body()


@pytest.fixture(autouse=True)
def _process_of_its_own() -> Iterator[None]:
    """What was found of this process, and what was waited in it, is this test's alone."""
    gc.collect()  # runs of other tests
    abrupt_exit._begin()
    yield
    abrupt_exit._begin()


@pytest.fixture
def client(server: FaultServer) -> Iterator[FailpathClient]:
    made = failpath_otel.configure(
        project_key="fp_project_exits",
        endpoint=server.url,
        tracer_provider=TracerProvider(shutdown_on_exit=False),
    )
    yield made
    server.answer_with()
    made.shutdown(10)


def take_one(client: FailpathClient) -> None:
    client.run("checkout").step("pack", str)


def take_one_in_a_block(client: FailpathClient) -> None:
    with client.run("checkout") as run:
        run.step("pack", str)


ENDS = pytest.mark.parametrize("end", [take_one, take_one_in_a_block])


@ENDS
def test_below_a_function_that_calls_os_exit_the_end_of_a_run_waits_until_all_is_delivered_and_leaves_no_journal(
    server: FaultServer, client: FailpathClient, end: Callable[[FailpathClient], None]
) -> None:
    server.answer_with(slow(0.02))
    # On a machine that is busy an attempt may take longer than the end of a run may wait.
    shown = []
    for number in range(1, 4):
        abrupt_exit._begin()
        below_exit(lambda: end(client))
        left = list(Path(os.environ["FAILPATH_JOURNAL"]).iterdir())
        shown.append(len(server.taken) == 2 * number and left == [])
        assert client.flush(10)
    assert any(shown)
    assert abrupt_exit.expected


def test_a_run_whose_step_has_failed_ends_when_its_exception_does(server: FaultServer, client: FailpathClient) -> None:
    def job() -> None:
        client.run("checkout").step("charge", lambda: 1 / 0)

    def perform() -> None:
        with pytest.raises(ZeroDivisionError):
            job()
        gc.collect()  # of `pytest.raises`, which keeps the exception in a cycle
        assert abrupt_exit._spent > 0

    below_exit(perform)
    assert client.flush(10)


@ENDS
def test_elsewhere_the_end_of_a_run_waits_for_nothing(
    server: FaultServer, client: FailpathClient, end: Callable[[FailpathClient], None]
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    end(client)
    assert (abrupt_exit.expected, abrupt_exit._spent) == (False, 0)
    gate.set()


def test_steps_one_after_another_are_waited_for_once(server: FaultServer, client: FailpathClient) -> None:
    def job() -> float:
        run = client.run("checkout")
        for _ in range(50):
            run.step("pack", str)
        before = abrupt_exit._spent
        del run
        return before

    assert below_exit(job) == 0
    assert abrupt_exit._spent > 0


def test_runs_inside_of_the_block_of_another_are_waited_for_at_its_end(client: FailpathClient) -> None:
    def job() -> float:
        with client.run("batch"):
            take_one(client)
            take_one_in_a_block(client)
            return abrupt_exit._spent

    assert below_exit(job) == 0
    assert abrupt_exit._spent > 0


def test_a_run_that_is_only_found_does_not_end_there(client: FailpathClient) -> None:
    from opentelemetry import baggage, context  # noqa: PLC0415

    carried = baggage.set_baggage("failpath.run.id", "1", baggage.set_baggage("failpath.flow.key", "checkout"))

    def job() -> None:
        token = context.attach(carried)
        try:
            client.step("pack")(lambda: None)()
        finally:
            context.detach(token)

    below_exit(job)
    assert client.stats().accepted == 2
    assert abrupt_exit._spent == 0


def test_an_endpoint_that_is_silent_costs_a_quarter_of_a_second_and_two_percent_of_the_time(
    server: FaultServer, client: FailpathClient
) -> None:
    server.answer_with(silent)
    began = time.monotonic()

    def job() -> None:
        for _ in range(20):
            take_one(client)

    below_exit(job)
    lasted = time.monotonic() - began
    assert abrupt_exit._spent >= limits.RUN_END_TIMEOUT
    # Twenty waits that are cut short; each may be late by as much as a busy machine makes it.
    assert abrupt_exit._spent <= limits.RUN_END_TIMEOUT + lasted / 2


def test_the_time_that_may_be_waited_grows_by_two_percent_of_the_life_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(exits, "monotonic", lambda: now)
    found = AbruptExit()
    assert found.wait_budget() == 0.25
    found.spend(0.25)
    assert found.wait_budget() == 0
    now += 5
    assert found.wait_budget() == pytest.approx(0.1)
    found.spend(0.2)  # a wait that was late
    assert found.wait_budget() == 0
    now += 3_600
    assert found.wait_budget() == 0.25


def test_while_the_endpoint_fails_the_end_of_a_run_does_not_wait(server: FaultServer, client: FailpathClient) -> None:
    gate = threading.Event()
    server.answer_with(status(503), held(gate, accepted))
    client.run("checkout").step("pack", str)
    # Neither in the pause between two attempts nor while one is under way.
    for requests in (1, 2):
        server.wait_for_requests(requests)
        wait_for(lambda: client._join.reporter._pipelines[-1].sender.retries.failing)
        abrupt_exit._begin()
        below_exit(lambda: take_one(client))
        assert abrupt_exit._spent < limits.RUN_END_TIMEOUT / 2
    gate.set()
    assert client.flush(10)


def test_on_an_event_loop_the_end_of_a_run_does_not_wait(server: FaultServer, client: FailpathClient) -> None:
    async def job() -> float:
        take_one(client)
        take_one_in_a_block(client)
        async with client.run("checkout") as run:
            run.step("pack", str)
        return abrupt_exit._spent

    assert below_exit(lambda: asyncio.run(job())) == 0
    assert abrupt_exit.expected


def test_the_end_of_a_run_does_not_wait_into_an_alarm() -> None:
    # In seconds; what is expected is the most that may be waited.
    expected = {0.04: 0.0, 0.2: 0.15, 3_600.0: 0.25}
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        for alarm, most in expected.items():
            signal.setitimer(signal.ITIMER_REAL, alarm)
            assert abrupt_exit.wait_budget() <= most
        assert abrupt_exit.wait_budget() == 0.25
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class TimeLimitError(Exception):
    """As rq's, which a handler of SIGALRM raises."""


@ENDS
def test_a_time_limit_that_comes_while_the_end_of_a_run_waits_passes_through(
    server: FaultServer, client: FailpathClient, end: Callable[[FailpathClient], None]
) -> None:
    error = TimeLimitError("exceeded")
    came = []

    def raise_it(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise error

    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    before = signal.signal(signal.SIGALRM, raise_it)

    def ring() -> None:
        server.wait_for_requests(1)
        os.kill(os.getpid(), signal.SIGALRM)

    def job() -> None:
        # The alarm comes in the midst of the wait, which begins with the request.
        threading.Thread(target=ring).start()
        end(client)
        while True:  # what the time limit is to end
            time.sleep(0.001)

    try:
        with pytest.raises(TimeLimitError) as raised:
            below_exit(job)
    finally:
        signal.signal(signal.SIGALRM, before)
        gate.set()
    assert raised.value is error
    assert came == [signal.SIGALRM]


@pytest.mark.parametrize("place", ["add", "_begin_segment"])
def test_a_garbage_collection_in_the_midst_of_a_record_ends_a_run_without_a_wait(
    server: FaultServer, client: FailpathClient, place: str
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    kept: list[Any] = []

    def interrupt(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_name == place:
            sys.setprofile(None)
            kept.clear()

    def job() -> None:
        kept.append(client.run("checkout"))
        sys.setprofile(interrupt)
        client.record_step(flow_key="checkout", run_id="1", step_key="pack", status="success")

    below_exit(job)
    assert kept == []
    assert abrupt_exit._spent < limits.RUN_END_TIMEOUT / 2
    # Nor does it delete the journal that is just being begun.
    assert client._join.reporter._pipelines[-1].queue.journaling
    assert len(list(Path(os.environ["FAILPATH_JOURNAL"]).iterdir())) == 1
    gate.set()
    assert client.flush(10)
    assert len(server.taken) == 1


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_a_child_of_multiprocessing_is_not_below_what_its_parent_stood_below() -> None:
    context = multiprocessing.get_context("fork")
    reported = context.SimpleQueue()

    def child() -> None:
        reported.put((abrupt_exit.expected, abrupt_exit.is_expected()))

    def parent() -> tuple[bool | None, bool]:
        assert abrupt_exit.is_expected()
        process = context.Process(target=child)
        process.start()
        process.join()
        found: tuple[bool | None, bool] = reported.get()
        return found

    assert below_exit(parent) == (None, False)


def test_a_thread_knows_what_the_main_thread_stands_below() -> None:
    found: list[bool] = []

    def job() -> None:
        thread = threading.Thread(target=lambda: found.append(abrupt_exit.is_expected()))
        thread.start()
        thread.join()

    below_exit(job)
    assert found == [True]


CHILD = """
    import multiprocessing, os, sys

    def job():
        import failpath_otel
        {job}

    def target():
        try:
            job()
        except BaseException:
            os._exit(1)
        os._exit(0)

    if __name__ == "__main__":
        {start}
        print("end", flush=True)
        os._exit(0)
"""
STARTS = {
    "multiprocessing": (
        "child = multiprocessing.get_context('fork').Process(target=target); child.start(); child.join()"
    ),
    "os.fork": "child = os.fork() or target(); os.waitpid(child, 0)",
}


JOBS = {
    "success": "failpath_otel.configure().run('children').step('pack', str)",
    # The exception outlives the call, and the run with it, unless that has a block.
    "error": "with failpath_otel.configure().run('children') as run: run.step('pack', lambda: 1 / 0)",
}


@pytest.mark.process
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("outcome", JOBS)
def test_a_child_that_ends_by_os_exit_delivers_before_that_below_a_parent_that_knows_nothing(
    start: str, outcome: str
) -> None:
    for _ in range(3):  # on a machine that is busy, the time that may be waited may be too short
        with fault_server() as server:
            ended = run_program(CHILD.format(job=JOBS[outcome], start=STARTS[start]), server.url)
            assert ended.code == 0, ended.errors
            if [event["status"] for event in server.taken] == ["running", outcome]:
                return
    pytest.fail("the outcome was not delivered")
