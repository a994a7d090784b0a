"""Deliver spans that have ended: both records of each step at once, with the result for the exporter."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan

from failpath_otel.delivery.at_exit import exit_budget
from failpath_otel.delivery.figures.metrics import measure
from failpath_otel.delivery.pipeline import pipeline_to_failpath
from failpath_otel.options.content import content_of
from failpath_otel.options.declared_keys import key_watch_of
from failpath_otel.options.options import Options
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import Record, encode
from failpath_otel.records.span_translation import span_records
from failpath_otel.report import exception_once


class EndedSpans:
    """The implementation of the span exporter."""

    def __init__(self, options: Options) -> None:
        self._content = content_of(options)
        self._disabled = not options.enabled
        self.pipeline = pipeline_to_failpath(options)
        """Delivers the records."""
        measure(self.pipeline, "failpath_otel.FailpathSpanExporter", options.enabled and options.metrics)
        self._wait_budget = options.wait_budget
        self._process = ThisProcess()
        self._key_watch = key_watch_of(options)

    def __del__(self) -> None:
        if hasattr(self, "pipeline"):
            self.pipeline.worker.release()  # it was not shut down

    def send(self, spans: Sequence[ReadableSpan]) -> bool:
        """Send the records of all steps among ``spans``; return whether all of them were delivered."""
        if self._disabled:
            return True
        complete = True
        steps: list[list[Record]] = []
        before = self.pipeline.queue.count()
        for span in spans:
            try:
                steps.append(span_records(span, self._process.info, self._content))
            except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
                exception_once("translating a span")
                self.pipeline.ledger.lose("invalid")
                complete = False
        # Spans come in the order of their ends, but records go out in the order in which things happened.
        records = sorted((record for step in steps for record in step), key=lambda record: record.timestamp)
        if not records:
            return complete
        self._check_keys(records)
        groups = [[encode(record) for record in records]]
        if not self.pipeline.admission.has_room(len(records), sum(map(len, groups[0]))):
            # What does not fit is left out step by step: a start without its outcome would look like a crash.
            groups = [[encode(record) for record in step] for step in steps if step]
        for group in groups:
            complete = self.pipeline.put_together(group) > 0 and complete
        in_time, error = self.pipeline.await_attempt(
            exit_budget(self._wait_budget), (before + 1, self.pipeline.queue.count()), whole_batch=True
        )
        return complete and in_time and error is None

    def _check_keys(self, records: Sequence[Record]) -> None:
        watch = self._key_watch
        for record in records if watch is not None else ():
            if watch is not None and (record.flow_key, record.step_key) not in watch.known:
                watch.warn(record.flow_key, record.step_key)
