"""The end of the interpreter: what waits is sent, within one deadline for all pipelines together."""

import atexit
import contextlib
import threading
import weakref
from time import monotonic
from typing import Final, Protocol

from failpath_otel import limits
from failpath_otel.export.stats import Stats
from failpath_otel.report import say


class Drainable(Protocol):
    """What can be flushed at the end."""

    def flush(self, timeout: float) -> bool:
        """Waits at most ``timeout`` seconds until everything accepted so far was delivered."""
        ...

    def hurry(self) -> None:
        """Starts sending what waits, without waiting for it."""
        ...

    def stats(self) -> Stats:
        """The counts at this moment."""
        ...

    def abandon(self) -> None:
        """Tells ``on_error`` of what waits: the process ends."""
        ...

    def drain_callbacks(self, timeout: float) -> None:
        """Waits at most ``timeout`` seconds until ``on_error`` was called for all errors so far."""
        ...


_pipelines: Final["weakref.WeakSet[Drainable]"] = weakref.WeakSet()
_deadline: list[float] = []


def drain_at_exit(pipeline: Drainable) -> None:
    """Has ``pipeline`` flushed when the interpreter ends, if it still exists then."""
    _pipelines.add(pipeline)


def patience(timeout: float) -> float:
    """Seconds that a shutdown may wait: ``timeout``, but while the interpreter ends, what is left of its patience.

    OpenTelemetry's providers shut their processors down at exit too; without a common deadline, every one of them
    would delay the end of the program once more.
    """
    # The functions of `atexit` are called on the main thread, which counts as ended by then.
    main = threading.main_thread()
    if main.is_alive() or threading.current_thread() is not main:
        return timeout
    if not _deadline:
        _deadline.append(monotonic() + limits.EXIT_TIMEOUT)
    return min(timeout, max(_deadline[0] - monotonic(), 0))


def _drain() -> None:
    pipelines: list[Drainable] = []
    with contextlib.suppress(RuntimeError):  # a daemon thread that configures meanwhile
        pipelines = list(_pipelines)
    loaded = [pipeline for pipeline in pipelines if pipeline.stats().waiting]
    for pipeline in loaded:
        pipeline.hurry()
    for pipeline in loaded:
        pipeline.flush(max(patience(limits.EXIT_TIMEOUT) - limits.EXIT_RESERVE, 0))
    waiting = sum(pipeline.stats().waiting for pipeline in loaded)
    if waiting:
        say("Failpath: %d records could not be delivered before the process ended.", waiting)
        for pipeline in loaded:
            pipeline.abandon()
    for pipeline in pipelines:
        pipeline.drain_callbacks(patience(limits.EXIT_TIMEOUT))


atexit.register(_drain)
