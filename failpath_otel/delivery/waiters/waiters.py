"""Waiting for records: until they are settled, or until an attempt to send them has failed."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from failpath_otel.errors import DeliveryError

Notify = Callable[[DeliveryError | None], object]


class Watcher:
    """Somebody who waits for the records with the numbers ``first`` to ``last``, and for all before them.

    ``notify`` is called once, from the thread that delivers: with ``None``, or with why the first of these records to
    be lost was lost. A watcher ``of_attempt`` does not wait for records that are kept to be sent again, and only where
    it is ``patient`` for those that are sent again in parts.
    """

    __slots__ = ("_error", "_notify", "first", "last", "of_attempt", "patient")

    def __init__(self, first: int, last: int, notify: Notify, *, of_attempt: bool, patient: bool = False) -> None:
        self.first: Final = first
        self.last: Final = last
        self.of_attempt: Final = of_attempt
        self.patient: Final = patient
        self._notify: Final = notify
        self._error: DeliveryError | None = None

    def heed(self, losses: "Sequence[Loss]") -> None:
        """Takes note of records that are lost or have to be sent again; ``losses`` are in the order of their numbers.

        A batch can have hundreds of them, and as many can wait for it, so they are not gone through one by one.
        """
        if self._error is None:
            at = bisect_left(losses, self.first, key=lambda loss: loss.last)
            if at < len(losses) and losses[at].concerns(self.first, self.last):
                self._error = losses[at].error

    def tell(self) -> None:
        """Ends the waiting."""
        self._notify(self._error)


@dataclass(frozen=True, slots=True)
class Loss:
    """Records with the numbers ``first`` to ``last`` that are lost, all for one reason."""

    first: int
    last: int
    error: DeliveryError

    def concerns(self, first: int, last: int) -> bool:
        """Whether one of the records from ``first`` to ``last`` is among them."""
        return self.first <= last and self.last >= first


class Watchers:
    """Everybody who waits; to be used under the lock of the queue."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._watchers)

    def add(self, watcher: Watcher) -> None:
        """Lets ``watcher`` wait."""
        self._watchers.append(watcher)

    def discard(self, watcher: Watcher) -> None:
        """Lets ``watcher`` wait no longer, if it still does."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def settled(self, number: int, losses: Sequence[Loss]) -> list[Watcher]:
        """Takes out those who have waited for the records up to ``number``, which are settled now."""
        if losses:
            for watcher in self._watchers:
                watcher.heed(losses)
        due = [watcher for watcher in self._watchers if watcher.last <= number]
        self._watchers = [watcher for watcher in self._watchers if watcher.last > number]
        return due

    def attempted(self, before: int, error: DeliveryError, *, everybody: bool = False) -> list[Watcher]:
        """Takes out those who have waited for an attempt: nothing after the number ``before`` could be sent.

        With ``everybody``, also those who would wait for further attempts.
        """
        return self._take_out([each for each in self._watchers if each.of_attempt or everybody], before, error)

    def divided(self, before: int, error: DeliveryError) -> list[Watcher]:
        """Takes out those who wait for an attempt, and not until what follows ``before`` was sent in parts."""
        return self._take_out([each for each in self._watchers if each.of_attempt and not each.patient], before, error)

    def _take_out(self, due: list[Watcher], before: int, error: DeliveryError) -> list[Watcher]:
        for watcher in due:
            watcher.heed([Loss(before + 1, watcher.last, error)])
        told = set(due)
        self._watchers = [watcher for watcher in self._watchers if watcher not in told]
        return due
