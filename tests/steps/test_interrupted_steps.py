"""Exceptions of signal handlers that come in steps: when they arrive, and what keeps them alive."""

import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from time import monotonic
from types import FrameType

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

import failpath_otel
from failpath_otel import Run
from failpath_otel.steps.open_step import OpenStep
from failpath_otel.testing import MockFailpath
from tests.fault_server import FaultServer, silent
from tests.receiver import wait_for

KEY = "fp_project_0123456789_secret"
Form = Callable[[Run], object]


class TimeLimit(Exception):  # noqa: N818 - as Celery's SoftTimeLimitExceeded
    """What the handler raises."""


def _on_limit(signum: int, frame: FrameType | None) -> None:
    raise TimeLimit


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _on_limit)
    yield
    signal.signal(signal.SIGALRM, before)


def _by_call(run: Run) -> object:
    return run.step("charge", lambda: 1)


def _by_block(run: Run) -> None:
    with run.step("charge"):
        pass


def _by_generator(run: Run) -> object:
    def items() -> Iterator[int]:
        yield 1

    return list(run.step("charge", items))


every_form = pytest.mark.parametrize("form", [_by_call, _by_block, _by_generator])


class _Interrupting(SpanProcessor):
    """A span processor of the host in which the signal comes."""

    def __init__(self, at: str) -> None:
        self._at = at

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._at == "start":
            signal.raise_signal(signal.SIGALRM)

    def on_end(self, span: ReadableSpan) -> None:
        if self._at == "end":
            signal.raise_signal(signal.SIGALRM)


@every_form
@pytest.mark.parametrize("at", ["start", "end"])
def test_what_a_handler_has_raised_is_freed_as_soon_as_it_was_handled(at: str, form: Form, server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, journal=None, tracer_provider=provider)
    provider.add_span_processor(_Interrupting(at))
    raised: list[weakref.ref[TimeLimit]] = []
    run = client.run("checkout")
    gc.disable()  # so that only what is in no reference cycle goes
    try:
        try:
            form(run)
        except TimeLimit as error:
            raised.append(weakref.ref(error))
        assert [reference() for reference in raised] == [None]
    finally:
        gc.enable()
    client.shutdown()


class Nothing(Exception):  # noqa: N818 - has no members
    """An exception of the application that is falsy, and in whose text the signal comes, once."""

    raised = False

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        if not self.raised:
            self.raised = True
            signal.raise_signal(signal.SIGALRM)
        return "no such cart"


def _failing_call(run: Run) -> None:
    def fail() -> None:
        raise Nothing

    run.step("charge", fail)


def _failing_block(run: Run) -> None:
    with run.step("charge"):
        raise Nothing


@pytest.mark.parametrize("form", [_failing_call, _failing_block])
def test_a_falsy_exception_that_was_there_before_a_time_limit_is_the_one_that_the_step_ends_with(form: Form) -> None:
    failpath = MockFailpath()
    with pytest.raises(TimeLimit):
        form(failpath.run("checkout"))
    error = failpath.events[-1].error
    assert error is not None
    assert (error.name.rpartition(".")[2], error.message) == ("Nothing", "no such cart")


def test_metadata_of_a_step_that_a_time_limit_has_kept_from_beginning_is_let_pass() -> None:
    failpath = MockFailpath()
    step = failpath.run("checkout").step("charge")

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is OpenStep.begin.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGALRM)

    sys.setprofile(interrupt)
    try:
        with pytest.raises(TimeLimit), step:
            pass
    finally:
        sys.setprofile(None)
    step.set_metadata(late=True)
    assert failpath.events == []


@every_form
def test_a_time_limit_that_comes_while_a_step_waits_for_its_delivery_is_not_held_up(
    form: Form, server: FaultServer
) -> None:
    server.answer_with(silent)
    client = failpath_otel.configure(
        project_key=KEY,
        endpoint=server.url,
        journal=None,
        tracer_provider=TracerProvider(shutdown_on_exit=False),
        delivery="await",
        send_timeout=30,
    )
    here = threading.get_ident()

    def interrupt() -> None:
        wait_for(lambda: server.requests)
        signal.pthread_kill(here, signal.SIGALRM)

    interrupting = threading.Thread(target=interrupt)
    began = monotonic()
    interrupting.start()
    with pytest.raises(TimeLimit):
        form(client.run("checkout"))
    assert monotonic() - began < 15
    interrupting.join()
    client.shutdown(0)


def test_a_fault_of_ours_as_a_step_ends_is_said_once_and_the_exception_of_the_application_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def describe(_: BaseException) -> dict[str, str]:
        raise ValueError("a fault of ours")

    def fail() -> None:
        raise LookupError("no such cart")

    monkeypatch.setattr("failpath_otel.report._logged", set())
    monkeypatch.setattr("failpath_otel.steps.open_step.describe_error", describe)
    run = MockFailpath().run("checkout")
    for _ in range(2):
        with pytest.raises(LookupError):
            run.step("charge", fail)
    assert sum("ending a step failed" in message for message in caplog.messages) == 1
