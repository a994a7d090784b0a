"""Makes records of the spans of a request, and counts the spans that are no steps or invalid."""

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final, cast

import msgspec

from failpath_otel.otlp.reading import ReadSpan, Watch, reading_of
from failpath_otel.otlp.span import OtlpSpan
from failpath_otel.otlp.template import EncodedRecord
from failpath_otel.records.content import RecordContent
from failpath_otel.records.record import Record, encode
from failpath_otel.records.rule_set import format_unmatched
from failpath_otel.records.span_translation import span_records
from failpath_otel.report import exception_once, warn
from failpath_otel.semconv import START_MARKER, STEP_KEY

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_timestamp: Final = itemgetter(0)
_CHUNK: Final = 512
"""Spans whose records are in memory, and sorted, at a time."""


class Receipt(msgspec.Struct):
    """Counts the spans of a request; ``reason`` is about the first that was rejected, if any."""

    received: int = 0
    steps: int = 0
    ignored: int = 0
    rejected: int = 0
    reason: str = ""

    def reject(self, reason: str) -> None:
        """Count the span that was received last as unusable."""
        self.rejected += 1
        self.warn(f"span {self.received - 1}: {reason}")

    def warn(self, reason: str) -> None:
        """Keep a reason, if it is the first."""
        self.reason = self.reason or reason


class InvalidStepError(Exception):
    """A span is a step, but no record can be made of it; the text says why."""


def records_of(span: OtlpSpan, content: RecordContent) -> list[Record]:
    """Return the records of a step in order of time; none for a span that is no step.

    Raises :class:`InvalidStepError`.
    """
    if span.problem:
        rules = content.rules
        if STEP_KEY in span.attributes or (rules is not None and rules.choice_for(span, span.attributes) is not None):
            raise InvalidStepError(span.problem)
        return []
    # It has all attributes that the translation reads.
    records = span_records(cast("ReadableSpan", span), span.process, content)
    if not records and STEP_KEY in span.attributes:
        marker = span.attributes.get(START_MARKER) is True and span.parent is None
        msg = "it marks a start and names no parent" if marker else "its step key or its flow key is no text, or empty"
        raise InvalidStepError(msg)
    return records


class SpanReader:
    """Makes records of the spans of requests, on any number of threads.

    If no span of the first request is a step, a warning says why, once: an application that forgot the attributes, or
    whose rules match nothing, would otherwise look for its steps elsewhere.

    Args:
        content: what the records contain, and the rules.
        watch: called with each body as well.
    """

    def __init__(self, content: RecordContent, watch: Watch | None = None) -> None:
        self._content: Final = content
        self._first_request_seen = False
        self.reading: Final = reading_of(content, watch)
        """How the spans are read that are passed to :meth:`read`."""

    def read(self, spans: Iterator[ReadSpan], receipt: Receipt) -> Iterator[list[bytes]]:
        """Yield the encoded records of a request, some hundred at a time, and count its spans in *receipt*."""
        more = True
        while more:
            records = _read(islice(spans, _CHUNK), self._content, receipt)
            more = records is not None
            if records:
                # Spans come in the order of their ends.
                records.sort(key=_timestamp)
                yield [data for _, data in records]
        if receipt.received and not self._first_request_seen:
            self._first_request_seen = True
            if receipt.ignored == receipt.received:
                self._warn_of_no_steps(receipt.ignored)

    def _warn_of_no_steps(self, ignored: int) -> None:
        rules = self._content.rules
        if rules is None:
            text = "Failpath: none of the first %d spans is a step: they carry no %s, and there are no rules (%s)."
            warn(text, ignored, STEP_KEY, "FAILPATH_RULES")
        elif misses := rules.unmatched():  # empty if spans of a concurrent request match
            text = "Failpath: none of the first %d spans is a step: no rule matches them. There were: %s"
            warn(text, ignored, format_unmatched(misses))


def _read(spans: Iterable[ReadSpan], content: RecordContent, receipt: Receipt) -> list[EncodedRecord] | None:
    """Return the records of these spans; ``None`` if there are no more spans."""
    found: list[EncodedRecord] = []
    span: ReadSpan | None = None
    for span in spans:
        if type(span) is list:
            receipt.received += 1
            receipt.steps += 1
            found += span
        elif type(span) is int:
            receipt.received += span
            receipt.ignored += span
        else:
            receipt.received += 1
            found += _walk(cast("OtlpSpan", span), content, receipt)
    return None if span is None else found


def _walk(span: OtlpSpan, content: RecordContent, receipt: Receipt) -> list[EncodedRecord]:
    """Return the records of a span that no template has made, and count it."""
    try:
        records = [(record.timestamp, encode(record)) for record in records_of(span, content)]
    except InvalidStepError as error:
        receipt.reject(str(error))
    except Exception:  # noqa: BLE001 - one span must not cost the others
        exception_once("translating a span")
        receipt.reject("it could not be read")
    else:
        if records:
            receipt.steps += 1
        else:
            receipt.ignored += 1
        return records
    return []
