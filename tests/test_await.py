"""``delivery="await"`` off an event loop: a step waits until its events were sent, or could not be."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from time import monotonic

import pytest

from failpath_otel import DeliveryError, FailpathClient, RecordsRejectedError, Run, limits
from failpath_otel.delivery.figures.stats import Stats
from tests.awaiting import FAILURES, Configure, awaiting_clients
from tests.fault_server import Behaviour, FaultServer, accepted, held, rejecting, status
from tests.ports import unused_url
from tests.steps.forms import FUTURE_FORMS, SYNC_FORMS, Form

every_form = pytest.mark.parametrize("form", SYNC_FORMS.values(), ids=SYNC_FORMS.keys())
every_failure = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    with awaiting_clients(server, send_timeout=0.4) as call:
        yield call


@pytest.fixture
def client(configure: Configure) -> FailpathClient:
    return configure(send_timeout=10)


@pytest.fixture
def run(client: FailpathClient) -> Run:
    return client.run("checkout")


@every_form
def test_the_server_has_running_before_the_body_runs_and_the_outcome_when_the_step_is_over(
    client: FailpathClient, run: Run, server: FaultServer, form: Form
) -> None:
    seen: list[list[str]] = []

    def body() -> int:
        seen.append(server.statuses)
        return 7

    assert form(client, run, "pack", body) == 7
    assert seen == [["running"]]
    assert server.statuses == ["running", "success"]
    assert client.stats() == Stats(2, 2, 0, {})


@every_form
def test_the_server_has_the_error_when_it_reaches_the_caller(
    client: FailpathClient, run: Run, server: FaultServer, form: Form
) -> None:
    error = ValueError("card declined")

    def body() -> None:
        raise error

    with pytest.raises(ValueError, match="card declined") as caught:
        form(client, run, "pack", body)
    assert caught.value is error
    assert error.__context__ is None
    assert server.statuses == ["running", "error"]


@pytest.mark.parametrize("form", FUTURE_FORMS.values(), ids=FUTURE_FORMS.keys())
def test_a_step_that_ends_with_a_future_is_the_futures_own_and_is_reported(
    client: FailpathClient, run: Run, server: FaultServer, form: Form
) -> None:
    assert form(client, run, "pack", lambda: 7) == 7
    assert server.wait_for_events(2)
    assert server.statuses == ["running", "success"]


def test_each_item_of_a_generator_comes_without_another_wait(run: Run, server: FaultServer) -> None:
    @run.step("pack")
    def work() -> Generator[int, None, str]:
        for item in range(3):
            assert server.statuses == ["running"]
            yield item
        return "done"

    generator = work()
    assert server.requests == []
    assert [next(generator) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "done"
    assert server.statuses == ["running", "success"]
    assert len(server.requests) == 2


def test_a_step_inside_of_a_step_has_arrived_before_the_outer_one_ends(run: Run, server: FaultServer) -> None:
    with run.step("outer"):
        run.step("inner", lambda: None)
        assert [(sent["stepKey"], sent["status"]) for sent in server.events] == [
            ("outer", "running"),
            ("inner", "running"),
            ("inner", "success"),
        ]


def test_a_skip_and_an_event_recorded_by_hand_have_arrived_when_the_call_returns(
    client: FailpathClient, run: Run, server: FaultServer
) -> None:
    run.skip("wrap")
    assert server.statuses == ["skipped"]
    client.record_step(flow_key="checkout", run_id="req-1", step_key="ship", status="running")
    assert server.statuses == ["skipped", "running"]
    client.record_step(flow_key="checkout", run_id="req-1", step_key="ship", status="error", error="lost")
    assert server.statuses == ["skipped", "running", "error"]


@every_form
@every_failure
def test_bad_input_a_server_that_takes_nothing_leaves_result_and_exception_alone_in_time(
    configure: Configure, server: FaultServer, form: Form, failure: Behaviour
) -> None:
    server.answer_with(failure)
    client = configure(send_timeout=0.15)
    run, error, calls = client.run("checkout"), ValueError("mine"), []

    def fail() -> None:
        calls.append(1)
        raise error

    began = monotonic()
    assert form(client, run, "pack", lambda: 7) == 7
    with pytest.raises(ValueError, match="mine") as caught:
        form(client, run, "fail", fail)
    # Four waits, each for the attempt under way and one more at most.
    assert monotonic() - began < 4 * 2 * 0.15 + 1.5
    assert caught.value is error
    assert calls == [1]
    assert client.stats().delivered == 0


def test_a_dead_server_is_asked_as_the_delays_allow_and_what_it_missed_is_delivered_later(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(status(503))
    client = configure()
    run = client.run("checkout")
    for _ in range(3):
        run.step("pack", lambda: None)
    assert 1 <= len(server.requests) <= 3  # and not once for each of six events
    server.answer_with(accepted)
    before = len(server.requests)
    run.step("pack", lambda: None)
    assert client.flush(10) is True
    arrived = [event["status"] for request in server.requests[before:] for event in request.events]
    assert arrived == ["running", "success"] * 4


def test_an_endpoint_without_a_listener_delays_nothing(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_AGE_SECONDS", 0.0)
    client = configure(unused_url(), send_timeout=30)
    began = monotonic()
    for _ in range(20):
        client.run("checkout").step("pack", lambda: None)
    assert monotonic() - began < 5
    assert client.stats().delivered == 0


def test_during_a_pause_that_the_server_asked_for_no_step_waits(configure: Configure, server: FaultServer) -> None:
    gate = threading.Event()
    server.answer_with(status(429, Retry_After="60"), held(gate, accepted))
    client = configure(send_timeout=30)
    began = monotonic()
    for _ in range(20):
        client.run("checkout").step("pack", lambda: None)
    client.run("checkout").skip("wrap")
    assert monotonic() - began < 5
    assert len(server.requests) == 1
    gate.set()
    client._join.reporter._pipelines[-1].sender.retries.succeeded()  # the minute is over
    assert client.flush(10) is True


@pytest.fixture
def _ctrl_c_interrupts() -> Iterator[None]:
    """Where the tests run in the background of a shell, that has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_interrupts")
