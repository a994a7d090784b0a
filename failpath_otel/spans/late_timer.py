"""The timer that looks again at spans whose attributes come late."""

import contextvars
from collections.abc import Callable, Sized
from dataclasses import dataclass

from failpath_otel import limits
from failpath_otel.runtime.threads import RealThread, sleep


@dataclass(eq=False)
class LateTimer:
    """A thread that calls back at short intervals, as long as there is something to look at.

    Args:
        awaiting: what there is.
        look: looks at it.
    """

    awaiting: Sized
    look: Callable[[], object]

    def __post_init__(self) -> None:
        self._thread: RealThread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, if it is not there; where that is impossible, look at once."""
        if self._thread is None:
            try:
                self._thread = thread = RealThread(self._run, "failpath-run-ids")
                contextvars.Context().run(thread.start)  # in an empty context, not in that of the span
            except RuntimeError:  # the interpreter ends, or no more threads can be started
                self._thread = None
                self.look()
            except BaseException:  # of a signal handler: a second thread does no harm, and without one nothing looks
                self._thread = None
                raise

    def reset_in_child(self) -> None:
        """Forget the thread, which does not exist after a fork."""
        self._thread = None

    def _run(self) -> None:
        sleep(limits.LATE_RUN_ID_POLL)
        self._thread = None
        self.look()
        if len(self.awaiting):
            self.start()
