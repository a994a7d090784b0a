"""The sender: makes one attempt at a time; by the answer, a batch is settled, retried, split or cut down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from time import monotonic
from typing import Final, Protocol

from failpath_otel import limits
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.delivery.retries.batch_size import BatchSize
from failpath_otel.delivery.retries.halving import Doubt, Halving
from failpath_otel.delivery.retries.retry_queue import RetryQueue
from failpath_otel.errors import DeliveryError, RecordsRejectedError, SendError
from failpath_otel.records.request import Answer, misconfigured
from failpath_otel.report import warn
from failpath_otel.runtime.threads import RLock, acquire, is_held_here

Take = Callable[[int], Batch]
"""Takes the next batch, of at most the given bytes, from the queue; a batch without records if nothing waits."""

_FAULT: Final = misconfigured("could not be asked")
_SHORTEST_TIMEOUT: Final = 0.001
"""The shortest timeout of a socket, in seconds: with 0 it would not block."""


class DeliveryClient(Protocol):
    """Sends one batch and returns the answer; in production :class:`failpath_otel.delivery.http.client.HttpClient`."""

    @property
    def url(self) -> str:
        """Where batches go."""
        ...

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        """Send one batch, for at most ``within`` seconds, if given."""
        ...

    def close(self) -> None:
        """Close the connections; a later :meth:`send` opens new ones."""


class NullClient:
    """The client where delivery is turned off; it gets no records."""

    url = ""

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:  # noqa: ARG002 - as in DeliveryClient
        """Accept all records."""
        return Answer()

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
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

    rejected: tuple[tuple[int, RecordsRejectedError], ...] = ()
    """The indexes of the records that are lost where these are not all, in their order, and each one's error."""

    persistent: bool = False
    """The next attempt will fail as well: it is the key, the address or the set-up here."""


