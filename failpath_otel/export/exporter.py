"""The span exporter: Failpath records from spans that have ended, for a pipeline that somebody else runs."""

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import Unpack

from failpath_otel import limits
from failpath_otel.export.ending import patience
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.options import DeliveryOptions, Options
from failpath_otel.export.pipeline import pipeline_to_failpath
from failpath_otel.export.policy import Policy
from failpath_otel.export.process import ThisProcess
from failpath_otel.export.record import Record, encode
from failpath_otel.export.stats import Stats
from failpath_otel.export.translation import span_records
from failpath_otel.report import report_fault


class FailpathSpanExporter(SpanExporter):
    """Sends ended spans that are steps to Failpath, both events at once; other spans pass by.

    For a ``BatchSpanProcessor`` of your own. OpenTelemetry hands spans to an exporter only when they have ended, so a
    step is not seen while it runs, and not at all if the process dies in it: :class:`FailpathSpanProcessor` reports
    ``running`` live.

    Args:
        options: those of :func:`failpath_otel.configure`, but for ``delivery``, ``throw_on_send_error`` and
            ``tracer_provider``.

    Raises:
        ConfigurationError: the project key is missing, or an option cannot work.
    """

    def __init__(self, **options: Unpack[DeliveryOptions]) -> None:
        resolved = Options.resolve(**options)
        self._policy = Policy(
            capture_stack=resolved.capture_stack, default_metadata=resolved.default_metadata, redact=resolved.redact
        )
        self._off = not resolved.enabled
        self._pipeline = pipeline_to_failpath(resolved)
        self._patience = 2 * resolved.send_timeout + 1 if resolved.send_timeout else limits.MAX_SECONDS
        self._process = ThisProcess()
        self._begin()
        after_fork_in_child(self._begin)

    def _begin(self) -> None:
        # By OpenTelemetry's word, calls come one at a time; a simple span processor makes them on every thread all the
        # same. Reentrant, because a garbage collection can end a span in the midst of one.
        self._exporting = threading.RLock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends the records of all steps among ``spans``, and waits for the answer, or for a failed attempt.

        What an attempt could not deliver, but may yet be delivered, is kept and sent again in the background, before
        the records of later calls.

        Returns:
            ``SUCCESS`` if every record was delivered or there was none, else ``FAILURE``.
        """
        if self._off:
            return SpanExportResult.SUCCESS
        with self._exporting:
            return SpanExportResult.SUCCESS if self._export(spans) else SpanExportResult.FAILURE

    def _export(self, spans: Sequence[ReadableSpan]) -> bool:
        complete = True
        records: list[Record] = []
        for span in spans:
            try:
                records += span_records(span, self._process.info, self._policy)
            except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
                report_fault("translating a span")
                self._pipeline.lose("invalid")
                complete = False
        # Spans come in the order of their ends, but records go out in the order in which things happened.
        records.sort(key=lambda record: record.timestamp)
        for record in records:
            complete = self._pipeline.put(encode(record)) and complete
        if records:
            dropped = self._pipeline.stats().dropped
            self._pipeline.await_attempt(patience(self._patience))
            stats = self._pipeline.stats()
            complete = complete and not stats.waiting and stats.dropped == dropped
        return complete

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Waits at most so long until everything that was exported is delivered; tells whether all of it ever was."""
        return self._pipeline.flush(patience(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Sends what is kept, for at most 5 s (2 s at the end of the interpreter), then takes no more spans."""
        self._pipeline.shutdown(patience(limits.FLUSH_TIMEOUT))

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return self._pipeline.stats()
