"""Liveness: whether what is ``running`` still runs, as far as this machine can tell. Derived, never stored."""

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, Literal, NamedTuple

from failpath_otel import semconv
from failpath_otel.local.liveness.proc import CAN_LOOK, look, nested, sees_every_process
from failpath_otel.local.runs.event import instant
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.runs.view import Liveness as Liveness
from failpath_otel.records.process import start_time
from failpath_otel.records.record import ProcessInfo

SILENT_AFTER: Final = 30_000_000
"""Microseconds; what takes less is never called silent."""

SILENT_FACTOR: Final = 3
"""How many times the p95 of its step something may take before it is called silent."""

_BAD_TO_GOOD: Final[tuple[Liveness, ...]] = ("gone", "silent", "live")

_LOOK_AGAIN: Final = 0.5
_MAX_KNOWN: Final = 16_384
_MAX_PID: Final = 2**22  # Linux never hands out more.
_MAX_TEXT: Final = 64
_SAME_START: Final = 2_000_000
"""Microseconds by which two readings of one start may differ: the kernel tells the boot in whole seconds, and the
clock may have been corrected in between. Nobody gets the same pid again as soon as that."""

_JUST_NOW: Final = 500_000
"""Microseconds for which a look at all containers is believed where nothing says when a process began."""


def silent_from(started: int, p95_ms: float | None) -> float:
    """The last moment (microseconds since the epoch) at which an attempt that began at ``started`` is not silent."""
    return started + max(SILENT_AFTER, 0 if p95_ms is None else SILENT_FACTOR * p95_ms * 1000)


def liveness_of(
    attempt: AttemptSummary, now: int, p95: Callable[[str], float | None], is_gone: Callable[[ProcessInfo], bool]
) -> Liveness:
    """The liveness of an attempt that is ``running``; ``now`` is in microseconds since the epoch.

    It is silent when it began, by its own record's time, longer ago than 30 s and than three times what ``p95`` says
    of its step in milliseconds.
    """
    if attempt.process is not None and is_gone(attempt.process):
        return "gone"
    started = attempt.started
    # In this order: a p95 takes a look at hundreds of runs, and most of what runs has just begun.
    if started is None or now <= silent_from(started, None) or now <= silent_from(started, p95(attempt.step_key)):
        return "live"
    return "silent"


def worst(found: Collection[Liveness]) -> Liveness | None:
    """The worst of them; ``None`` of nothing."""
    return next((liveness for liveness in _BAD_TO_GOOD if liveness in found), None)


def run_liveness(
    attempts: Iterable[AttemptSummary],
    now: int,
    p95: Callable[[str], float | None],
    is_gone: Callable[[ProcessInfo], bool],
) -> Liveness | None:
    """The liveness of a run: the worst of the newest attempts of its steps; ``None`` if none of these is running.

    ``p95`` tells a step's p95 in milliseconds.
    """
    return worst(
        {
            liveness_of(attempt, now, p95, is_gone)
            for attempt in attempts
            if attempt.newest and attempt.status == semconv.STATUS_RUNNING
        }
    )


class _Found(NamedTuple):
    """A process that was there: under which pid, and since when, whatever the clock has been set to meanwhile."""

    pid: int
    ticks: int | None
    look_again: float


_Verdict = _Found | Literal["gone", "untold"]


