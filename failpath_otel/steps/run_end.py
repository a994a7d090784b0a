"""Delivery at the end of a run in a process that ends by ``os._exit``, which runs no exit handlers."""

import sys
from time import monotonic
from typing import Final

from opentelemetry.context import get_value

from failpath_otel.runtime.exits import abrupt_exit
from failpath_otel.steps.event_loops import on_event_loop
from failpath_otel.steps.finalizer_errors import raise_later
from failpath_otel.steps.step_tracer import StepObserver


class RunEndFlush:
    """Deliver what was recorded, and wait a moment for it, when a run's block is left and when the run is released.

    Only the run refers to this object, so it is released together with the run.
    """

    __slots__ = ("_current_key", "_observer")

    def __init__(self, observer: StepObserver, current_key: str) -> None:
        self._observer: Final = observer
        self._current_key: Final = current_key

    def end(self) -> None:
        """Wait within the limits of :class:`failpath_otel.runtime.exits.AbruptExit`.

        Does nothing on an event loop, and inside the block of another run, whose end is yet to come. An exception that
        a signal handler raises meanwhile, as for a time limit, passes through.
        """
        if on_event_loop() or get_value(self._current_key) is not None:
            return
        began = monotonic()
        try:
            self._observer.run_ended(abrupt_exit.wait_budget())
        finally:
            abrupt_exit.spend(monotonic() - began)

    def __del__(self) -> None:
        if sys.is_finalizing() or not hasattr(self, "_current_key"):
            return  # the latter: a signal handler raised as it was made
        try:
            self.end()
        except BaseException as error:  # noqa: BLE001 - here, Python would print it and go on
            raise_later(error, RunEndFlush.__del__.__code__)


def run_end_flush_of(observer: StepObserver | None, current_key: str) -> RunEndFlush | None:
    """Return the flush for a run; ``None`` where the process runs its exit handlers."""
    return RunEndFlush(observer, current_key) if observer is not None and abrupt_exit.is_expected() else None
