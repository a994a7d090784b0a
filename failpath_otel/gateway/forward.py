"""Spans to the pipeline, and the truth about them: taken means delivered, or in the journal."""

from collections.abc import Iterator
from itertools import islice
from math import ceil
from time import monotonic, sleep
from typing import Final

import msgspec

from failpath_otel.errors import RecordsRejected
from failpath_otel.export.factory import pipeline_to_failpath
from failpath_otel.export.options import Options
from failpath_otel.export.policy import Policy
from failpath_otel.export.record import Record, encode
from failpath_otel.gateway.otlp import Unusable, records_of
from failpath_otel.gateway.span import OtlpSpan
from failpath_otel.report import report_fault

_TOGETHER: Final = 512
"""Spans whose records are put at a time: in the order of their times, and of no more of them than that in memory."""

_ROOM_SECONDS: Final = 2.0
"""How long a request waits for room, before its sender is told to come again."""

_LOOK_SECONDS: Final = 0.02


class Busy(Exception):  # noqa: N818 - says what Failpath is
    """No more is taken now: the answer's status, and the seconds after which it is worth another try."""

    def __init__(self, status_code: int, reason: str, pause: float) -> None:
        super().__init__(reason)
        self.status_code: Final = status_code
        self.retry_after: Final = max(ceil(pause), 1)


class Receipt(msgspec.Struct):
    """How many spans a request had, and what they were; ``reason`` is about the first that was rejected, if any."""

    received: int = 0
    steps: int = 0
    ignored: int = 0
    rejected: int = 0
    reason: str = ""

    def reject(self, reason: str) -> None:
        """Counts the span that was received last as one that cannot be used."""
        self.rejected += 1
        self.reason = self.reason or f"span {self.received - 1}: {reason}"


class Forwarder:
    """Takes the spans of one request after the other, on any number of threads.

    With a journal, what is in there is taken. Without one, and while it cannot be written, only what is delivered is.
    """

    def __init__(self, options: Options) -> None:
        self._policy: Final = Policy(
            capture_stack=options.capture_stack, default_metadata=options.default_metadata, redact=options.redact
        )
        self._patience: Final = 2 * options.send_timeout + 1
        self.pipeline: Final = pipeline_to_failpath(options)
        """Where the records go."""

    def check(self) -> None:
        """Raises :class:`Busy` where it is known already that nothing can be taken."""
        if self.pipeline.closed:
            raise Busy(503, "this gateway is about to end", 1)
        if not self.pipeline.journaling and self.pipeline.stuck:
            raise self._down()

    def take(self, spans: Iterator[OtlpSpan | None]) -> Receipt:
        """Takes all spans that are steps. Blocks while it waits for room, and without a journal for the delivery.

        Raises :class:`Busy` where not all were taken: the sender has to send all of them again, and the receiver drops
        by their ids those that it has twice.
        """
        receipt = Receipt()
        more = True
        while more:
            before = receipt.received
            records = self._records(islice(spans, _TOGETHER), receipt)
            if records:
                self._put([encode(record) for record in records], receipt)
            more = receipt.received - before == _TOGETHER
        return receipt

    def _records(self, spans: Iterator[OtlpSpan | None], receipt: Receipt) -> list[Record]:
        """The records of these spans, in the order in which things happened."""
        found: list[Record] = []
        for span in spans:
            receipt.received += 1
            if span is None:
                receipt.ignored += 1
                continue
            try:
                records = records_of(span, self._policy)
            except Unusable as error:
                receipt.reject(str(error))
            except Exception:  # noqa: BLE001 - one span must not cost the others
                report_fault("translating a span")
                receipt.reject("it could not be read")
            else:
                if records:
                    receipt.steps += 1
                    found += records
                else:
                    receipt.ignored += 1
        found.sort(key=_time_of)
        return found

    def _put(self, records: list[bytes], receipt: Receipt) -> None:
        deadline = monotonic() + _ROOM_SECONDS
        while True:
            self.check()
            last, safe = self.pipeline.put_safely(records)
            if safe:
                return
            if last:
                break
            if monotonic() >= deadline:
                what = "the journal" if self.pipeline.journaling else "the queue"
                raise Busy(429, f"{what} is full, because Failpath takes less than comes in", self.pipeline.pause)
            sleep(_LOOK_SECONDS)
        in_time, error = self.pipeline.await_attempt(self._patience, (last - len(records) + 1, last))
        if isinstance(error, RecordsRejected):
            receipt.reason = receipt.reason or f"Failpath has rejected records: {error}"
        elif error is not None or not in_time:
            raise self._down()

    def _down(self) -> Busy:
        return Busy(503, "Failpath cannot be reached, and there is no journal", self.pipeline.pause)


def _time_of(record: Record) -> str:
    return record.timestamp
