"""The retry queue: batches that wait for a retry, and the delay before each retry."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from math import inf
from random import Random
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.records.request import KEY_REFUSED, Answer
from failpath_otel.report import logging_is_configured, warn
from failpath_otel.runtime.snapshots import snapshot

_TOO_OLD: Final = "records that have waited for {:.0f} hours are lost"
_KEPT: Final = "records wait, and are sent again for up to {:.0f} hours"
_LEFT: Final = "its records stay in the journal"
_KEY_REFUSED: Final = "records are kept until the key is accepted, for up to {:.0f} hours"
_REBIND: Final = (
    "; if the address is wrong, correct it, and send what waits there by `failpath-otel drain --rebind {binding}`"
)


@dataclass(eq=False)
class RetryQueue:
    """The batches at the head, in their order, and the pauses between attempts while the endpoint fails.

    A failed batch stays at the head, and everything new queues behind it, so that the order within a run holds. The
    delay doubles from attempt to attempt up to 30 s, and up to five minutes where the failure is about the way to the
    endpoint or the set-up here; ``Retry-After`` makes it longer. Has no lock: used by one thread at a time, but for
    :meth:`retry_now` and what can be asked.

    Args:
        url: where the batches go.
        clock: seconds, as :func:`time.monotonic`.
        lost: how many records are lost so far.
        binding: the hash of the journal, if there is one, by which its records can be sent elsewhere.
        once: this process tries no longer than its command runs, and leaves the records where they are.
    """

    url: str
    clock: Callable[[], float] = monotonic
    lost: Callable[[], int] = lambda: 0
    binding: str = ""
    _: KW_ONLY
    once: bool = False

    def __post_init__(self) -> None:
        self._batches: deque[Batch] = deque()
        # Not the generator of the module: the application may have seeded it, and counts on what follows.
        self._chance = Random()  # noqa: S311 - no secret
        self._failures = 0  # in a row
        self.is_outage_logged = False
        """Whether the current outage was logged."""
        self._logged_causes: set[str] = set()
        self._held_back_message = ""
        self.cause = ""
        """A sentence about why the last attempt failed; empty if it did not."""
        self._began = 0.0
        self._lost_before = 0
        self._delay = 0.0  # before chance has changed it
        self._next_try = 0.0
        self._not_before = 0.0

    def __bool__(self) -> bool:
        """Return whether a batch waits here."""
        return bool(self._batches)

    def add(self, *batches: Batch) -> None:
        """Put batches before all others."""
        self._batches.extendleft(reversed(batches))

    def append(self, batch: Batch) -> None:
        """Put a batch behind all others."""
        self._batches.append(batch)

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches in their order."""
        return iter(snapshot(self._batches))

    def __len__(self) -> int:
        """Return how many batches wait here."""
        return len(self._batches)

    def waiting_since(self, in_flight: Batch | None) -> float | None:
        """Return since when the oldest record of this process waits here, or is ``in_flight``; from any thread."""
        batches = snapshot(self._batches)
        if in_flight is not None:
            batches = (in_flight, *batches)
        return min((batch.since for batch in batches if batch.tickets), default=None)

    def take(self) -> Batch:
        """Remove and return the first batch."""
        return self._batches.popleft()

    def take_back(self) -> list[Batch]:
        """Remove and return the batches that were taken from memory, the last one first.

        They stand behind those from a journal.
        """
        taken: list[Batch] = []
        while self._batches and self._batches[-1].source is None:
            taken.append(self._batches.pop())
        return taken

    def clear(self) -> None:
        """Remove all batches, which stay in their journal; the next batch is tried after the current pause."""
        self._batches.clear()
        self._failures = 0
        self._held_back_message = ""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def pause(self) -> float:
        """Return the seconds until the next attempt may be made."""
        # Computed here, because `retry_now` may be called on another thread during `schedule_retry`.
        return max(max(self._next_try, self._not_before) - self.clock(), 0.0)

    def retry_after_left(self) -> float:
        """Return the seconds that are left of the pause that the server has asked for (``Retry-After``)."""
        return max(self._not_before - self.clock(), 0.0)

    def retry_now(self, within: float = 0.0) -> None:
        """Make the next attempt due in at most ``within`` seconds, unless the server has asked for a longer pause."""
        self._next_try = min(self._next_try, self.clock() + within)

    def pause_briefly(self) -> None:
        """Put the next attempt off a little, although none has failed."""
        self._next_try = max(self._next_try, self.clock() + self._by_chance(limits.RETRY_FIRST_DELAY))

    def schedule_retry(self, batch: Batch, answer: Answer) -> bool:
        """Schedule a retry of ``batch``: exponential backoff with jitter, never before ``Retry-After``.

        Returns:
            Whether there is a retry; otherwise the batch has waited too long.
        """
        now = self.clock()
        self._failures += 1
        longest = limits.RETRY_MAX_DELAY_MISCONFIGURED if answer.misconfigured else limits.RETRY_MAX_DELAY
        self._delay = min(2 * self._delay or limits.RETRY_FIRST_DELAY, longest)
        self._not_before = now + answer.retry_after
        self._next_try = now + self._by_chance(self._delay)
        batch.failed = True
        # By its age now, not after the pause: a long `Retry-After` must not lose the batch.
        kept = now - batch.since < limits.MAX_AGE_SECONDS
        if kept:
            self.add(batch)
        self._log_outage_once(answer, self._consequence(answer) if kept else _TOO_OLD)
        return kept

    def _by_chance(self, delay: float) -> float:
        return delay * (1 + limits.RETRY_JITTER * self._chance.uniform(-1, 1))

    def _consequence(self, answer: Answer) -> str:
        if self.once:
            return _LEFT
        if answer.status in KEY_REFUSED:
            return _KEY_REFUSED
        return _KEPT + _REBIND if answer.misaddressed and self.binding else _KEPT

    def _log_outage_once(self, answer: Answer, consequence: str) -> None:
        """Log an outage once, and in it once that the key is refused or the set-up is wrong.

        What may pass by itself is held back for a while where it would be a line on stderr: a short program logs
        at its end what waits, which is enough.
        """
        now = self.clock()
        self.cause = f"{self.url} {answer.failure}"
        if self._failures == 1:
            self._began = now
            self._lost_before = self.lost()
            self.is_outage_logged = False
            self._logged_causes.clear()
        cause = "way" if answer.misconfigured else "key" if answer.persistent else ""
        if cause in self._logged_causes if cause else self.is_outage_logged:
            return
        hours = limits.MAX_AGE_SECONDS / 3600
        self._held_back_message = f"{self.cause}; {consequence.format(hours, binding=self.binding)}"
        self._logged_causes.add(cause)
        if cause or logging_is_configured() or not self.outage_log_delay():
            self._log_held_back()

    def outage_log_delay(self) -> float:
        """Return the seconds until the current outage must be logged; infinite if there is nothing to log."""
        return max(self._began + limits.OUTAGE_LOG_DELAY - self.clock(), 0.0) if self._held_back_message else inf

    def log_outage(self) -> None:
        """Log the current outage if it was held back and is due."""
        if not self.outage_log_delay():
            self._log_held_back()

    def _log_held_back(self) -> None:
        text, self._held_back_message = self._held_back_message, ""
        self.is_outage_logged = True
        warn("Failpath: %s.", text)

    def succeeded(self) -> None:
        """Note that a batch was taken: the outage, if there was one, is over."""
        self._next_try = self._not_before = self._delay = 0.0
        if not self._failures:
            return
        self._failures = 0
        self.cause = self._held_back_message = ""
        lost = self.lost() - self._lost_before
        if self.is_outage_logged or lost:
            lasted = self.clock() - self._began
            warn("Failpath: %s takes records again after %.0f s; %d were lost.", self.url, lasted, lost)
        self.is_outage_logged = False
