"""The end of the interpreter: what waits is sent, within one deadline for all pipelines together."""

import atexit
import contextlib
import sys
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol

from failpath_otel import limits
from failpath_otel.delivery.stats import Stats
from failpath_otel.report import exception_once, logging_is_configured, warn
from failpath_otel.runtime.forking import after_fork_in_child


class Drainable(Protocol):
    """What can be flushed at the end."""

    def flush(self, timeout: float) -> bool:
        """Waits at most ``timeout`` seconds until everything accepted so far was delivered."""
        ...

    def hurry(self) -> None:
        """Starts sending what waits, without waiting for it."""
        ...

    def secure(self, timeout: float) -> None:
        """Write what waits in memory into the journal; wait at most ``timeout`` seconds for an attempt to end."""
        ...

    def stats(self) -> Stats:
        """The counts at this moment."""
        ...

    def await_attempt(self, timeout: float) -> object:
        """Waits at most ``timeout`` seconds until everything accepted so far was sent, or an attempt has failed."""
        ...

    def hasten(self, timeout: float) -> None:
        """Sends what waits, waits at most ``timeout`` seconds for one attempt, and deletes an empty journal."""
        ...

    def deliver_adopted(self, timeout: float) -> None:
        """Delivers what gone processes have left, for at most ``timeout`` seconds, and while the endpoint takes it."""
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


class _Ending:
    """Whether this process is at its end, and until when it may be held up."""

    def __init__(self) -> None:
        self.deadline = 0.0
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        self.deadline = 0.0
        _await_end_of_child()

    def patience(self) -> float:
        """The seconds that are left; the first question begins the time."""
        if not self.deadline:
            self.deadline = monotonic() + limits.EXIT_TIMEOUT
        return max(self.deadline - monotonic(), 0)


_ending: Final = _Ending()


def drain_at_exit(pipeline: Drainable) -> None:
    """Has ``pipeline`` flushed when the interpreter ends, if it still exists then."""
    _pipelines.add(pipeline)
    _await_end_of_child()


def _await_end_of_child() -> None:
    """Children of `multiprocessing` skip `atexit`, and call what is registered with `multiprocessing` instead.

    It forgets that when such a child begins, which is after the fork, and after the main module was imported.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_ending, _register_end_of_child)
        _register_end_of_child(_ending)


def _register_end_of_child(_: _Ending) -> None:
    util: Any = sys.modules["multiprocessing.util"]
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        util.Finalize(None, _drain_child, exitpriority=-100)  # after those of the application


def hasten(timeout: float) -> None:
    """Has all pipelines send what waits, for at most ``timeout`` seconds: the process may be about to end at once."""
    deadline = monotonic() + timeout
    for pipeline in _of_this_process():
        pipeline.hasten(deadline - monotonic())


def patience(timeout: float) -> float:
    """Seconds that a shutdown may wait: ``timeout``, but while the interpreter ends, what is left of its patience.

    OpenTelemetry's providers shut their processors down at exit too; without a common deadline, every one of them
    would delay the end of the program once more.
    """
    return min(timeout, _ending.patience()) if is_ending() else timeout


def is_ending() -> bool:
    """Whether the interpreter is at its end."""
    # The functions of `atexit` are called on the main thread, which counts as ended by then.
    main = threading.main_thread()
    return bool(_ending.deadline) or not (main.is_alive() or threading.current_thread() is not main)


def _drain() -> None:
    """The end of a process by `atexit`."""
    pipelines = _of_this_process()
    _in_turn(
        *(lambda each=each: each.secure(0.0) for each in pipelines),
        lambda: _flush(pipelines),
        *(lambda each=each: each.secure(limits.EXIT_POLL) for each in pipelines),
        # A program that is started again and again, each time for a moment, has to get around to what the last one
        # left, and one whose children were killed to what these have left.
        *(lambda each=each: each.deliver_adopted(_patience_but_for_callbacks()) for each in pipelines),
        lambda: _say_what_waits([pipeline for pipeline in pipelines if pipeline.stats().waiting]),
        *(pipeline.leave for pipeline in pipelines),
        *(lambda each=each: each.drain_callbacks(patience(limits.EXIT_TIMEOUT)) for each in pipelines),
    )


def _drain_child() -> None:
    """The end of a child of `multiprocessing`; its parent may wait for it, so an attempt that failed is enough."""
    _ending.patience()
    pipelines = _of_this_process()
    _in_turn(
        *(lambda each=each: each.secure(0.0) for each in pipelines),
        *(pipeline.hurry for pipeline in pipelines),
        *(lambda each=each: each.await_attempt(_patience_but_for_callbacks()) for each in pipelines),
        *(lambda each=each: each.secure(limits.EXIT_POLL) for each in pipelines),
        # What is left in a journal is delivered by the parent, and not worth a line of each child.
        lambda: _say_what_waits([pipeline for pipeline in pipelines if pipeline.left[1]]),
        *(pipeline.leave for pipeline in pipelines),
        *(lambda each=each: each.drain_callbacks(patience(limits.EXIT_TIMEOUT)) for each in pipelines),
    )


def _in_turn(*steps: Callable[[], object]) -> None:
    for step in steps:
        # Ctrl-C ends a wait; the interpreter would show a traceback, and nobody would hear of what waits.
        with contextlib.suppress(KeyboardInterrupt):
            try:
                step()
            except Exception:  # noqa: BLE001 - the others are to be asked all the same
                exception_once("ending")


def _of_this_process() -> list[Drainable]:
    with contextlib.suppress(RuntimeError):  # a daemon thread that configures meanwhile
        return list(_pipelines)
    return []


def _patience_but_for_callbacks() -> float:
    return max(patience(limits.EXIT_TIMEOUT) - limits.EXIT_RESERVE, 0)


def _flush(pipelines: list[Drainable]) -> None:
    loaded = [pipeline for pipeline in pipelines if pipeline.stats().waiting]
    for pipeline in loaded:
        pipeline.hurry()
    for pipeline in loaded:
        pipeline.flush(_patience_but_for_callbacks())


def _say_what_waits(pipelines: list[Drainable]) -> None:
    """One line for all: how many records wait, where, and why."""
    outages = [pipeline.outage for pipeline in pipelines]
    if not pipelines or (any(said for _, said in outages) and not logging_is_configured()):
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
    warn("Failpath: %s%s.", "; ".join(parts), cause)


atexit.register(_drain)
