"""Both clocks of a step in a test's hand: the one on the wall can be set, the monotonic one cannot."""

from collections import Counter
from typing import Final

import pytest

from failpath_otel.steps import open_step

_NANO: Final = 10**9


class Clocks:
    """The clocks by which steps begin and end from now on; neither goes on by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._wall = 1_700_000_000 * _NANO
        self._monotonic = 5_000 * _NANO
        self.readings: Final[Counter[str]] = Counter()
        monkeypatch.setattr(open_step, "time_ns", self.wall)
        monkeypatch.setattr(open_step, "monotonic_ns", self.monotonic)

    def wall(self) -> int:
        """Nanoseconds since the epoch."""
        self.readings["wall"] += 1
        return self._wall

    def monotonic(self) -> int:
        """Nanoseconds since any time."""
        self.readings["monotonic"] += 1
        return self._monotonic

    def pass_by(self, seconds: float, jump: float = 0) -> None:
        """So many seconds pass, during which the clock on the wall is set by ``jump`` seconds."""
        self._monotonic += round(seconds * _NANO)
        self._wall += round((seconds + jump) * _NANO)
