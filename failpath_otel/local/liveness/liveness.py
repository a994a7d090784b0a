"""Liveness: whether a ``running`` attempt still runs, as far as it can be observed. Derived, never stored."""

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, Literal, NamedTuple

from failpath_otel import semconv
from failpath_otel.local.liveness.proc import CAN_INSPECT, inspect_process, nested_processes, sees_every_process
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import Liveness as Liveness
from failpath_otel.records.process import start_time
from failpath_otel.records.record import ProcessInfo

SILENT_AFTER: Final = 30_000_000
"""Microseconds; a shorter attempt is never silent."""

SILENT_FACTOR: Final = 3
"""The multiple of its step's p95 after which an attempt is silent."""

_BAD_TO_GOOD: Final[tuple[Liveness, ...]] = ("gone", "silent", "live")

_CHECK_AGAIN: Final = 0.5
_MAX_KNOWN: Final = 16_384
_MAX_PID: Final = 2**22  # Linux assigns no higher one.
_MAX_TEXT: Final = 64
_SAME_START: Final = 2_000_000
"""Microseconds by which two readings of one start may differ: the kernel reports the boot in whole seconds, and the
clock may have been corrected in between. No pid is assigned again within that time."""

_JUST_NOW: Final = 500_000
"""Microseconds for which a scan of all containers is valid for a process without a start time."""


def silent_from(started: int, p95_ms: float | None) -> float:
    """Return the last time (microseconds) at which an attempt that began at ``started`` is not silent."""
    return started + max(SILENT_AFTER, 0 if p95_ms is None else SILENT_FACTOR * p95_ms * 1000)


def liveness_of(
    attempt: AttemptSummary, now: int, p95: Callable[[str], float | None], is_gone: Callable[[ProcessInfo], bool]
) -> Liveness:
    """Return the liveness of a ``running`` attempt; ``now`` is in microseconds since the epoch.

    It is silent if it began, by its own record's time, longer ago than 30 s and than three times its step's ``p95``
    (milliseconds).
    """
    if attempt.process is not None and is_gone(attempt.process):
        return "gone"
    started = attempt.started
    # In this order: a p95 reads hundreds of runs, and most running attempts have just begun.
    if started is None or now <= silent_from(started, None) or now <= silent_from(started, p95(attempt.step_key)):
        return "live"
    return "silent"


def worst(found: Collection[Liveness]) -> Liveness | None:
    """Return the worst of them; ``None`` if there is none."""
    return next((liveness for liveness in _BAD_TO_GOOD if liveness in found), None)


def run_liveness(
    attempts: Iterable[AttemptSummary],
    now: int,
    p95: Callable[[str], float | None],
    is_gone: Callable[[ProcessInfo], bool],
) -> Liveness | None:
    """Return the worst liveness of the newest attempts of a run's steps; ``None`` if none of them is running.

    ``p95`` returns a step's p95 in milliseconds.
    """
    return worst(
        {
            liveness_of(attempt, now, p95, is_gone)
            for attempt in attempts
            if attempt.newest and attempt.status == semconv.STATUS_RUNNING
        }
    )


class _LiveProcess(NamedTuple):
    """A process that was found: its pid, and its start in ticks, which do not depend on the clock."""

    pid: int
    ticks: int | None
    check_after: float


_Verdict = _LiveProcess | Literal["gone", "unknown"]


class Processes:
    """Decides which processes of records have ended, by host, pid and start time: decision 0020. Thread-safe.

    Only a process of this host that is distinct from all others counts as gone, and that is final; that a process is
    not gone is valid for half a second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._host: Final = socket.gethostname()
        self._lock: Final = threading.Lock()
        self._known: Final[dict[ProcessInfo, _Verdict]] = {}
        self._knows_starts: Final = start_time(os.getpid()) is not None
        self._born = _microseconds(start_time(os.getpid())) or 0
        self._clock_steps = [0]
        # Older processes are not of this namespace; the initial namespace sees all.
        self._began: Final = 0 if sees_every_process() else _microseconds(start_time(1)) or 0
        self._nested: dict[int, list[int]] = {}
        self._nested_at = 0

    def is_gone(self, process: ProcessInfo) -> bool:
        """Return whether this process was one of this host and has ended; ``False`` if that is unknown."""
        return self._known_verdict(process) == "gone"

    def is_here(self, process: ProcessInfo) -> bool:
        """Return whether this very process still runs on this host; ``False`` if that is unknown."""
        # Without its start, another process may have got its pid.
        return process.start_time is not None and isinstance(self._known_verdict(process), _LiveProcess)

    def _known_verdict(self, process: ProcessInfo) -> _Verdict:
        if not CAN_INSPECT or process.host != self._host or not 0 < process.pid <= _MAX_PID:
            return "unknown"
        if process.start_time is not None and len(process.start_time) > _MAX_TEXT:
            return "unknown"
        with self._lock:
            known = self._known.get(process)
            if known is None:
                if len(self._known) >= _MAX_KNOWN:
                    del self._known[next(iter(self._known))]
                known = self._known[process] = self._first_verdict(process)
            elif isinstance(known, _LiveProcess) and self._clock() >= known.check_after:
                known = self._known[process] = self._verdict(known.pid, known.ticks)
            return known

    def _first_verdict(self, process: ProcessInfo) -> _Verdict:
        pid, started = process.pid, _microseconds(process.start_time)
        if started is None:
            # As from most SDKs. In a container with this host's name, only the pid inside is known.
            since = time.time_ns() // 1000 - _SAME_START - _JUST_NOW
            inside = self._pids_of_nested(pid, since) if inspect_process(pid) is None else []
            return self._verdict(inside[0] if inside else pid)
        if not self._knows_starts:
            return "unknown"
        holder_is_older = False
        if inspect_process(pid) is not None:
            holder = _microseconds(start_time(pid))
            if holder is None or self._is_start(holder, started):
                return self._verdict(pid)
            holder_is_older = holder < started
        for outer in self._pids_of_nested(pid, started):
            holder = _microseconds(start_time(outer))
            if holder is not None and self._is_start(holder, started):
                return self._verdict(outer)
        return "unknown" if holder_is_older or started < self._began - _SAME_START else "gone"

    def _is_start(self, holder: int, started: int) -> bool:
        """Return whether the start of a process, as the system reports it now, is the one in a record.

        The system computes starts by its current clock: after the clock was set, all of them differ. So a record may
        have an earlier value, by a step of the clock that was observed on the receiver's own start.
        """
        step = self._born - (_microseconds(start_time(os.getpid())) or self._born)
        if all(abs(step - known) > _SAME_START for known in self._clock_steps):
            self._clock_steps.append(step)
        return any(abs(holder + step - known - started) <= _SAME_START for known in self._clock_steps)

    def _verdict(self, pid: int, ticks: int | None = None) -> _Verdict:
        seen = inspect_process(pid)
        if seen is None or seen.zombie or (ticks is not None and seen.ticks not in {ticks, None}):
            return "gone"
        return _LiveProcess(pid, seen.ticks if ticks is None else ticks, self._clock() + _CHECK_AGAIN)

    def _pids_of_nested(self, inner: int, started: int) -> list[int]:
        """Return the pids on this host of what has the pid ``inner`` in a container; scan again for younger ones."""
        if self._nested_at < started + _SAME_START:
            now = time.time_ns() // 1000
            self._nested, self._nested_at = nested_processes(), now
        return self._nested.get(inner, [])


def _microseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None
