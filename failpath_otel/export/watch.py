"""Waiting for records: until they are settled, or until an attempt to send them has failed."""

from collections.abc import Callable
from typing import Final

from failpath_otel.errors import DeliveryError

Notify = Callable[[DeliveryError | None], object]


class Watcher:
    """Somebody who waits for all records up to the one with the number ``last``.

    ``notify`` is called once, from the thread that delivers: with ``None``, or with why the last record was lost. A
    watcher ``of_attempt`` does not wait for records that are kept to be sent again.
    """

    __slots__ = ("last", "notify", "of_attempt")

    def __init__(self, last: int, notify: Notify, *, of_attempt: bool) -> None:
        self.last: Final = last
        self.notify: Final = notify
        self.of_attempt: Final = of_attempt


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

    def settled(self, number: int) -> list[Watcher]:
        """Takes out those who have waited for the records up to ``number``, now that these are settled."""
        due = [watcher for watcher in self._watchers if watcher.last <= number]
        self._watchers = [watcher for watcher in self._watchers if watcher.last > number]
        return due

    def attempted(self) -> list[Watcher]:
        """Takes out those who have waited for an attempt."""
        due = [watcher for watcher in self._watchers if watcher.of_attempt]
        self._watchers = [watcher for watcher in self._watchers if not watcher.of_attempt]
        return due
