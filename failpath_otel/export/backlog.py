"""What has been taken from the queue and is not settled: the batches to be sent next, and when."""

from collections import deque
from collections.abc import Callable
from math import inf
from random import Random
from time import monotonic
from typing import Final

from failpath_otel import limits
from failpath_otel.export.batch import Batch
from failpath_otel.export.wire import KEY_REFUSED, Answer
from failpath_otel.report import is_heard, say

_LOST: Final = "records are lost until it takes them"
_TOO_OLD: Final = "records that have waited for {:.0f} hours are lost"
_KEPT: Final = "records wait, and are sent again for up to {:.0f} hours"
_KEY_REFUSED: Final = "records are kept until the key is accepted, for up to {:.0f} hours"


class Backlog:
    """The batches at the head, in their order, and the pauses between attempts while the endpoint fails.

    A failed batch stays at the head, and everything new queues behind it, so that the order within a run holds. The
    delay doubles from attempt to attempt up to 30 s; ``Retry-After`` makes it longer. Used by one thread at a time.
    """

    def __init__(self, url: str, clock: Callable[[], float] = monotonic, lost: Callable[[], int] = lambda: 0) -> None:
        self._url: Final = url
        self._clock: Final = clock
        self._lost: Final = lost
        self._batches: deque[Batch] = deque()
        # Not the generator of the module: the application may have seeded it, and counts on what follows.
        self._chance: Final = Random()  # noqa: S311 - no secret
        self._failures = 0  # in a row
        self.said = False
        """The outage at hand was logged."""
        self._said_key = False
        self._unsaid = ""
        self.cause = ""
        """A sentence about why the last attempt failed; empty if it did not."""
        self._began = 0.0
        self._lost_before = 0
        self._next_try = 0.0
        self._not_before = 0.0

    def __bool__(self) -> bool:
        """Whether a batch waits here."""
        return bool(self._batches)

    def add(self, *batches: Batch) -> None:
        """Puts batches before all others."""
        self._batches.extendleft(reversed(batches))

    def take(self) -> Batch:
        """The batch that is next."""
        return self._batches.popleft()

    def leave(self) -> None:
        """Leaves all batches where they were taken from; what comes later is tried, after the pause at hand."""
        self._batches.clear()
        self._failures = 0
        self._unsaid = ""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def pause(self) -> float:
        """Seconds until the next attempt may be made."""
        return max(self._next_try - self._clock(), 0.0)

    def refused(self) -> float:
        """Seconds that are left of the pause that the server has asked for (``Retry-After``)."""
        return max(self._not_before - self._clock(), 0.0)

    def hurry(self, within: float = 0.0) -> None:
        """Makes the next attempt due in at most ``within`` seconds, unless the server has asked for a longer pause."""
        self._next_try = min(self._next_try, max(self._clock() + within, self._not_before))

    def keep(self, batch: Batch, answer: Answer) -> bool:
        """Takes note of a failure that is worth another try, and plans that.

        Returns:
            Whether ``batch`` is to be tried again; otherwise its time is over.
        """
        now = self._clock()
        self._failures += 1
        delay = min(limits.RETRY_FIRST_DELAY * 2 ** min(self._failures - 1, 16), limits.RETRY_MAX_DELAY)
        delay *= 1 + limits.RETRY_JITTER * self._chance.uniform(-1, 1)
        self._not_before = now + answer.retry_after
        self._next_try = max(now + delay, self._not_before)
        batch.failed = True
        # By now, and not by then: a pause that the server asks for may be longer, and is to be worth the wait.
        kept = now - batch.since < limits.MAX_AGE_SECONDS
        if kept:
            self.add(batch)
            consequence = _KEY_REFUSED if answer.status in KEY_REFUSED else _KEPT
        else:
            consequence = _TOO_OLD
        self._say(answer, consequence.format(limits.MAX_AGE_SECONDS / 3600))
        return kept

    def give_up(self, answer: Answer) -> None:
        """Takes note of a failure that is final."""
        self._failures += 1
        self._next_try = self._not_before = 0.0
        self._say(answer, _LOST)

    def _say(self, answer: Answer, consequence: str) -> None:
        """Logs an outage once, and in it once that the key is refused, which somebody has to see to.

        What may pass by itself is held back for a while where it would be a line on stderr: a short program that says
        at its end what waits has said it all.
        """
        now = self._clock()
        self.cause = f"{self._url} {answer.failure}"
        if self._failures == 1:
            self._began = now
            self._lost_before = self._lost()
            self.said = self._said_key = False
        refused = answer.status in KEY_REFUSED
        if self._said_key if refused else self.said:
            return
        self._unsaid = f"{self.cause}; {consequence}"
        self._said_key |= refused
        if not answer.again or refused or is_heard() or not self.silence():
            self._break_silence()

    def silence(self) -> float:
        """Seconds until the outage at hand has to be said; endless where there is nothing to say."""
        return max(self._began + limits.QUIET_SECONDS - self._clock(), 0.0) if self._unsaid else inf

    def speak(self) -> None:
        """Logs the outage at hand if it was held back and is due."""
        if not self.silence():
            self._break_silence()

    def _break_silence(self) -> None:
        text, self._unsaid = self._unsaid, ""
        self.said = True
        say("Failpath: %s.", text)

    def succeeded(self) -> None:
        """Takes note that a batch was taken."""
        self._next_try = self._not_before = 0.0
        if not self._failures:
            return
        self._failures = 0
        self.cause = self._unsaid = ""
        lost = self._lost() - self._lost_before
        if self.said or lost:
            lasted = self._clock() - self._began
            say("Failpath: %s takes records again after %.0f s; %d were lost.", self._url, lasted, lost)
        self.said = False
