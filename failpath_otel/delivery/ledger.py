"""What became of the records that were accepted, and who waits for which of them."""

import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.losses import Skipped
from failpath_otel.delivery.receipt import Ticket
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.waiters.error_callback import ErrorCallback
from failpath_otel.delivery.waiters.waiters import Loss, Waiter
from failpath_otel.errors import DeliveryError
from failpath_otel.runtime.threads import RLock

_LOSSES_KEPT: Final = 2 * limits.MAX_BATCH_RECORDS
"""Losses that are remembered for :meth:`Ledger.loss_of`."""


class Ledger:
    """The count of every record by what became of it, the losses, and the waiters.

    Records are settled: delivered, lost, or left to another process. They are in the order of their tickets, unless a
    signal handler or another thread sends as well, where there is no delivery thread. The queue has the same lock
    (decision 0030). Waiters are notified and losses reported without it.

    Args:
        callback: called with the error of each loss.
    """

    def __init__(self, callback: ErrorCallback) -> None:
        self._callback: Final = callback
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin with nothing: the records of before a fork are the parent's."""
        # Reentrant: a garbage collection or a signal handler can end a step inside any of these methods.
        self.lock = RLock()
        self._waiters: list[Waiter] = []
        self._losses: deque[Loss] = deque(maxlen=_LOSSES_KEPT)
        self._first_loss: DeliveryError | None = None
        self.settled = 0
        """How many records are settled."""
        self._settled_through: Ticket = 0
        self._early: list[tuple[Ticket, Ticket]] = []  # settled as well, behind records that are not
        self.delivered = 0
        """How many records Failpath has taken."""
        self._dropped: dict[str, int] = {}
        self._evicted = 0  # dropped from the journal, and not settled yet
        self._unreported_evictions = 0
        self.left = 0
        """How many records were left to another process."""

    # What became of records.

    def settle(
        self,
        batch: Batch,
        delivered: int,
        reason: str = "",
        error: DeliveryError | None = None,
        rejected: Sequence[tuple[int, DeliveryError]] = (),
    ) -> None:
        """Settle a batch: ``delivered`` of its records are counted as delivered, the others as lost for ``reason``.

        Args:
            batch: the batch.
            delivered: how many of its records Failpath has taken.
            reason: why the others are lost, as ``stats()`` counts it.
            error: why all of them are lost.
            rejected: index and error of each lost record, in order, where only some are lost.
        """
        records, tickets = len(batch.records), batch.tickets
        with self.lock:
            self.delivered += delivered
            self._drop(records - delivered, reason)
            losses = [Loss(tickets[at - 1] if at else batch.after, tickets[at], each) for at, each in rejected]
            if error is not None:
                losses.append(Loss(batch.after, tickets[-1], error))
            due = self._settle(records, batch.after, tickets[-1], losses)
        # First the losses, for which a waiter that is notified may ask.
        for loss in losses:
            self.report(loss.error)
        _notify(due)

    def deliver(self, through: Ticket) -> None:
        """Settle the record with this ticket as delivered when it is accepted, before any waiter knows of it.

        Calls nothing, so that a stack overflow cannot leave it half done.
        """
        with self.lock:
            self.delivered += 1
            self.settled += 1
            if through > self._settled_through:  # noqa: PLR1730 - no call; or a signal handler has come first
                self._settled_through = through

    def pass_over(self, skipped: Skipped, after: Ticket, through: Ticket) -> None:
        """Settle records behind the ticket ``after``, up to ``through``, that were taken and cannot be sent."""
        records, error = skipped.records, skipped.error()
        with self.lock:
            if skipped.reason == "journal_full":  # counted when they were evicted
                self._evicted -= records
            elif skipped.reason == "left":  # to another process, which delivers them
                self.left += max(records - self._evicted, 0)
                self._evicted = 0
            else:
                self._drop(records, skipped.reason)
            due = self._settle(records, after, through, [Loss(after, through, error)])
        if skipped.reason not in {"journal_full", "left"}:
            self.report(error)
        _notify(due)

    def leave(self, accepted: int, through: Ticket, error: DeliveryError | None) -> list[Waiter]:
        """Settle all of ``accepted`` as left to another process.

        Returns:
            The waiters, which the caller notifies without any lock.
        """
        with self.lock:
            self.left += self.waiting(accepted)
            self._evicted = 0
            losses = [] if error is None else [Loss(self._settled_through, through, error)]
            return self._settle(accepted - self.settled, self._settled_through, through, losses)

    def evict(self, records: int) -> None:
        """Count the oldest records of the journal, which it has dropped to make room for new ones."""
        with self.lock:
            self._evicted += records
            self._unreported_evictions += records
            self._drop(records, "journal_full")

    def take_evicted(self) -> int:
        """Return how many records were evicted since the last call."""
        with self.lock:
            records, self._unreported_evictions = self._unreported_evictions, 0
        return records

    def lose(self, reason: str) -> bool:
        """Count and report a record that was lost before it was accepted.

        Returns:
            Whether it is the first for this reason.
        """
        with self.lock:
            first = reason not in self._dropped
            self._drop(1, reason)
        self.report(Skipped(1, reason).error())
        return first

    def report(self, error: DeliveryError) -> None:
        """Remember a loss for :meth:`take_first_loss`, and pass it to ``on_error``."""
        if self._first_loss is None or self._first_loss.raised:
            self._first_loss = error
        self._callback.call(error)

    def attempt_failed(self, error: DeliveryError, *, lasting: bool) -> bool:
        """End the waits for one attempt, and all waits if the failure is ``lasting``.

        Returns:
            Whether any waiter is left.
        """
        with self.lock:
            due = self._end_waits([waiter for waiter in self._waiters if waiter.of_attempt or lasting], error)
            are_left = any(not waiter.of_attempt for waiter in self._waiters)
        _notify(due)
        return are_left

    def attempt_divided(self, error: DeliveryError) -> None:
        """End the waits for one attempt: what it sent is sent again in parts."""
        with self.lock:
            waiters = [waiter for waiter in self._waiters if waiter.of_attempt and not waiter.whole_batch]
            due = self._end_waits(waiters, error)
        _notify(due)

    def _drop(self, records: int, reason: str) -> None:
        if records:
            self._dropped[reason] = self._dropped.get(reason, 0) + records

    def _settle(self, records: int, after: Ticket, through: Ticket, losses: Sequence[Loss]) -> list[Waiter]:
        self.settled += records
        self._early.append((after, through))
        # A signal handler may settle as well between any two calls: it finds all ranges, and the mark never goes back.
        while reached := [each for each in self._early if each[0] <= self._settled_through]:
            for each in reached:
                if each[1] > self._settled_through:  # noqa: PLR1730 - a call could be interrupted before the assignment
                    self._settled_through = each[1]
                with contextlib.suppress(ValueError):  # a signal handler has removed it
                    self._early.remove(each)
        self._losses.extend(losses)
        for waiter in self._waiters if losses else ():
            waiter.note(losses)
        return self._remove([waiter for waiter in self._waiters if waiter.last <= self._settled_through])

    def _end_waits(self, due: list[Waiter], error: DeliveryError) -> list[Waiter]:
        """Remove and return waiters with an ``error`` that is about all that is not settled."""
        for waiter in due:
            waiter.note([Loss(self._settled_through, waiter.last, error)])
        return self._remove(due)

    def _remove(self, due: list[Waiter]) -> list[Waiter]:
        gone = set(due)
        self._waiters = [waiter for waiter in self._waiters if waiter not in gone]
        return due

    # Waiting.

    def add(self, waiter: Waiter) -> bool:
        """Add ``waiter``; return whether there is anything to wait for."""
        with self.lock:
            if self.is_settled(waiter.last):
                return False
            self._waiters.append(waiter)
            return True

    def discard(self, waiter: Waiter) -> None:
        """Remove ``waiter``, without notifying it."""
        with self.lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    @property
    def waiter_count(self) -> int:
        """How many waiters there are."""
        return len(self._waiters)

    def is_settled(self, ticket: Ticket) -> bool:
        """Return whether the record with this ticket and all before it are settled."""
        return ticket <= self._settled_through

    def loss_of(self, first: Ticket, last: Ticket) -> DeliveryError | None:
        """Return the error of the first lost record from ``first`` to ``last``, as far as losses are remembered."""
        with self.lock:
            return next((loss.error for loss in self._losses if loss.concerns(first, last)), None)

    def take_first_loss(self) -> DeliveryError | None:
        """Return the first loss since the last call."""
        error, self._first_loss = self._first_loss, None
        return error

    # Counts.

    @property
    def dropped(self) -> int:
        """How many records are lost."""
        return sum(self._dropped.copy().values())

    @property
    def is_lossless(self) -> bool:
        """Whether no record was lost, or left to another process, since the process began."""
        return not (self._dropped or self.left)

    def waiting(self, accepted: int) -> int:
        """Return how many of the ``accepted`` records are neither settled nor evicted."""
        with self.lock:
            return max(accepted - self.settled - self._evicted, 0)

    def stats(self, accepted: int) -> Stats:
        """Return the counts of ``accepted`` records."""
        with self.lock:
            # All at once: a signal handler that ends a step in between would make them inconsistent.
            counts = self.settled, self._evicted, self.delivered, self.left, self._dropped.copy()
        settled, evicted, delivered, left, dropped = counts
        return Stats(accepted, delivered, max(accepted - settled - evicted, 0) + left, dropped)


def _notify(waiters: Sequence[Waiter]) -> None:
    for waiter in waiters:
        waiter.notify()
