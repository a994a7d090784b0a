"""Whether this process will end by ``os._exit``, which runs no exit handlers, and how long a run may wait before it."""

import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import Final

from failpath_otel import limits
from failpath_otel.runtime.forking import after_fork_in_child

_ALARM_MARGIN: Final = 0.05
"""Seconds before an alarm by which a wait has to end."""

_WITH_OWN_EXIT: Final = frozenset({"multiprocessing", "billiard"})
"""Packages whose child processes have exit hooks of their own, or live long."""


class AbruptExit:
    """Foresees that this process ends by ``os._exit``, and accounts for the time that is spent waiting because of it.

    It is foreseen if the main thread stands below a function that calls ``os._exit``: as in rq's work horses, in
    handlers of ``socketserver.ForkingMixIn``, and wherever a program forks and ends the child itself.
    """

    def __init__(self) -> None:
        self._begin()
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        self.expected: bool | None = None
        """The result of :meth:`is_expected` in this process; ``None`` before its first call."""
        self._began = monotonic()
        self._spent = 0.0

    def is_expected(self) -> bool:
        """Return whether the process will end so, by the names in the main thread's code; computed once a process."""
        if self.expected is None:
            main = threading.main_thread().ident
            self.expected = _is_below_os_exit(None if main is None else sys._current_frames().get(main))  # noqa: SLF001 - documented
        return self.expected

    def wait_budget(self) -> float:
        """Return the seconds that the end of a run may wait now, ending before the alarm of a time limit; 0: none."""
        life = monotonic() - self._began
        left = limits.RUN_END_TIMEOUT + limits.RUN_END_SHARE * life - self._spent
        alarm = 0.0
        if sys.platform != "win32" and hasattr(signal, "getitimer"):
            alarm = signal.getitimer(signal.ITIMER_REAL)[0]
        if alarm:
            left = min(left, alarm - _ALARM_MARGIN)
        return min(max(left, 0.0), limits.RUN_END_TIMEOUT)

    def spend(self, seconds: float) -> None:
        """Account for *seconds* of waiting."""
        self._spent += seconds


def _is_below_os_exit(frame: FrameType | None) -> bool:
    while frame is not None:
        scope = frame.f_globals
        if str(scope.get("__name__")).partition(".")[0] in _WITH_OWN_EXIT:
            return False  # frames further up are the parent's
        names = frame.f_code.co_names
        if "_exit" in names and ("os" in names or scope.get("_exit") is os._exit):
            return True
        frame = frame.f_back
    return False


abrupt_exit: Final = AbruptExit()
