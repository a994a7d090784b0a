"""When the records came that wait, as exactly as the queue is looked at: noting it for each would cost every step."""

from collections import deque
from time import monotonic
from typing import Final

_SECONDS: Final = 1.0
"""Records that were first seen within this time have the same age."""

_MOST: Final = 1_000
"""How many different ages are kept; later records are then as old as the last of these."""


class Arrivals:
    """The times at which records were first seen to wait, by the numbers of the records. Under the queue's lock."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()  # the last record, and when it was seen

    def look(self, accepted: int, taken: int) -> None:
        """Note how many records were accepted by now, and forget those that were taken."""
        seen = self._seen
        while seen and seen[0][0] <= taken:
            seen.popleft()
        if accepted <= (seen[-1][0] if seen else taken):
            return
        now = monotonic()
        if seen and (now - seen[-1][1] < _SECONDS or len(seen) >= _MOST):
            seen[-1] = accepted, seen[-1][1]
        else:
            seen.append((accepted, now))

    def oldest(self) -> float | None:
        """Return since when the oldest record waits, by the monotonic clock; ``None`` if none does."""
        return self._seen[0][1] if self._seen else None

    def clear(self) -> None:
        """Forget all records."""
        self._seen.clear()
