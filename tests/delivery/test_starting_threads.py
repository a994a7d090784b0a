"""Threads of ours that begin: a garbage collection on one may end a step, before whoever has started it goes on."""

import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

from failpath_otel import DeliveryError, FailpathSpanProcessor
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.delivery.waiters.flusher import Flusher
from tests.delivery.pipelines import HeldDelivery, numbered, pipeline
from tests.fault_server import FaultServer
from tests.keys import KEY
from tests.receiver import wait_for
from tests.spans.foreign import IDENTITY, tracer_with

_DEADLINE: Final = 10.0


def first_on(monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], object]) -> list[str]:
    """Has ``action`` called on each thread of that name, where a garbage collection may be the first thing."""
    whole: Any = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]
    called: list[str] = []

    def begin(thread: threading.Thread) -> None:
        if thread.name == name:
            action()
            called.append(name)
        whole(thread)

    monkeypatch.setattr(threading.Thread, "_bootstrap_inner", begin)
    return called


def comes_back(work: Callable[[], object]) -> bool:
    """Whether ``work`` is over in time."""
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(_DEADLINE)
    return not worker.is_alive()


def test_a_step_that_ends_on_the_new_delivery_thread_holds_nobody_up(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url, journal=None)
    tracer = tracer_with(processor)

    def step() -> None:
        tracer.start_span("charge-card", attributes=IDENTITY).end()

    called = first_on(monkeypatch, "failpath-delivery", step)
    assert comes_back(step)
    assert processor.flush()
    assert (len(called), len(server.events)) == (1, 4)
    processor.shutdown()


@pytest.mark.parametrize("ended", [False, True], ids=["full", "shut down"])
def test_a_step_that_is_refused_on_the_new_thread_of_on_error_holds_nobody_up(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    errors: list[DeliveryError] = []
    processor = FailpathSpanProcessor(
        project_key=KEY, endpoint=server.url, journal=None, max_queue_size=2, on_error=errors.append
    )
    tracer = tracer_with(processor)
    kept = tracer.start_span("charge-card", attributes=IDENTITY)
    if ended:
        processor.shutdown()

    def refused() -> None:
        kept.end() if ended else None
        tracer.start_span("charge-card", attributes=IDENTITY)

    called = first_on(
        monkeypatch, "failpath-on-error", lambda: tracer.start_span("charge-card", attributes=IDENTITY).end()
    )
    assert comes_back(refused)
    assert called
    assert wait_for(lambda: sum(error.records for error in errors) >= (3 if ended else 2))
    processor.shutdown()


@pytest.mark.parametrize("begun", [False, True], ids=["before it has begun", "when it has begun"])
def test_ctrl_c_while_the_delivery_thread_is_started_does_not_end_delivery(
    monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    start = threading.Thread.start
    interrupted_threads: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        interrupted_threads.append(thread)
        if begun:
            start(thread)
        raise KeyboardInterrupt

    delivery = HeldDelivery()
    with pipeline(delivery) as queue:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(threading.Thread, "start", interrupted)
            queue.put(numbered(0))
        assert queue.put(numbered(1))
        assert queue.flush(_DEADLINE)
        assert delivery.records == [numbered(0), numbered(1)]
        wait_for(lambda: not any(thread.is_alive() for thread in interrupted_threads))


def test_ctrl_c_while_the_thread_of_on_error_is_started_does_not_end_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    told: list[DeliveryError] = []
    callback = ErrorCallback(told.append)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(threading.Thread, "start", interrupted)
        callback.call(DeliveryError("first"))
    callback.call(DeliveryError("second"))
    wait_for(lambda: [str(error) for error in told] == ["first", "second"])


@pytest.mark.parametrize("wait", [Flusher.flush, Flusher.await_attempt], ids=["flush", "attempt"])
def test_ctrl_c_while_a_flush_starts_the_delivery_thread_leaves_no_waiter_behind(
    monkeypatch: pytest.MonkeyPatch, wait: Callable[[Flusher, float], object]
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError

    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    with pipeline(HeldDelivery()) as queue:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(threading.Thread, "start", refused)
            queue.put(numbered(0))
            patched.setattr(threading.Thread, "start", interrupted)
            wait(queue.flusher, _DEADLINE)
        assert queue.ledger.waiter_count == 0
        assert queue.flush(_DEADLINE)


class _TimeLimit(Exception):  # noqa: N818 - as Celery's
    pass


class _InterruptedLock:
    """A lock that a signal handler interrupts by an exception, once, when it has been released."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.due = False

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(*error)
        if self.due:
            self.due = False
            raise _TimeLimit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def test_a_time_limit_between_the_choice_of_a_new_thread_and_its_start_leaves_the_next_record_to_start_one() -> None:
    with pipeline(HeldDelivery()) as made:
        under_test: Any = made
        lock = under_test.queue.lock = _InterruptedLock(under_test.queue.lock)
        lock.due = True
        with pytest.raises(_TimeLimit):
            under_test.worker.start()
        under_test.put(numbered(1))
        assert under_test.flush(_DEADLINE)
