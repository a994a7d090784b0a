"""The end of the interpreter: what waits is sent, within one deadline for all pipelines together."""

import atexit
import contextlib
import threading
import weakref
from time import monotonic, sleep
from typing import Final, Protocol

from failpath_otel import limits
from failpath_otel.export.stats import Stats
from failpath_otel.report import is_heard, say


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

    def is_adopting(self) -> bool:
        """Whether what gone processes have left is on its way, and the endpoint takes it."""
        ...

    @property
    def left(self) -> tuple[int, int, str]:
        """How many of the records that wait outlive the process, how many do not, and where the first are."""
        ...

    @property
    def outage(self) -> tuple[str, bool]:
        """Why the last attempt failed, empty if it did not; and whether that was logged."""
        ...

    def leave(self) -> None:
        """The process ends: deletes the journal if nothing waits; else tells ``on_error`` of what is lost with it."""
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
    # Ctrl-C here ends the waiting; the interpreter would show a traceback, and nobody would hear of what waits.
    with contextlib.suppress(KeyboardInterrupt):
        _wait(pipelines, loaded)
    _say_what_waits([pipeline for pipeline in pipelines if pipeline.stats().waiting])
    for pipeline in pipelines:
        pipeline.leave()
    for pipeline in pipelines:
        pipeline.drain_callbacks(patience(limits.EXIT_TIMEOUT))


def _wait(pipelines: list[Drainable], loaded: list[Drainable]) -> None:
    for pipeline in loaded:
        pipeline.flush(max(patience(limits.EXIT_TIMEOUT) - limits.EXIT_RESERVE, 0))
    # A process that is started again and again, each time for a moment, has to get around to what the last one left.
    while any(pipeline.is_adopting() for pipeline in pipelines) and patience(limits.EXIT_TIMEOUT) > limits.EXIT_RESERVE:
        sleep(limits.EXIT_POLL)


def _say_what_waits(pipelines: list[Drainable]) -> None:
    """One line for all: how many records wait, where, and why."""
    outages = [pipeline.outage for pipeline in pipelines]
    if not pipelines or (any(said for _, said in outages) and not is_heard()):
        return
    cause = next((f": {cause}" for cause, _ in outages if cause), "")
    left = [pipeline.left for pipeline in pipelines]
    kept = sum(records for records, _, _ in left)
    lost = sum(records for _, records, _ in left)
    parts = []
    if kept:
        places = " and ".join(sorted({place for records, _, place in left if records}))
        parts.append(f"{kept} records wait in {places} for the next process or `failpath-otel drain`")
    if lost:
        parts.append(f"{lost} records could not be delivered before the process ended")
    if not parts:  # they have just been delivered
        return
    say("Failpath: %s%s.", "; ".join(parts), cause)


atexit.register(_drain)
