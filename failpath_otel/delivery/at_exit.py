"""The end of the interpreter: send what waits, within one deadline for all pipelines together."""

import atexit
import contextlib
import sys
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from failpath_otel import limits
from failpath_otel.report import exception_once, logging_is_configured, warn
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.snapshots import snapshot

if TYPE_CHECKING:
    from failpath_otel.delivery.pipeline import Pipeline

_pipelines: Final["weakref.WeakSet[Pipeline]"] = weakref.WeakSet()


class _Ending:
    """Whether this process is at its end, and until when it may be held up."""

    def __init__(self) -> None:
        self.deadline = 0.0
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        self.deadline = 0.0
        _await_end_of_child()

    def budget(self) -> float:
        """Return the seconds that are left; the first call starts the clock."""
        if not self.deadline:
            self.deadline = monotonic() + limits.EXIT_TIMEOUT
        return max(self.deadline - monotonic(), 0)


_ending: Final = _Ending()


def drain_at_exit(pipeline: "Pipeline") -> None:
    """Flush ``pipeline`` when the interpreter ends, if it still exists then."""
    _pipelines.add(pipeline)
    _await_end_of_child()


def _await_end_of_child() -> None:
    """Register for the end of a child of `multiprocessing`, which skips `atexit` and has finalizers of its own.

    A child clears them as it begins, after the fork and the import of its main module; so register after that.
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


def send_before_exit(timeout: float) -> None:
    """Have all pipelines send what waits, for at most ``timeout`` seconds: the process may be about to end at once."""
    deadline = monotonic() + timeout
    for pipeline in _of_this_process():
        pipeline.send_before_exit(deadline - monotonic())


def exit_budget(timeout: float) -> float:
    """Return the seconds that a shutdown may wait: ``timeout``, but at exit what is left of the budget of the exit.

    OpenTelemetry's providers shut their processors down at exit too; without a common deadline, every one of them
    would delay the end of the program once more.
    """
    return min(timeout, _ending.budget()) if is_ending() else timeout


def is_ending() -> bool:
    """Return whether the interpreter is at its end."""
    # The functions of `atexit` are called on the main thread, which counts as ended at that time.
    main = threading.main_thread()
    return bool(_ending.deadline) or not (main.is_alive() or threading.current_thread() is not main)


def _drain() -> None:
    """Drain at the end of a process by `atexit`."""
    pipelines = _of_this_process()
    _in_turn(
        *(lambda each=each: each.upkeep.save(0.0) for each in pipelines),
        lambda: _flush(pipelines),
        *(lambda each=each: each.upkeep.save(limits.EXIT_POLL) for each in pipelines),
        # Otherwise programs that each run for a moment would never deliver what earlier ones have left.
        *(lambda each=each: each.deliver_orphans(_budget_before_callbacks()) for each in pipelines),
        lambda: _log_undelivered([pipeline for pipeline in pipelines if pipeline.stats().waiting]),
        *(pipeline.close_at_exit for pipeline in pipelines),
        *(lambda each=each: each.callback.drain(exit_budget(limits.EXIT_TIMEOUT)) for each in pipelines),
    )


def _drain_child() -> None:
    """Drain at the end of a child of `multiprocessing`; its parent may wait, so an attempt that failed is enough."""
    _ending.budget()
    pipelines = _of_this_process()
    _in_turn(
        *(lambda each=each: each.upkeep.save(0.0) for each in pipelines),
        *(pipeline.flusher.send_now for pipeline in pipelines),
        *(lambda each=each: each.await_attempt(_budget_before_callbacks()) for each in pipelines),
        *(lambda each=each: each.upkeep.save(limits.EXIT_POLL) for each in pipelines),
        # The parent delivers what is left in a journal, which is not worth a line of each child.
        lambda: _log_undelivered([pipeline for pipeline in pipelines if pipeline.undelivered[1]]),
        *(pipeline.close_at_exit for pipeline in pipelines),
        *(lambda each=each: each.callback.drain(exit_budget(limits.EXIT_TIMEOUT)) for each in pipelines),
    )


def _in_turn(*steps: Callable[[], object]) -> None:
    for step in steps:
        # Ctrl-C ends a wait; the interpreter would show a traceback, and what waits would not be logged.
        with contextlib.suppress(KeyboardInterrupt):
            try:
                step()
            except Exception:  # noqa: BLE001 - the others must still run
                exception_once("ending")


def _of_this_process() -> "list[Pipeline]":
    return list(snapshot(_pipelines))  # a daemon thread may configure at the same time


def _budget_before_callbacks() -> float:
    return max(exit_budget(limits.EXIT_TIMEOUT) - limits.EXIT_RESERVE, 0)


def _flush(pipelines: "list[Pipeline]") -> None:
    loaded = [pipeline for pipeline in pipelines if pipeline.stats().waiting]
    for pipeline in loaded:
        pipeline.flusher.send_now()
    for pipeline in loaded:
        pipeline.flush(_budget_before_callbacks())


def _log_undelivered(pipelines: "list[Pipeline]") -> None:
    """Log one line for all: how many records wait, where, and why."""
    queues = [pipeline.sender.retries for pipeline in pipelines]
    if not pipelines or (any(retries.is_outage_logged for retries in queues) and not logging_is_configured()):
        return
    cause = next((f": {retries.cause}" for retries in queues if retries.cause), "")
    left = [pipeline.undelivered for pipeline in pipelines]
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
