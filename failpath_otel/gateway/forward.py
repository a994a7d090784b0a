"""Spans to the pipeline, and the truth about them: taken means delivered, or in the journal."""

from collections.abc import Iterator
from time import monotonic, sleep
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.pipeline import pipeline_to_failpath
from failpath_otel.errors import RecordsRejectedError, SendError
from failpath_otel.options.content import content_of
from failpath_otel.options.options import Options
from failpath_otel.otlp.reader import Reader, Receipt
from failpath_otel.otlp.route import Busy
from failpath_otel.otlp.span import OtlpSpan
from failpath_otel.records.record import Record, encode

_ROOM_SECONDS: Final = 2.0
"""How long a request waits for room, before its sender is told to come again."""

_FULL_SECONDS: Final = 1.0
"""How long nobody else waits for room, after a request has waited in vain."""

_LOOK_SECONDS: Final = 0.02

_WAIT_SECONDS: Final = 0.5
"""How long a request waits for its delivery, before it looks whether the gateway ends."""


class Forwarder:
    """Takes the spans of one request after the other, on any number of threads.

    With a journal, what is in there is taken. Without one, and while it cannot be written, only what is delivered is.
    """

    def __init__(self, options: Options) -> None:
        content = content_of(options)
        self._reader: Final = Reader(content, self._put)
        self.every: Final = content.rules is not None
        """Spans that carry none of our names may be steps."""
        self._patience: Final = options.wait_budget
        self._most: Final = min(limits.MAX_BATCH_RECORDS, options.max_queue_size)
        self._full_until = 0.0
        self.pipeline: Final = pipeline_to_failpath(options)
        """Where the records go."""

    def check(self) -> None:
        """Raises :class:`Busy` where it is known already that nothing can be taken: nobody has to wait to hear that."""
        self._check_open()
        if monotonic() < self._full_until:
            raise self._full()

    def _check_open(self) -> None:
        if self.pipeline.closed:
            reason = "this gateway is about to end"
            raise Busy(reason, 1)
        if not self.pipeline.journaling and self.pipeline.stuck:
            raise self._down()

    def take(self, spans: Iterator[OtlpSpan | None]) -> Receipt:
        """Takes all spans that are steps. Blocks while it waits for room, and without a journal for the delivery.

        Raises :class:`Busy` where not all were taken: the sender has to send all of them again, and the receiver drops
        by their ids those that it has twice.
        """
        return self._reader.take(spans)

    def _put(self, records: list[Record], receipt: Receipt) -> None:
        """Takes records, as many at a time as there may be room for."""
        some: list[bytes] = []
        size = 0
        for record in records:
            data = encode(record)
            if some and (len(some) >= self._most or size + len(data) > limits.MAX_BATCH_BYTES):
                self._put_together(some, receipt)
                some, size = [], 0
            some.append(data)
            size += len(data)
        self._put_together(some, receipt)

    def _put_together(self, records: list[bytes], receipt: Receipt) -> None:
        deadline = monotonic() + _ROOM_SECONDS
        while True:
            self._check_open()
            last, safe = self.pipeline.put_safely(records)
            if safe:
                return
            if last:
                break
            if monotonic() >= deadline:
                self._full_until = monotonic() + _FULL_SECONDS
                raise self._full()
            sleep(_LOOK_SECONDS)
        numbers = last - len(records) + 1, last
        self._await_attempt(numbers)
        # And not what the waiting was told: one of them may be refused while others wait in memory.
        settled, error = self.pipeline.outcome(numbers)
        if settled and isinstance(error, RecordsRejectedError):
            receipt.warn(f"Failpath has rejected records: {error}")
        elif settled and isinstance(error, SendError):  # and would be refused again
            receipt.warn(f"Failpath has refused records: {error}")
        elif not settled or error is not None:
            raise self._down()

    def _await_attempt(self, numbers: tuple[int, int]) -> None:
        """As :meth:`Pipeline.await_attempt`, with some patience, which ends when the gateway does."""
        deadline = monotonic() + self._patience
        while True:
            left = deadline - monotonic()
            in_time, error = self.pipeline.await_attempt(max(min(left, _WAIT_SECONDS), 0), numbers, whole_batch=True)
            if in_time or error is not None or left <= 0 or self.pipeline.closed:
                return

    def _full(self) -> Busy:
        what = "the journal" if self.pipeline.journaling else "the queue"
        return Busy(f"{what} is full, because Failpath takes less than comes in", self.pipeline.pause)

    def _down(self) -> Busy:
        return Busy("Failpath takes nothing now, and there is no journal", self.pipeline.pause)