class Sender:
    """Sends batch after batch, one attempt at a time, on any thread.

    Args:
        delivery: sends one batch.
        lost: returns how many records are lost so far.
        confirm: called with each batch that is settled, within the attempt.
        binding: the hash of the journal, if there is one, by which its records can be sent elsewhere.
        once: this process tries no longer than its command runs.
    """

    def __init__(
        self,
        delivery: DeliveryClient,
        lost: Callable[[], int] = lambda: 0,
        confirm: Callable[[Batch], object] = lambda _: None,
        binding: str = "",
        *,
        once: bool = False,
    ) -> None:
        self._delivery: Final = delivery
        self._confirm: Final = confirm
        self._new_retries: Final = partial(RetryQueue, delivery.url, lost=lost, binding=binding, once=once)
        self.reset_in_child()

    def reset_in_child(self) -> None:
        """Begin with nothing: what waits for a retry before a fork is the parent's to send."""
        self.retries = self._new_retries()
        """The batches that are sent next, and when."""
        self.failure: SendError | None = None
        """Why the last attempt failed; ``None`` if it did not."""
        self.dividing = False
        """Whether the last batch is sent again: in parts, or once single records show that some are accepted."""
        self._size = BatchSize(self._delivery.url)
        self._chance = Random()  # noqa: S311 - no secret
        # Single records refused for their contents since one was accepted; at first the endpoint is in doubt.
        self._refused_singles = limits.SINGLES_IN_DOUBT
        self._doubt: Doubt | None = None
        self._all_refused = False  # by the last doubt
        # Reentrant: a garbage collection or a signal handler may flush in the middle of an attempt.
        self._attempt_lock = RLock()
        self._is_paused = False
        self.in_flight: Batch | None = None
        """The batch of the last attempt, until :class:`~.attempts.Attempts` has had it counted."""
        self._logged: set[str] = set()

    def attempt(self, take: Take, within: float | None = None) -> AttemptResult | None:
        """Send the batch that is next: from the retry queue, else from the queue.

        Args:
            take: takes a batch from the queue.
            within: the seconds that this may take, where these are less than one send may.

        Returns:
            What became of the batch; ``None`` if there was none, if another thread was sending for all that time, or if
            it is ``dividing``: the batch was too large or partly refused, and is sent in parts.
        """
        began = monotonic()
        if not self._attempt_lock.acquire(timeout=-1 if within is None else within):
            return None
        try:
            self.dividing = False
            batch = self._next_batch(take)
            self.in_flight = batch
            if not batch.records:
                return None
            doubt = self._doubt if self._doubt is not None and self._doubt.batch is batch else None
            if batch.halving is not None:
                batch.halving.whole.probes += 1
            try:
                left = None if within is None else max(within - (monotonic() - began), _SHORTEST_TIMEOUT)
                answer = self._delivery.send(batch.records if doubt is None else [doubt.next()], left)
            except BaseException as error:
                if not isinstance(error, Exception):
                    self._doubt = None
                    self.retries.add(batch)
                    raise
                answer = _FAULT
            result = self._handle_answer(batch, answer, take) if doubt is None else self._handle_doubt(doubt, answer)
            self._pace(batch)
            if result is not None and result.settled:
                self._confirm(result.batch)
            return result
        finally:
            self._attempt_lock.release()

    def try_pause_attempts(self, within: float = 0.0) -> bool:
        """Keep other threads from making attempts; return ``False`` if one takes more than ``within`` seconds."""
        if not acquire(self._attempt_lock, within):
            return False
        self._is_paused = True
        return True

    def resume_attempts(self) -> None:
        """Undo :meth:`try_pause_attempts`."""
        self._is_paused = False
        self._attempt_lock.release()

    def is_held_up_here(self) -> bool:
        """Return whether this thread has paused the attempts, further up its stack."""
        return self._is_paused and is_held_here(self._attempt_lock)

    def _next_batch(self, take: Take) -> Batch:
        if not self.retries:
            return take(self._size.bytes)
        self.in_flight = next(iter(self.retries))  # at no moment in neither
        while (batch := self.retries.take()).length > self._size.bytes and len(batch.records) > 1:
            self.retries.add(*batch.halves())
        return batch

    def _handle_answer(self, batch: Batch, answer: Answer, take: Take) -> AttemptResult | None:
        if answer.failure is None:
            return self._accept(batch, answer)
        if answer.too_large:
            return self._shrink(batch, answer)
        if answer.retryable:
            return self._retry(batch, answer)
        doubt = self._new_doubt(batch, answer, take)
        return self._refuse(batch, answer) if doubt is None else self._continue_doubt(doubt)

    def _accept(self, batch: Batch, answer: Answer) -> AttemptResult:
        self._trust()
        self._size.take(batch.length)
        if batch.halving is not None and batch.halving.passes():
            self._size.refuse(batch.halving.length)
        rejected = self._rejections(batch, answer)
        delivered = len(batch.records) - len(rejected)
        return AttemptResult(batch, True, delivered, "rejected", None, not batch.failed, rejected)  # noqa: FBT003

    def _trust(self) -> None:
        """Note that the endpoint takes records, so that its refusals of others are believed."""
        self.failure = None
        self.retries.succeeded()
        self._refused_singles = 0
        self._all_refused = False

    def _retry(self, batch: Batch, answer: Answer) -> AttemptResult:
        """Schedule a retry of the batch, unless it is too old for that."""
        self._doubt = None
        if answer.persistent:
            self._refused_singles = limits.SINGLES_IN_DOUBT  # the endpoint that answers next must prove itself
        first = not batch.failed
        kept = self.retries.schedule_retry(batch, answer)
        text = self._failure_text(answer)
        if not kept:
            text += f"; the records have waited for {limits.MAX_AGE_SECONDS / 3600:.0f} hours, and are given up"
        self.failure = SendError(text, len(batch.records), answer.status, retrying=kept)
        return AttemptResult(batch, not kept, 0, "too_old", self.failure, first, persistent=kept and answer.persistent)

    def _lose(self, batch: Batch, answer: Answer) -> AttemptResult:
        """Give up a single record, which alone has caused the failure."""
        self.failure = SendError(self._failure_text(answer), 1, answer.status)
        return AttemptResult(batch, True, 0, "send_failed", self.failure, not batch.failed)  # noqa: FBT003

    def _divide(self, batch: Batch, answer: Answer, *parts: Batch) -> AttemptResult | None:
        """Put back the batch or its parts, to be sent later: it is not settled yet."""
        self.retries.add(*parts or (batch,))
        self.failure = SendError(self._failure_text(answer), len(batch.records), answer.status, retrying=True)
        self.dividing = True
        return None

    def _failure_text(self, answer: Answer) -> str:
        return f"{self._delivery.url} {answer.failure}"

    def _shrink(self, batch: Batch, answer: Answer) -> AttemptResult | None:
        """Put back a batch that was too large in a smaller form, if there is one: halves, or a minimal record."""
        if len(batch.records) > 1:
            self._size.refuse(batch.length)
            return self._divide(batch, answer, *batch.halves())
        smaller = batch.cut_down()
        if smaller is not None:
            self._warn_once("Failpath: a record of %d bytes was too large; it is sent without metadata.", batch.length)
            return self._divide(batch, answer, smaller)
        if batch.length < limits.MIN_TOO_LARGE_BYTES:
            failure = f"answered 413 to a record of {batch.length} bytes, which is not too large"
            return self._retry(batch, replace(answer, failure=failure, retryable=True, too_large=False))
        self._warn_once(
            "Failpath: a record of %d bytes is too large for %s; it is lost.", batch.length, self._delivery.url
        )
        return self._lose(batch, answer)

    def _new_doubt(self, batch: Batch, answer: Answer, take: Take) -> Doubt | None:
        """Return a doubt whether the answer is about what the batch contains, for which single records are tried.

        Return ``None`` where the endpoint has accepted records lately, or where there are too few records to try.
        """
        trusted = self._refused_singles < limits.SINGLES_IN_DOUBT
        if trusted and batch.halving is not None:
            return None
        others = self._others(batch)
        enough = limits.SINGLES_IN_DOUBT + (len(others) if self._all_refused else 0)
        while not trusted and len(others) < enough and (further := self._take_more(batch, take)):
            others += further
        if trusted and len(others) < limits.SINGLES_IN_DOUBT:
            return None
        return Doubt(batch, answer, others, self._chance)

    def _others(self, batch: Batch) -> list[bytes]:
        own = batch.records if len(batch.records) > 1 else ()
        return [*own, *(record for each in self.retries for record in each.records)]

    def _take_more(self, batch: Batch, take: Take) -> Sequence[bytes]:
        """Take the next records from the queue, and put them last into the retry queue."""
        if len(self.retries) + 1 >= limits.MAX_BATCHES_IN_DOUBT:
            return ()
        self.retries.add(batch)  # `take` looks there for what comes before the next batch
        try:
            further = take(self._size.bytes)
        finally:
            self.retries.take()
        if further.records:
            self.retries.append(further)
        return further.records

    def _handle_doubt(self, doubt: Doubt, answer: Answer) -> AttemptResult | None:
        """Decide on a batch that was refused by the answer to a single record."""
        batch = doubt.batch
        if answer.failure is None:
            self._doubt = None
            self._trust()
            return self._refuse(batch, doubt.answer)
        return self._retry(batch, answer) if answer.retryable else self._continue_doubt(doubt)

    def _continue_doubt(self, doubt: Doubt) -> AttemptResult | None:
        """Go on trying single records; where all of them were refused, schedule a retry of the batch."""
        if doubt:
            self._doubt = doubt
            return self._divide(doubt.batch, doubt.answer)
        self._all_refused = True
        return self._retry(doubt.batch, doubt.verdict())

    def _refuse(self, batch: Batch, answer: Answer) -> AttemptResult | None:
        """Search the batch for what is refused, by its halves; a single record is lost."""
        if len(batch.records) > 1:
            return self._divide(batch, answer, *batch.halves(Halving(batch.length, batch.halving)))
        self._refused_singles += 1
        self._warn_once(
            "Failpath: %s, and accepts others; that one is lost.", f"{self._failure_text(answer)} for one record"
        )
        return self._lose(batch, answer)

    def _pace(self, batch: Batch) -> None:
        """Pause after a batch that was searched by halves, and within a search of many requests."""
        if batch.halving is None or self.retries.failing:
            return
        whole = batch.halving.whole
        upcoming = next((each.halving for each in self.retries), None)
        if upcoming is None or upcoming.whole is not whole or whole.probes >= limits.MAX_PROBES:
            whole.probes = 0
            self.retries.pause_briefly()

    def _rejections(self, batch: Batch, answer: Answer) -> tuple[tuple[int, RecordsRejectedError], ...]:
        if not answer.rejected:
            return ()
        errors = tuple((index, batch.rejection(index, reason)) for index, reason in answer.rejected)
        self._warn_once(
            "Failpath: %d of %d records were rejected; the first: %s", len(errors), len(batch.records), errors[0][1]
        )
        return errors

    def _warn_once(self, text: str, *arguments: object) -> None:
        if text not in self._logged:
            self._logged.add(text)
            warn(text, *arguments)
