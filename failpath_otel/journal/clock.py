"""Whether the clock of this machine agrees with the clocks of other machines (decision 0018)."""

from time import monotonic, time
from typing import Final

TOLERANCE_SECONDS: Final = 3_600.0
"""Largest difference of two clocks that count as agreeing, and largest jump or sleep that goes unnoticed."""


class Clock:
    """The wall clock of this machine, compared with the last one that was seen of another machine."""

    def __init__(self) -> None:
        self._epoch: float | None = None

    def observe(self, seconds: float) -> None:
        """Record what the clock of another machine shows now, in seconds since the epoch."""
        self._epoch = seconds - monotonic()

    def is_trusted(self) -> bool:
        """Return whether another machine's clock agreed with this one, and this one has not jumped since."""
        ahead = self.seconds_ahead()
        return ahead is not None and abs(ahead) <= TOLERANCE_SECONDS

    def seconds_ahead(self) -> float | None:
        """Return how far this clock is ahead of the other one, negative if behind; ``None`` if none was seen."""
        return None if self._epoch is None else time() - monotonic() - self._epoch


machine_clock: Final = Clock()
"""One for the process: every server's answer is evidence about the same clock."""

LATEST_BOOT_TIME: Final = 4e9
"""Latest boot time that is accepted (the year 2096): a journal frame has 32 bits for a time."""
