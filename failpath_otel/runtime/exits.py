"""Whether this process is going to end by ``os._exit``, which runs nothing of anybody's, and how long it may wait."""

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
"""Seconds before an alarm by which a wait is over."""

_WITH_OWN_EXIT: Final = frozenset({"multiprocessing", "billiard"})
"""Packages whose children have hooks of their own for their end, or live long."""


class AbruptExit:
    """The end of this process by ``os._exit``, as far as it can be foreseen, and the time that is spent because of it.

    It is foreseen where the main thread stands below a function that calls ``os._exit``: as in rq's work horses, in
    handlers of ``socketserver.ForkingMixIn``, and wherever a program forks and sees to the child's end itself.
    """

    def __init__(self) -> None:
        self._begin()
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        self.expected: bool | None = None
        """What :meth:`is_expected` has found in this process; ``None``: it was not asked yet."""
        self._began = monotonic()
        self._spent = 0.0

    def is_expected(self) -> bool:
        """Whether the process will end so; looked up once a process, by the names in the code of the main thread."""
        if self.expected is None:
            main = threading.main_thread().ident
            self.expected = _is_below_os_exit(None if main is None else sys._current_frames().get(main))  # noqa: SLF001 - documented
        return self.expected

    def wait_budget(self) -> float:
        """Seconds that the end of a run may wait now, and not into an alarm, as a time limit; 0: not at all."""
        life = monotonic() - self._began
        left = limits.RUN_END_TIMEOUT + limits.RUN_END_SHARE * life - self._spent
        alarm = signal.getitimer(signal.ITIMER_REAL)[0] if hasattr(signal, "getitimer") else 0.0
        if alarm:
            left = min(left, alarm - _ALARM_MARGIN)
        return min(max(left, 0.0), limits.RUN_END_TIMEOUT)

    def spend(self, seconds: float) -> None:
        """Takes note of time that was waited."""
        self._spent += seconds


def _is_below_os_exit(frame: FrameType | None) -> bool:
    while frame is not None:
        scope = frame.f_globals
        if str(scope.get("__name__")).partition(".")[0] in _WITH_OWN_EXIT:
            return False  # what stands further up is the parent's, and has not called this
        names = frame.f_code.co_names
        if "_exit" in names and ("os" in names or scope.get("_exit") is os._exit):
            return True
        frame = frame.f_back
    return False


abrupt_exit: Final = AbruptExit()
