"""Steps that tell a ledger, apart from the package under test, what really happened to them."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import failpath_otel
from failpath_otel import Run
from failpath_otel.runtime.exits import abrupt_exit

_T = TypeVar("_T")


def connect() -> failpath_otel.FailpathClient:
    """``configure()``, in an application with a tracer provider of its own or, without ``HOST``, in one with none."""
    if "HOST" in os.environ:
        trace.set_tracer_provider(TracerProvider())
    return failpath_otel.configure()


def begin_run(failpath: failpath_otel.Failpath) -> Run:
    """A run of the flow of the test at hand."""
    return failpath.run(os.environ["FLOW"])


def take(run: Run, key: str, body: Callable[[], _T]) -> _T:
    """A step whose function is ``body``."""
    tell("called", run, key)
    try:
        value = run.step(key, lambda: _within(run, key, body))
    except BaseException:
        tell("error", run, key)
        raise
    tell("success", run, key)
    return value


@contextmanager
def block(run: Run, key: str) -> Iterator[None]:
    """The same for a ``with`` block."""
    tell("called", run, key)
    try:
        with run.step(key):
            tell("entered", run, key)
            try:
                yield
            finally:
                tell("leaving", run, key)
    except BaseException:
        tell("error", run, key)
        raise
    tell("success", run, key)


def fail() -> Any:
    """What a step that ends as an error does."""
    message = "declined"
    raise ValueError(message)


def take_some(run: Run, name: str = "") -> None:
    """A step within another, one that succeeds and one that fails; ``name`` begins their keys."""
    with block(run, f"{name}outer"):
        take(run, f"{name}inner", lambda: None)
    with suppress(ValueError):
        take(run, f"{name}failing", fail)


def _within(run: Run, key: str, body: Callable[[], _T]) -> _T:
    tell("entered", run, key)
    try:
        return body()
    finally:
        tell("leaving", run, key)


def tell(mark: str, run: Run, key: str) -> None:
    """Adds one line to the ledger: at once, and whole, because a short write with O_APPEND is never torn."""
    _add(os.environ["LEDGER"], [mark, run.run_id, key, os.getpid()])


def tell_patience() -> None:
    """Tells whether this process counts on ending by ``os._exit``, and for how long ends of runs have waited in it."""
    _add(os.environ["LEDGER"] + "-patience", [os.getpid(), abrupt_exit.expected, abrupt_exit._spent])


def _add(path: str, told: list[Any]) -> None:
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(ledger, (json.dumps(told) + "\n").encode())
    finally:
        os.close(ledger)
