"""Waiters for records: until these are settled, or until an attempt to send them has failed."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from failpath_otel.delivery.receipt import Ticket
from failpath_otel.errors import DeliveryError

Notify = Callable[[DeliveryError | None], object]


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that are lost for one reason: those behind the ticket ``after``, up to the ticket ``through``."""

    after: Ticket
    through: Ticket
    error: DeliveryError

    def concerns(self, first: Ticket, last: Ticket) -> bool:
        """Return whether one of the records from ``first`` to ``last`` is among them."""
        return self.after < last and self.through >= first


@dataclass(slots=True, eq=False)
class Waiter:
    """A wait for the records from ``first`` to ``last``, the first and the last whose loss is reported, and all before.

    Args:
        end: called once, by the delivery thread: with ``None``, or with the error of the first of these records that
            is lost.
        of_attempt: end the wait at a failed attempt as well, though the records are kept for a retry.
        whole_batch: with ``of_attempt``, go on waiting while a batch is sent in parts.
    """

    first: Ticket
    last: Ticket
    end: Notify
    of_attempt: bool
    whole_batch: bool = False
    error: DeliveryError | None = None

    def note(self, losses: Sequence[Loss]) -> None:
        """Remember the first of ``losses`` that is about these records; they are sorted by their tickets.

        A batch can have hundreds of losses and as many waiters, so the search is a bisection.
        """
        if self.error is None:
            at = bisect_left(losses, self.first, key=lambda loss: loss.through)
            if at < len(losses) and losses[at].concerns(self.first, self.last):
                self.error = losses[at].error

    def notify(self) -> None:
        """End the wait."""
        self.end(self.error)


class Waiters:
    """All waiters of a pipeline; used under the lock of the ledger."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiters)

    def add(self, waiter: Waiter) -> None:
        """Add ``waiter``."""
        self._waiters.append(waiter)

    def discard(self, waiter: Waiter) -> None:
        """Remove ``waiter``, if it is still there."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def wait_for_all(self) -> bool:
        """Return whether one of them goes on waiting when an attempt fails."""
        return any(not waiter.of_attempt for waiter in self._waiters)

    def take_settled(self, through: Ticket, losses: Sequence[Loss]) -> list[Waiter]:
        """Remove and return the waiters for records up to the ticket ``through``, which are settled."""
        if losses:
            for waiter in self._waiters:
                waiter.note(losses)
        return self._take([waiter for waiter in self._waiters if waiter.last <= through])

    def take_failed(self, after: Ticket, error: DeliveryError, *, lasting: bool) -> list[Waiter]:
        """Remove and return the waiters that a failed attempt ends: nothing behind the ticket ``after`` was sent.

        With ``lasting``, a failure that the next attempt will meet as well, these are all waiters.
        """
        due = [waiter for waiter in self._waiters if waiter.of_attempt or lasting]
        return self._take_with(due, after, error)

    def take_divided(self, after: Ticket, error: DeliveryError) -> list[Waiter]:
        """Remove and return the waiters that do not wait until what follows ``after`` was sent in parts."""
        due = [waiter for waiter in self._waiters if waiter.of_attempt and not waiter.whole_batch]
        return self._take_with(due, after, error)

    def _take_with(self, due: list[Waiter], after: Ticket, error: DeliveryError) -> list[Waiter]:
        for waiter in due:
            waiter.note([Loss(after, waiter.last, error)])
        return self._take(due)

    def _take(self, due: list[Waiter]) -> list[Waiter]:
        gone = set(due)
        self._waiters = [waiter for waiter in self._waiters if waiter not in gone]
        return due
