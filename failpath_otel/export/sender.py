"""Sends batch after batch, and decides by each answer what becomes of the batch: settled, kept, split or cut down."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from failpath_otel import limits
from failpath_otel.errors import DeliveryError, RecordsRejected, SendError
from failpath_otel.export.backlog import Backlog
from failpath_otel.export.batch import Batch
from failpath_otel.export.rejection import rejection
from failpath_otel.export.wire import Answer
from failpath_otel.report import say

Take = Callable[[int], Batch]
"""Takes the next batch of at most so many bytes from the queue; one without records where nothing waits."""

_FAULT: Final = Answer("could not be asked")
_INSTANT: Final = 0.001
"""The least that a socket can be told to wait: 0 would mean not to wait at all."""


class Delivering(Protocol):
    """Sends one batch and tells what was answered; in production a :class:`failpath_otel.export.delivery.Delivery`."""

    @property
    def url(self) -> str:
        """Where batches go."""
        ...

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        """Sends one batch, for at most ``within`` seconds, if given."""
        ...

    def close(self) -> None:
        """Closes the connections; a later :meth:`send` opens new ones."""
        ...


class Nowhere:
    """Delivery that is turned off: nothing is ever given to it."""

    url = ""

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:  # noqa: ARG002 - as in Delivering
        """Takes what it gets."""
        return Answer()

    def close(self) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch in one attempt."""

    batch: Batch
    settled: bool
    """It was delivered or lost; otherwise it is kept, and sent again."""

    delivered: int
    """How many of its records Failpath took."""

    reason: str
    """Why the others are lost, as ``stats()`` counts it."""

    error: DeliveryError | None
    """Why all of them failed."""

    first: bool
    """It was the first attempt."""

    rejected: tuple[tuple[int, RecordsRejected], ...] = ()
    """The indexes of the records that are lost where these are not all, in their order, and each one's error."""


class Sender:
    """One attempt at a time; several threads may ask for one."""

    def __init__(
        self,
        delivery: Delivering,
        lost: Callable[[], int] = lambda: 0,
        settled: "Callable[[Outcome], object]" = lambda _: None,
    ) -> None:
        self._delivery: Final = delivery
        self._settled: Final = settled  # told while nobody else makes an attempt
        self.backlog: Final = Backlog(delivery.url, lost=lost)
        self.failure: SendError | None = None
        """Why the last attempt failed; ``None`` if it did not."""
        self._max_bytes = limits.MAX_BATCH_BYTES
        self._taken = 0  # batches since it last changed
        # Reentrant: a garbage collection or a signal handler may flush in the middle of an attempt.
        self._attempting = threading.RLock()
        self._said: set[str] = set()

    def attempt(self, take: Take, within: float | None = None) -> Outcome | None:
        """Sends the batch that is next: of the backlog, else from the queue.

        Args:
            take: the queue's.
            within: the seconds that this may take, where these are less than one send may.

        Returns:
            What became of it; ``None`` where there was none, where another thread was sending all the while, or where
            it was too large, to be sent in parts.
        """
        began = monotonic()
        if not self._attempting.acquire(timeout=-1 if within is None else within):
            return None
        try:
            batch = self._next(take)
            if not batch.records:
                return None
            try:
                left = None if within is None else max(within - (monotonic() - began), _INSTANT)
                answer = self._delivery.send(batch.records, left)
            except BaseException as error:
                if not isinstance(error, Exception):
                    self.backlog.add(batch)
                    raise
                answer = _FAULT
            outcome = self._judge(batch, answer)
            if outcome is not None and outcome.settled:
                self._settled(outcome)
            return outcome
        finally:
            self._attempting.release()

    def begin_alone(self, within: float = 0.0) -> bool:
        """Keeps others from making attempts until :meth:`end_alone`, unless another thread makes one all the while."""
        return self._attempting.acquire(timeout=within)

    def end_alone(self) -> None:
        """Lets others make attempts again."""
        self._attempting.release()

    def _next(self, take: Take) -> Batch:
        if not self.backlog:
            return take(self._max_bytes)
        while (batch := self.backlog.take()).length > self._max_bytes and len(batch.records) > 1:
            self.backlog.add(*batch.halves())
        return batch

    def _judge(self, batch: Batch, answer: Answer) -> Outcome | None:
        count = len(batch.records)
        first = not batch.failed
        if answer.failure is None:
            self.failure = None
            self.backlog.succeeded()
            self._grow()
            rejected = self._rejections(batch, answer)
            return Outcome(batch, True, count - len(rejected), "rejected", None, first, rejected)  # noqa: FBT003
        if answer.too_large and self._reduce(batch):
            return None
        kept = answer.again and self.backlog.keep(batch, answer)
        if not answer.again:
            self.backlog.give_up(answer)
        text = f"{self._delivery.url} {answer.failure}"
        too_old = answer.again and not kept
        if too_old:
            text += f"; the records have waited for {limits.MAX_AGE_SECONDS / 3600:.0f} hours, and are given up"
        self.failure = SendError(text, count, answer.status, retrying=kept)
        return Outcome(batch, not kept, 0, "too_old" if too_old else "send_failed", self.failure, first)

    def _reduce(self, batch: Batch) -> bool:
        """Puts what was too large back in a smaller form, if there is one: as two batches, or as less of a record."""
        if len(batch.records) > 1:
            # Nor will it take another batch of that size.
            self._max_bytes = batch.length // 2
            self._taken = 0
            self.backlog.add(*batch.halves())
            return True
        smaller = batch.cut_down()
        if smaller is None:
            return False
        self._say_once("Failpath: a record of %d bytes was too large; it is sent without metadata.", batch.length)
        self.backlog.add(smaller)
        return True

    def _grow(self) -> None:
        """Allows larger batches again after a while: what was too large may have been the fault of a few records."""
        self._taken += 1
        if self._taken == limits.BATCHES_UNTIL_LARGER and self._max_bytes < limits.MAX_BATCH_BYTES:
            self._max_bytes = min(self._max_bytes * 2, limits.MAX_BATCH_BYTES)
            self._taken = 0

    def _rejections(self, batch: Batch, answer: Answer) -> tuple[tuple[int, RecordsRejected], ...]:
        if not answer.rejected:
            return ()
        errors = tuple((index, rejection(batch.records[index], reason)) for index, reason in answer.rejected)
        self._say_once(
            "Failpath: %d of %d records were rejected; the first: %s", len(errors), len(batch.records), errors[0][1]
        )
        return errors

    def _say_once(self, text: str, *arguments: object) -> None:
        if text not in self._said:
            self._said.add(text)
            say(text, *arguments)
