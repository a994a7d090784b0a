"""The end of a run in a process that ends by ``os._exit``: the last moment at which something can be sent."""

import sys
from time import monotonic
from typing import Final

from opentelemetry.context import get_value

from failpath_otel.runtime.exits import abrupt_exit
from failpath_otel.steps.event_loops import on_event_loop
from failpath_otel.steps.finalizer_errors import raise_later
from failpath_otel.steps.step_tracer import StepObserver


class RunEndFlush:
    """Held by a run alone, so that it is released with the run.

    Hurries what the run has recorded, and waits a moment for that, when the run's block is left and when the run is
    released.
    """

    __slots__ = ("_current_key", "_observer")

    def __init__(self, observer: StepObserver, current_key: str) -> None:
        self._observer: Final = observer
        self._current_key: Final = current_key

    def end(self) -> None:
        """Waits within what :class:`failpath_otel.runtime.exits.AbruptExit` allows.

        Not where an event loop runs, nor inside of another run's block, whose end is yet to come. Lets pass what a
        signal handler raises meanwhile, as a time limit does.
        """
        if on_event_loop() or get_value(self._current_key) is not None:
            return
        began = monotonic()
        try:
            self._observer.run_ended(abrupt_exit.patience())
        finally:
            abrupt_exit.spend(monotonic() - began)

    def __del__(self) -> None:
        if sys.is_finalizing() or not hasattr(self, "_current_key"):
            return  # the last: an exception came as it was made
        try:
            self.end()
        except BaseException as error:  # noqa: BLE001 - here, Python would print it and go on
            raise_later(error, RunEndFlush.__del__.__code__)


def run_end_flush_of(observer: StepObserver | None, current_key: str) -> RunEndFlush | None:
    """What a run has to hold in this process; ``None`` where the process has an end at which what waits is sent."""
    return RunEndFlush(observer, current_key) if observer is not None and abrupt_exit.is_expected() else None
