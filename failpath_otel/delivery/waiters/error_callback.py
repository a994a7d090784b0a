"""Calling ``on_error``: on a thread of its own, so that it delays neither a step nor the delivery."""

import contextvars
import threading
from collections import deque
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.errors import DeliveryError
from failpath_otel.options.arguments import OnError
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.threads import RealThread, RLock, sleep_cooperatively

_MAX_WAITING: Final = 1_000
"""Calls that wait for a slow callback; beyond, the oldest of them is not made."""


class ErrorCallback:
    """Calls the user's function with each error, one after another; what it raises is logged once."""

    def __init__(self, on_error: OnError | None) -> None:
        self._on_error = on_error
        self._begin()
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        # Reentrant, and without an event, which is not: a garbage collection or a signal handler can end a step, which
        # finds the queue full, at any moment.
        self._lock = RLock()
        self._waiting: deque[DeliveryError] = deque(maxlen=_MAX_WAITING)
        self._thread: RealThread | None = None

    def call(self, error: DeliveryError) -> None:
        """Have the function called with ``error`` soon, without a wait. Several of a kind may come as one."""
        if self._on_error is None or self._is_on_it():
            return  # what the function itself records and loses is counted; a call for that would have no end
        with self._lock:
            last = self._waiting[-1] if self._waiting else None
            # A full queue refuses thousands of records a second, and each time for the same reason.
            if last is not None and _kind(last) == _kind(error):
                last.records += error.records
            else:
                self._waiting.append(error)
            if self._thread is not None:
                return
            thread = RealThread(self._work, "failpath-on-error")
            self._thread = thread
        try:
            # Not under the lock: this waits for the new thread, on which a garbage collection may end a step first.
            contextvars.Context().run(thread.start)  # and not in that of a step
        except RuntimeError:  # the interpreter is ending, or there are no threads left: `drain` makes the calls
            self._thread = None
        except BaseException:  # Ctrl-C or a time limit; the next error begins another one
            self._thread = None
            raise

    def _is_on_it(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_current()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
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
            exception_once("calling on_error")

    def drain(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds until all calls are made; make them here where there is no thread."""
        deadline = monotonic() + timeout
        while self._thread is None and self._waiting and monotonic() < deadline:
            self._call(self._waiting.popleft())
        # The thread is there until the last call has returned.
        while self._thread is not None and not self._is_on_it() and monotonic() < deadline:
            sleep_cooperatively(limits.EXIT_POLL)


def _kind(error: DeliveryError) -> tuple[object, ...]:
    """Return all of an error but how many records it is about."""
    return type(error), str(error), *(getattr(error, name, None) for name in ("status", "retrying", "reason", "record"))
