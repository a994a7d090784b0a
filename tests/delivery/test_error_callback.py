"""on_error: what it is told and when, and what a bad one costs."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import FrameType
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import (
    DeliveryError,
    FailpathClient,
    FailpathSpanExporter,
    FailpathSpanProcessor,
    InvalidRecordError,
    QueueFullError,
    RecordsRejectedError,
    SendError,
    ShutdownError,
    report,
)
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from tests.delivery.programs import run_program
from tests.fault_server import FaultServer, accepted, fault_server, held, rejecting, status
from tests.keys import KEY
from tests.receiver import wait_for
from tests.spans.foreign import a_span, tracer_with

Configure = Callable[..., FailpathClient]
TraceFunction = Callable[[FrameType, str, Any], Any]


@pytest.fixture(autouse=True)
def _faults_are_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    made: list[FailpathClient] = []

    def call(**options: Any) -> FailpathClient:
        given = {"project_key": KEY, "endpoint": server.url, "tracer_provider": NoOpTracerProvider(), **options}
        made.append(failpath_otel.configure(**given))
        return made[-1]

    yield call
    for client in made:
        client.shutdown(0)


class Told:
    """An ``on_error`` that remembers; while ``gate`` is not set, it does not return."""

    def __init__(self, *, held: bool = False) -> None:
        self.errors: list[DeliveryError] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def __call__(self, error: DeliveryError) -> None:
        self.errors.append(error)
        self.entered.set()
        assert self.gate.wait(30)

    def wait(self, records: int) -> list[DeliveryError]:
        wait_for(lambda: sum(error.records for error in self.errors) >= records, message=f"told {self.errors}")
        return self.errors


def skip(client: FailpathClient, key: str = "ship") -> None:
    client.run("checkout").skip(key)


@pytest.mark.parametrize(("code", "said"), [(400, "400"), (404, "route"), (410, "410"), (418, "418")])
def test_a_failure_is_told_with_its_status_and_its_records(
    configure: Configure, server: FaultServer, code: int, said: str
) -> None:
    server.answer_with(status(code))
    told = Told()
    client = configure(on_error=told)
    client.run("checkout").step("pack", lambda: None)
    assert not client.flush()
    [error] = told.wait(2)
    assert isinstance(error, SendError)
    assert (error.status, error.records, error.retrying) == (code, 2, True)
    assert said in str(error)
    assert server.url in str(error)
    assert KEY not in str(error)


def test_a_failure_that_is_retried_is_told_once_at_the_first_attempt(configure: Configure, server: FaultServer) -> None:
    server.answer_with(status(503), status(503), status(503), accepted)
    told = Told()
    client = configure(on_error=told)
    skip(client)
    wait_for(lambda: client.flush(0.05))
    assert len(server.requests) == 4
    [error] = told.errors
    assert isinstance(error, SendError)
    assert (error.status, error.records, error.retrying) == (503, 1, True)


def test_a_loss_after_retries_is_told_again_as_one(configure: Configure, server: FaultServer) -> None:
    server.answer_with(accepted, status(503), status(503), status(400))
    told = Told()
    client = configure(on_error=told)
    skip(client)
    assert client.flush()
    skip(client)
    wait_for(lambda: client.stats().dropped or client.flush(0.05))
    told.wait(2)
    assert [(error.status, error.retrying) for error in told.errors if isinstance(error, SendError)] == [
        (503, True),
        (400, False),
    ]


def test_without_an_answer_there_is_no_status(configure: Configure) -> None:
    with fault_server() as gone:
        url = gone.url
    told = Told()
    skip(configure(endpoint=url, on_error=told))
    [error] = told.wait(1)
    assert isinstance(error, SendError)
    assert (error.status, error.retrying) == (None, True)


def test_a_span_that_cannot_be_read_is_told_as_an_invalid_record(server: FaultServer) -> None:
    class Unreadable:
        @property
        def attributes(self) -> Any:
            raise ZeroDivisionError

    told = Told()
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, on_error=told)
    exporter.export([Unreadable()])  # type: ignore[list-item]
    [error] = told.wait(1)
    assert type(error) is InvalidRecordError
    exporter.shutdown()


@pytest.mark.parametrize("by_hand", [FailpathSpanProcessor, FailpathSpanExporter])
def test_a_processor_and_an_exporter_tell_too(server: FaultServer, by_hand: Any) -> None:
    server.answer_with(rejecting(0, 1))
    told = Told()
    made = by_hand(project_key=KEY, endpoint=server.url, on_error=told)
    if isinstance(made, FailpathSpanExporter):
        made.export([a_span()])
    else:
        tracer_with(made).start_span("s", attributes=dict(a_span().attributes or {})).end()
        made.flush()
    told.wait(2)
    made.shutdown()


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, GeneratorExit, RecursionError])
def test_bad_input_an_on_error_that_raises_is_logged_once_and_called_for_what_comes(
    configure: Configure, server: FaultServer, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    server.answer_with(rejecting(0))
    calls: list[DeliveryError] = []

    def on_error(told: DeliveryError) -> None:
        calls.append(told)
        raise error

    client = configure(on_error=on_error)
    with caplog.at_level(logging.ERROR, "failpath_otel"):
        for number in range(1, 4):
            skip(client)
            client.flush()
            wait_for(lambda number=number: len(calls) == number)  # type: ignore[misc]
        client._join.reporter._pipelines[-1].callback.drain(10)
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.message.count("calling on_error") for record in faults] == [1]


def test_bad_input_an_on_error_with_other_parameters_is_logged_and_costs_nothing(
    configure: Configure, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_with(rejecting(0), accepted)
    client = configure(on_error=lambda: None)
    with caplog.at_level(logging.ERROR, "failpath_otel"):
        skip(client)
        client.flush()
        wait_for(lambda: "calling on_error" in caplog.text)
    skip(client)
    client.flush()
    assert client.stats().delivered == 1


def test_bad_input_an_on_error_that_blocks_delays_neither_a_step_nor_the_delivery(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(rejecting(0), accepted)
    told = Told(held=True)
    client = configure(on_error=told)
    skip(client)
    assert told.entered.wait(10)
    began = monotonic()
    for _ in range(100):
        assert client.run("checkout").step("pack", lambda: 7) == 7
    assert client.flush() is False  # of the first record; all others are there
    assert monotonic() - began < 3
    assert client.stats().delivered == 200
    assert not told.gate.is_set()
    told.gate.set()


def test_bad_input_an_on_error_that_blocks_does_not_delay_a_full_queue(
    configure: Configure, server: FaultServer
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    told = Told(held=True)
    client = configure(on_error=told, max_queue_size=2, journal=None)
    began = monotonic()
    for _ in range(100):
        assert client.run("checkout").step("pack", lambda: 7) == 7
    assert monotonic() - began < 3
    told.gate.set()
    gate.set()
    told.wait(198)


@pytest.mark.process
def test_bad_input_an_on_error_that_blocks_for_ever_does_not_keep_the_process() -> None:
    with fault_server(rejecting(0)) as server:
        ended = run_program(
            """
            import threading, failpath_otel
            client = failpath_otel.configure(on_error=lambda error: threading.Event().wait())
            client.run("checkout").step("pack", lambda: None)
            client.flush()
            print("end", flush=True)
            """,
            server.url,
        )
    assert (ended.code, ended.seconds < 10) == (0, True)


def test_bad_input_an_on_error_that_comes_back_to_us_is_answered(configure: Configure, server: FaultServer) -> None:
    server.answer_with(rejecting(0), accepted)
    done = threading.Event()
    said: list[object] = []

    def on_error(error: DeliveryError) -> None:
        said.append(client.run("checkout").step("inside", lambda: 7))
        said.append(client.flush(10))
        said.append(client.stats().delivered)
        configure().run("checkout").step("of another client", lambda: None)
        done.set()

    client = configure(on_error=on_error)
    skip(client)
    assert done.wait(20)
    assert said == [7, False, 2]


def test_bad_input_an_on_error_that_shuts_down_ends_delivery(configure: Configure, server: FaultServer) -> None:
    server.answer_with(rejecting(0), accepted)
    done = threading.Event()

    def on_error(error: DeliveryError) -> None:
        if isinstance(error, RecordsRejectedError):
            client.shutdown(10)
            done.set()

    client = configure(on_error=on_error)
    skip(client)
    assert done.wait(20)
    assert client.run("checkout").step("pack", lambda: 7) == 7
    assert client.stats().dropped == {"rejected": 1, "shut_down": 2}


def test_bad_input_an_on_error_that_records_a_step_into_a_full_queue_is_not_told_of_that_without_end(
    configure: Configure, server: FaultServer
) -> None:
    server.answer_with(status(503))
    told: list[DeliveryError] = []

    def on_error(error: DeliveryError) -> None:
        told.append(error)
        assert len(told) < 100
        skip(client)

    client = configure(on_error=on_error, journal="off", max_queue_size=2)
    for _ in range(4):
        skip(client)
    wait_for(lambda: any(isinstance(error, QueueFullError) for error in told))
    client._join.reporter._pipelines[-1].callback.drain(10)
    full = [error for error in told if isinstance(error, QueueFullError)]
    assert sum(error.records for error in full) == 2
    assert client.stats().dropped["queue_full"] > 2


def test_errors_of_one_kind_that_wait_come_as_one_with_all_their_records() -> None:
    told = Told(held=True)
    callback = ErrorCallback(told)
    callback.call(SendError("first", 1))
    assert told.entered.wait(10)
    for _ in range(5):
        callback.call(QueueFullError("full", 1))
    callback.call(ShutdownError("shut", 1))
    told.gate.set()
    callback.drain(10)
    assert [(type(error), error.records) for error in told.errors] == [
        (SendError, 1),
        (QueueFullError, 5),
        (ShutdownError, 1),
    ]


def test_calls_that_wait_for_a_slow_callback_are_bounded() -> None:
    told = Told(held=True)
    callback = ErrorCallback(told)
    callback.call(SendError("first", 1))
    assert told.entered.wait(10)
    for number in range(3_000):
        callback.call(SendError(f"number {number}", 1))
    told.gate.set()
    callback.drain(10)
    assert len(told.errors) == 1_001
    assert str(told.errors[-1]) == "number 2999"


def test_a_loss_is_not_told_together_with_a_retry() -> None:
    told: list[tuple[bool, int]] = []
    entered, gate = threading.Event(), threading.Event()

    def on_error(error: DeliveryError) -> None:
        assert isinstance(error, SendError)
        told.append((error.retrying, error.records))
        entered.set()
        assert gate.wait(30)

    callback = ErrorCallback(on_error)
    callback.call(SendError("first", 1))
    assert entered.wait(10)
    callback.call(SendError("answered 503", 1, 503, retrying=True))
    callback.call(SendError("answered 503", 1, 503))
    gate.set()
    callback.drain(10)
    assert told[1:] == [(True, 1), (False, 1)]


def test_a_drain_waits_for_the_call_that_is_under_way() -> None:
    entered, gate = threading.Event(), threading.Event()
    done: list[bool] = []

    def on_error(error: DeliveryError) -> None:
        entered.set()
        assert gate.wait(30)
        done.append(True)

    callback = ErrorCallback(on_error)
    callback.call(SendError("only", 1))
    assert entered.wait(10)
    callback.drain(0.01)
    assert done == []
    draining = threading.Thread(target=callback.drain, args=(30,))
    draining.start()
    gate.set()
    draining.join(20)
    assert done == [True]


def test_a_signal_handler_in_the_midst_of_telling_an_error_can_tell_another_one() -> None:
    told = Told()
    callback = ErrorCallback(told)
    nested = 0

    def interrupt(frame: FrameType, event: str, argument: object) -> TraceFunction:
        """Tells an error before any line, as a handler does that finds the queue full."""
        nonlocal nested
        sys.settrace(None)
        nested += 1
        callback.call(QueueFullError(f"of the handler at {frame.f_lineno}, {nested}", 1))
        sys.settrace(interrupt)
        return interrupt

    def tell() -> None:
        sys.settrace(interrupt)
        callback.call(QueueFullError("of the application", 1))
        sys.settrace(None)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for itself"
    told.wait(nested + 1)
    callback.drain(10)
    assert callback._thread is None
