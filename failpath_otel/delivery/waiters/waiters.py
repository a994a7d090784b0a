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
