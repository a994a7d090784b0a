"""Hands spans to the pipeline. Accepted means delivered, or in the journal."""

from collections.abc import Iterator
from time import monotonic, sleep
from typing import Final

from failpath_otel import limits
from failpath_otel.delivery.pipeline import pipeline_to_failpath
from failpath_otel.errors import RecordsRejectedError, SendError
from failpath_otel.options.content import content_of
from failpath_otel.options.options import Options
from failpath_otel.otlp.reader import Receipt, SpanReader
from failpath_otel.otlp.reading import ReadSpan
from failpath_otel.otlp.requests.intake import ServiceUnavailable

_ROOM_SECONDS: Final = 2.0
"""How long a request waits for room in the queue before it is refused as retryable."""

_FULL_SECONDS: Final = 1.0
"""How long further requests are refused at once, after one has waited for room in vain."""

_POLL_SECONDS: Final = 0.02

_WAIT_SECONDS: Final = 0.5
"""How long a request waits for delivery at a time, before it checks whether the gateway ends."""


class Forwarder:
    """Accepts the spans of requests, on any number of threads.

    With a journal, a span in it is accepted; without one, and while it cannot be written, only a delivered span is.
    """

    def __init__(self, options: Options) -> None:
        self._reader: Final = SpanReader(content_of(options, many_services=True))
        self.reading: Final = self._reader.reading
        """How the spans are read that are passed to :meth:`take`."""
        self._wait_budget: Final = options.wait_budget
        self._max_chunk_records: Final = min(limits.MAX_BATCH_RECORDS, options.max_queue_size)
        self._full_until = 0.0
        self.pipeline: Final = pipeline_to_failpath(options)
        """Where the records go."""

    def check(self) -> None:
        """Raise :class:`ServiceUnavailable`, before the body is read, if it is known that no span can be accepted."""
        self._check_open()
        if monotonic() < self._full_until:
            raise self._full()

    def refusal(self) -> ServiceUnavailable | None:
        """Return why no span can be accepted now; ``None`` if one can. Takes the lock of the queue."""
        try:
            self.check()
        except ServiceUnavailable as refusal:
            return refusal
        return None if self.pipeline.admission.has_safe_room(1, limits.MAX_RECORD_BYTES) else self._full()

    def _check_open(self) -> None:
        if self.pipeline.queue.closed:
            raise ServiceUnavailable("this gateway is shutting down", 1, "shutting_down")
        if not self.pipeline.queue.journaling and self.pipeline.stuck:
            raise self._unavailable()

    def take(self, spans: Iterator[ReadSpan]) -> Receipt:
        """Accept all spans that are steps. Block while the queue is full and, without a journal, until delivery.

        Raises :class:`ServiceUnavailable` if not all were accepted: the sender has to send all of them again, and
        Failpath drops duplicates by their ids.
        """
        receipt = Receipt()
        for records in self._reader.read(spans, receipt):
            self._put(records, receipt)
        return receipt

    def _put(self, records: list[bytes], receipt: Receipt) -> None:
        """Put records into the pipeline, in chunks as large as a batch."""
        most = self._max_chunk_records
        for begin in range(0, len(records), most):
            some = records[begin : begin + most]
            if sum(map(len, some)) <= limits.MAX_BATCH_BYTES:
                self._put_chunk(some, receipt)
            else:
                for chunk in _split(some):
                    self._put_chunk(chunk, receipt)

    def _put_chunk(self, records: list[bytes], receipt: Receipt) -> None:
        deadline = monotonic() + _ROOM_SECONDS
        while True:
            self._check_open()
            last, safe = self.pipeline.admission.put_safely(records)
            if safe:
                return
            if last:
                break
            if monotonic() >= deadline:
                self._full_until = monotonic() + _FULL_SECONDS
                raise self._full()
            sleep(_POLL_SECONDS)
        numbers = last - len(records) + 1, last
        self._await_attempt(numbers)
        # The outcome of the wait alone is not enough: one record may be refused while others wait in memory.
        settled, error = self.pipeline.flusher.outcome(numbers)
        if settled and isinstance(error, RecordsRejectedError):
            receipt.warn(f"Failpath has rejected records: {error}")
        elif settled and isinstance(error, SendError):  # final: another attempt would be refused too
            receipt.warn(f"Failpath has refused records: {error}")
        elif not settled or error is not None:
            raise self._unavailable()

    def _await_attempt(self, numbers: tuple[int, int]) -> None:
        """Wait like :meth:`Pipeline.await_attempt`, within the wait budget, and no longer than the gateway runs."""
        deadline = monotonic() + self._wait_budget
        while True:
            left = deadline - monotonic()
            in_time, error = self.pipeline.await_attempt(max(min(left, _WAIT_SECONDS), 0), numbers, whole_batch=True)
            if in_time or error is not None or left <= 0 or self.pipeline.queue.closed:
                return

    def _full(self) -> ServiceUnavailable:
        what = "the journal" if self.pipeline.queue.journaling else "the queue"
        return ServiceUnavailable(
            f"{what} is full, because Failpath accepts less than arrives", self.pipeline.sender.retries.pause(), "full"
        )

    def _unavailable(self) -> ServiceUnavailable:
        why = "there is no journal" if self.pipeline.queue.journal is None else "the journal cannot be written"
        return ServiceUnavailable(f"Failpath is unavailable, and {why}", self.pipeline.sender.retries.pause())


def _split(records: list[bytes]) -> Iterator[list[bytes]]:
    """Yield records in chunks of at most the bytes of a batch."""
    some: list[bytes] = []
    size = 0
    for data in records:
        if some and size + len(data) > limits.MAX_BATCH_BYTES:
            yield some
            some, size = [], 0
        some.append(data)
        size += len(data)
    yield some
