"""Log records of traces of which no step has been received yet: in memory, for a bounded while.

A step may be reported after its logs. Most services have more traces than runs, whose logs never touch the disk.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final

from failpath_otel.local.store.logs import NewLog

MAX_WAITING_BYTES: Final = 16 * 1_048_576
"""About how much memory the records may take."""

MAX_OF_TRACE: Final = 500
"""Records of one trace that wait."""

MAX_WAIT_SECONDS: Final = 3_600.0
"""How long a trace waits after its first record: without start markers, spans come only when they have ended."""

_OBJECT_BYTES: Final = 400
"""What a record takes in memory beside its texts."""


class _Trace:
    __slots__ = ("logs", "since", "size")

    def __init__(self, since: float) -> None:
        self.since = since
        self.logs: list[NewLog] = []
        self.size = 0


class WaitingLogs:
    """Records by their traces, the oldest trace first. Thread-safe.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._traces: Final[OrderedDict[str, _Trace]] = OrderedDict()
        self._size = 0
        self.gone = 0
        """Records that have waited in vain."""

    def __len__(self) -> int:
        """Return the number of traces that wait."""
        return len(self._traces)

    def put(self, logs: Collection[NewLog]) -> None:
        """Have records wait; too many of a trace, or in all, cost the oldest of them."""
        now = self._clock()
        with self._lock:
            for log in logs:
                trace = self._traces.get(log.trace_id)
                if trace is None:
                    trace = self._traces[log.trace_id] = _Trace(now)
                trace.logs.append(log)
                trace.size += log.size + _OBJECT_BYTES
                self._size += log.size + _OBJECT_BYTES
                if len(trace.logs) > MAX_OF_TRACE:
                    self._forget_first(trace)
            self._forget(now - MAX_WAIT_SECONDS)

    def take(self, traces: Collection[str]) -> list[NewLog]:
        """Return the records of these traces, which wait no longer."""
        with self._lock:
            found: list[NewLog] = []
            for trace_id in traces:
                trace = self._traces.pop(trace_id, None)
                if trace is not None:
                    self._size -= trace.size
                    found += trace.logs
            return found

    def among(self, traces: Collection[str]) -> set[str]:
        """Return those of these traces that wait."""
        with self._lock:
            return self._traces.keys() & traces if self._traces else set()

    def _forget(self, before: float) -> None:
        while self._traces:
            trace_id, trace = next(iter(self._traces.items()))
            if self._size <= MAX_WAITING_BYTES and trace.since >= before:
                return
            del self._traces[trace_id]
            self._size -= trace.size
            self.gone += len(trace.logs)

    def _forget_first(self, trace: _Trace) -> None:
        size = trace.logs.pop(0).size + _OBJECT_BYTES
        trace.size -= size
        self._size -= size
        self.gone += 1
