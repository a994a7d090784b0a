"""Spans of a request to records, and what is to be said of those of which none could be made."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

import msgspec

from failpath_otel.otlp.span import OtlpSpan
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record
from failpath_otel.records.rules import format_unmatched
from failpath_otel.records.translation import span_records
from failpath_otel.report import exception_once, warn
from failpath_otel.semconv import START_MARKER, STEP_KEY

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_TOGETHER: Final = 512
"""Spans whose records are in memory at a time, in the order of their times."""


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
        self.warn(f"span {self.received - 1}: {reason}")

    def warn(self, reason: str) -> None:
        """Keeps a reason, if it is the first."""
        self.reason = self.reason or reason


Put = Callable[[list[Record], Receipt], object]
"""Takes records for good, or raises."""


class Unusable(Exception):  # noqa: N818 - says what the span is
    """The span is a step, and no record can be made of it; the text says why."""


def records_of(span: OtlpSpan, content: RecordContent) -> list[Record]:
    """The records of a step, in the order in which things happened; none where the span is no step.

    Raises :class:`Unusable`.
    """
    if span.problem:
        if STEP_KEY in span.attributes or (content.rules is not None and content.rules.rule_for(span) is not None):
            raise Unusable(span.problem)
        return []
    # It has all that the translation reads.
    records = span_records(cast("ReadableSpan", span), span.process, content)
    if not records and STEP_KEY in span.attributes:
        marker = span.attributes.get(START_MARKER) is True and span.parent is None
        msg = "it marks a start and names no parent" if marker else "its step key or its flow key is no text, or empty"
        raise Unusable(msg)
    return records


class Reader:
    """Reads the spans of one request after the other, on any number of threads.

    Where those of a first request are all passed over, the log says so, once: who has forgotten the attributes, or
    whose rule matches nothing, would look for the steps elsewhere.

    Args:
        content: what the records carry, and the rules.
        put: takes the records, some hundred at a time.
    """

    def __init__(self, content: RecordContent, put: Put) -> None:
        self._content: Final = content
        self._put: Final = put
        self._is_told = False

    def take(self, spans: Iterator[OtlpSpan | None]) -> Receipt:
        """Reads all spans of a request; ``None`` stands for one that is no step."""
        receipt = Receipt()
        more = True
        while more:
            before = receipt.received
            records = _read(islice(spans, _TOGETHER), self._content, receipt)
            if records:
                self._put(records, receipt)
            more = receipt.received - before == _TOGETHER
        if receipt.received and not self._is_told:
            self._is_told = True
            if receipt.ignored == receipt.received:
                self._tell(receipt.ignored)
        return receipt

    def _tell(self, ignored: int) -> None:
        rules = self._content.rules
        if rules is None:
            text = "Failpath: none of the first %d spans is a step: they carry no %s, and there are no rules (%s)."
            warn(text, ignored, STEP_KEY, "FAILPATH_RULES")
        elif misses := rules.unmatched():  # none, where another request has some that match, at the same time
            text = "Failpath: none of the first %d spans is a step: no rule matches them. There were: %s"
            warn(text, ignored, format_unmatched(misses))


def _read(spans: Iterable[OtlpSpan | None], content: RecordContent, receipt: Receipt) -> list[Record]:
    """The records of these spans in the order in which things happened; spans come in that of their ends."""
    found: list[Record] = []
    for span in spans:
        receipt.received += 1
        if span is None:
            receipt.ignored += 1
            continue
        try:
            records = records_of(span, content)
        except Unusable as error:
            receipt.reject(str(error))
        except Exception:  # noqa: BLE001 - one span must not cost the others
            exception_once("translating a span")
            receipt.reject("it could not be read")
        else:
            if records:
                receipt.steps += 1
                found += records
            else:
                receipt.ignored += 1
    found.sort(key=_time_of)
    return found


def _time_of(record: Record) -> str:
    return record.timestamp
