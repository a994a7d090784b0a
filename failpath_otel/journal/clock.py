"""Whether this machine's clock can be believed, by what other machines say."""

from time import monotonic, time
from typing import Final

_TOLERANCE_SECONDS: Final = 3_600.0
"""How far two clocks may be apart, and how far one may jump or a machine sleep, to be taken for the same time."""


class Clock:
    """The clock on the wall of this machine, and the last time that another one's was seen."""

    def __init__(self) -> None:
        self._epoch: float | None = None

    def observe(self, seconds: float) -> None:
        """Takes note of what another machine's clock shows at this moment: seconds since the epoch."""
        self._epoch = seconds - monotonic()

    def is_trusted(self) -> bool:
        """Whether another machine's clock has shown the same time, and this one has not jumped since."""
        return self._epoch is not None and abs(time() - monotonic() - self._epoch) <= _TOLERANCE_SECONDS


machine_clock: Final = Clock()
"""Of this process, because the clock is no pipeline's: each one's answers tell of it."""

LATEST_BOOT_TIME: Final = 4e9
"""The latest start of a machine that is believed, in 2096: a frame of a journal has 32 bits for a time."""