class Processes:
    """Tells which of the processes that records name have ended. Used by any number of threads.

    A process is known by host, pid and start time. Only records that carry this host's name are judged, and of these:

    - one that has been found here is gone as soon as its pid is free, a zombie's or another process's;
    - one that was not found when it was first asked for is gone, because records come after the start of their
      process; of a start before the machine's boot is therefore gone too;
    - without a start time in the record only the pid is looked at, here and in containers on this machine.

    A container may bear this host's name and number its processes by itself. So nothing is said of a process (it
    counts as not gone)

    - whose pid was taken, before it began, by one that is still there: that is another pid of another namespace;
    - that runs in a container on this machine, as the kernel shows it under both pids: that one is watched;
    - that began before the container which this receiver runs in, or whose record has a start time while this system
      tells none.

    What is left is a receiver inside of a container, and beside it another container with the same host name: a
    process of that one, younger than the receiver's container, counts as gone if its pid is free on this side.

    That a process is gone is final; that it is not is believed for half a second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._host: Final = socket.gethostname()
        self._lock: Final = threading.Lock()
        self._known: Final[dict[ProcessInfo, _Verdict]] = {}
        self._tells_starts: Final = start_time(os.getpid()) is not None
        self._born = _microseconds(start_time(os.getpid())) or 0
        self._clock_steps = [0]
        # Processes that are older than this are not of this namespace. All others there are can be seen from the first.
        self._began: Final = 0 if sees_every_process() else _microseconds(start_time(1)) or 0
        self._nested: dict[int, list[int]] = {}
        self._nested_at = 0

    def is_gone(self, process: ProcessInfo) -> bool:
        """Whether this process was one of this host and has ended; ``False`` where that cannot be told."""
        if not CAN_LOOK or process.host != self._host or not 0 < process.pid <= _MAX_PID:
            return False
        if process.start_time is not None and len(process.start_time) > _MAX_TEXT:
            return False
        with self._lock:
            known = self._known.get(process)
            if known is None:
                if len(self._known) >= _MAX_KNOWN:
                    del self._known[next(iter(self._known))]
                known = self._known[process] = self._first_look(process)
            elif isinstance(known, _Found) and self._clock() >= known.look_again:
                known = self._known[process] = self._look_again(known)
            return known == "gone"

    def _first_look(self, process: ProcessInfo) -> _Verdict:
        pid, started = process.pid, _microseconds(process.start_time)
        if started is None:
            # As most SDKs have it. Of a container that bears this host's name, only the pid in there is known.
            since = time.time_ns() // 1000 - _SAME_START - _JUST_NOW
            inside = self._pids_of_nested(pid, since) if look(pid) is None else []
            return self._verdict(inside[0] if inside else pid)
        if not self._tells_starts:
            return "untold"
        holder_is_older = False
        if look(pid) is not None:
            holder = _microseconds(start_time(pid))
            if holder is None or self._is_start(holder, started):
                return self._verdict(pid)
            holder_is_older = holder < started
        for outer in self._pids_of_nested(pid, started):
            holder = _microseconds(start_time(outer))
            if holder is not None and self._is_start(holder, started):
                return self._verdict(outer)
        return "untold" if holder_is_older or started < self._began - _SAME_START else "gone"

    def _is_start(self, holder: int, started: int) -> bool:
        """Whether the start of a process, as the system tells it now, is the one that a record names.

        The system reckons starts by the clock as it is now: after that was set, all of them are others. So a record
        may name what a start was called before, as far as that was seen on the receiver's own.
        """
        step = self._born - (_microseconds(start_time(os.getpid())) or self._born)
        if all(abs(step - known) > _SAME_START for known in self._clock_steps):
            self._clock_steps.append(step)
        return any(abs(holder + step - known - started) <= _SAME_START for known in self._clock_steps)

    def _look_again(self, found: _Found) -> _Verdict:
        return self._verdict(found.pid, found.ticks)

    def _verdict(self, pid: int, ticks: int | None = None) -> _Verdict:
        seen = look(pid)
        if seen is None or seen.zombie or (ticks is not None and seen.ticks not in {ticks, None}):
            return "gone"
        return _Found(pid, seen.ticks if ticks is None else ticks, self._clock() + _LOOK_AGAIN)

    def _pids_of_nested(self, inner: int, started: int) -> list[int]:
        """The pids out here of what has the pid ``inner`` in a container; what is younger than a look needs another."""
        if self._nested_at < started + _SAME_START:
            now = time.time_ns() // 1000
            self._nested, self._nested_at = nested(), now
        return self._nested.get(inner, [])


def _microseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return instant(text)
    except ValueError:
        return None