@pytest.mark.parametrize("form", ["function", "block"])
def test_ctrl_c_while_a_step_waits_for_its_beginning_goes_through_at_once_and_the_body_does_not_run(
    configure: Configure, server: FaultServer, form: str
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    client = configure(send_timeout=30)
    calls: list[int] = []

    def interrupt() -> None:
        server.wait_for_requests(1)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        SYNC_FORMS[form](client, client.run("checkout"), "pack", lambda: calls.append(1))
    interrupting.join(10)
    assert calls == []
    gate.set()
    assert client.flush(10)
    assert server.statuses == ["running", "error"]


@every_form
def test_an_interruption_of_the_body_is_not_delayed_by_a_wait_for_its_outcome(
    configure: Configure, server: FaultServer, form: Form
) -> None:
    gate = threading.Event()
    server.answer_with(accepted, held(gate, accepted))
    client = configure(send_timeout=30)

    def body() -> None:
        raise KeyboardInterrupt

    began = monotonic()
    with pytest.raises(KeyboardInterrupt):
        form(client, client.run("checkout"), "pack", body)
    assert monotonic() - began < 10
    gate.set()
    assert client.flush(10)
    assert server.statuses == ["running", "error"]


def test_closing_a_generator_is_not_delayed_by_a_wait_for_its_outcome(
    configure: Configure, server: FaultServer
) -> None:
    gate = threading.Event()
    server.answer_with(accepted, held(gate, accepted))
    client = configure(send_timeout=30)

    @client.run("checkout").step("pack")
    def work() -> Generator[int, None, None]:
        yield 1

    generator = work()
    assert next(generator) == 1
    began = monotonic()
    generator.close()
    assert monotonic() - began < 10
    gate.set()
    assert client.flush(10)
    assert server.statuses == ["running", "success"]


def test_steps_of_a_client_that_was_shut_down_run_and_wait_for_nothing(client: FailpathClient) -> None:
    assert client.shutdown(5)
    assert client.run("checkout").step("pack", lambda: 7) == 7
    assert client.stats().dropped == {"shut_down": 2}


def test_a_step_on_the_thread_of_on_error_waits_and_comes_through(configure: Configure, server: FaultServer) -> None:
    done = threading.Event()

    def on_error(error: Exception) -> None:
        assert isinstance(error, RecordsRejectedError)
        alarmed.run("alarm").step("alarm", lambda: None)
        done.set()

    server.answer_with(rejecting(0), accepted)
    alarmed = configure(on_error=on_error, send_timeout=10)
    alarmed.run("checkout").step("pack", lambda: None)
    assert done.wait(10)
    assert alarmed.flush(10) is False
    assert alarmed.stats().delivered == 3


@pytest.mark.parametrize("throws", [False, True])
def test_async_code_goes_on_if_an_upgrade_replaced_the_files_before_they_were_loaded(
    configure: Configure, server: FaultServer, monkeypatch: pytest.MonkeyPatch, throws: bool
) -> None:
    monkeypatch.setitem(sys.modules, "failpath_otel.delivery.waiters.async_waiters", None)
    client = configure(send_timeout=10, throw_on_send_error=throws)

    async def checkout() -> bool:
        async with client.run("checkout").step("pack"):
            pass
        return await client.aflush(1)

    if throws:
        with pytest.raises(DeliveryError, match="not known whether"):
            asyncio.run(checkout())
    else:
        assert asyncio.run(checkout()) is False
        assert client.flush(10)
        assert server.statuses == ["running", "success"]
