"""Calling ``on_error``: on a thread of its own, so that it delays neither a step nor the delivery."""

import contextvars
import threading
from collections import deque
from time import monotonic
from typing import Final

from failpath_otel.errors import DeliveryError
from failpath_otel.export.arguments import OnError
from failpath_otel.forking import after_fork_in_child
from failpath_otel.report import report_fault

_MAX_WAITING: Final = 1_000
"""Calls that wait for a slow callback; beyond, the oldest of them is not made."""


class ErrorCallback:
    """Calls the user's function with each error, one after another; what it raises is logged once."""

    def __init__(self, on_error: OnError | None) -> None:
        self._on_error = on_error
        self._begin()
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        # Reentrant: a garbage collection can end a step, which finds the queue full, at any allocation.
        self._lock = threading.RLock()
        self._waiting: deque[DeliveryError] = deque(maxlen=_MAX_WAITING)
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None

    def call(self, error: DeliveryError) -> None:
        """Has the function called with ``error`` soon; never waits for it. Several of a kind may come as one."""
        if self._on_error is None:
            return
        with self._lock:
            last = self._waiting[-1] if self._waiting else None
            # A full queue refuses thousands of records a second, and each time for the same reason.
            if last is not None and _kind(last) == _kind(error):
                last.records += error.records
            else:
                self._waiting.append(error)
            self._idle.clear()
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._work, name="failpath-on-error", daemon=True)
            self._thread = thread
        try:
            # Not under the lock: this waits for the new thread, on which a garbage collection may end a step first.
            contextvars.Context().run(thread.start)  # and not in that of a step
        except RuntimeError:  # the interpreter is ending, or there are no threads left: `drain` makes the calls
            self._thread = None

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    self._idle.set()
                    return
                error = self._waiting.popleft()
            self._call(error)

    def _call(self, error: DeliveryError) -> None:
        assert self._on_error is not None  # or there would be nothing to call it with
        try:
            self._on_error(error)
        except BaseException as raised:
            if isinstance(raised, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # at the end of the interpreter, calls are made there
            report_fault("calling on_error")

    def drain(self, timeout: float) -> None:
        """Waits at most ``timeout`` seconds until all calls are made; makes them itself where there is no thread."""
        deadline = monotonic() + timeout
        while self._thread is None and self._waiting and monotonic() < deadline:
            self._call(self._waiting.popleft())
        thread = self._thread  # also while it is in the midst of the last call
        if thread is not None and thread is not threading.current_thread():
            self._idle.wait(max(deadline - monotonic(), 0))


def _kind(error: DeliveryError) -> tuple[object, ...]:
    """All of an error but how many records it is about."""
    return type(error), str(error), *(getattr(error, name, None) for name in ("status", "retrying", "reason", "record"))
