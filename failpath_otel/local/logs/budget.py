"""How many log records are taken: a flood of them must not slow down the intake of steps."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Final

MAX_A_SECOND: Final = 2_000
"""Log records that are taken in the long run, of all senders together."""

MAX_AT_ONCE: Final = 20_000
"""Log records that are taken after a rest of ten seconds."""


class LogBudget:
    """Records that may still be taken; thread-safe.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._left = float(MAX_AT_ONCE)
        self._at = clock()

    def take(self, records: int) -> int:
        """Take up to so many records, and return how many."""
        with self._lock:
            now = self._clock()
            self._left = min(MAX_AT_ONCE, self._left + max(0.0, now - self._at) * MAX_A_SECOND)
            self._at = now
            taken = min(records, int(self._left))
            self._left -= taken
            return taken
