"""How large a batch may be: less after the endpoint has found one too large, and more again as it takes them."""

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.report import warn


class BatchSize:
    """The bytes that the records of a batch may have.

    It grows by what is taken: at once below a size that was refused, beyond that after a while, which doubles each time
    that this was in vain.
    """

    def __init__(self, url: str, clock: Callable[[], float] = monotonic) -> None:
        self._url: Final = url
        self._clock: Final = clock
        self.bytes = limits.MAX_BATCH_BYTES
        self._is_logged = False
        self._refused = inf  # the smallest that was, unless as much was taken since
        self._trying = False  # it has grown beyond that
        self._delay = limits.BATCH_GROWTH_DELAY
        self._larger_from = 0.0
        self._taken = 0  # batches since it last changed

    def refuse(self, length: int) -> None:
        """Note that a batch of several records, of this size in bytes, was too large."""
        if self._trying:
            self._delay = min(2 * self._delay, limits.BATCH_GROWTH_MAX_DELAY)
            self._trying = False
        self._refused = min(self._refused, length)
        self._set(max(length // 2, 1))
        self._larger_from = self._clock() + self._delay
        if not self._is_logged:
            self._is_logged = True
            warn("Failpath: %s rejects a batch of %d bytes as too large; it gets smaller ones.", self._url, length)

    def take(self, length: int) -> None:
        """Note that a batch of this size in bytes was accepted."""
        if not self._is_logged:
            return
        self._taken += 1
        if length >= self._refused:  # so there is no limit that is known
            self._refused, self._trying, self._delay = inf, False, limits.BATCH_GROWTH_DELAY
        larger = min(2 * self.bytes, limits.MAX_BATCH_BYTES)
        if larger < self._refused:
            self._set(larger)
        elif self._clock() >= self._larger_from or self._taken >= limits.BATCHES_UNTIL_GROWTH:
            self._trying = True
            self._set(larger)
        if self.bytes == limits.MAX_BATCH_BYTES and self._refused == inf:
            self._is_logged = False
            warn("Failpath: %s accepts batches of full size again.", self._url)

    def _set(self, size: int) -> None:
        self.bytes = size
        self._taken = 0
