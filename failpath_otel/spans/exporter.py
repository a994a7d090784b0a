"""The span exporter: Failpath records from spans that have ended, for a pipeline that somebody else runs."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import Unpack

from failpath_otel import limits
from failpath_otel.delivery.at_exit import patience
from failpath_otel.delivery.stats import Stats
from failpath_otel.options.arguments import DeliveryOptions
from failpath_otel.public import public


@public
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
        # Here, because it takes half as long to import as all of OpenTelemetry, and only who delivers needs it.
        from failpath_otel.options.options import Options  # noqa: PLC0415
        from failpath_otel.spans.ended_spans import EndedSpans  # noqa: PLC0415

        self._ended = EndedSpans(Options.resolve_delivery(**options))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends the records of all steps among ``spans``, and waits for the answer, or for a failed attempt.

        What an attempt could not deliver, but may yet be delivered, is kept and sent again in the background, before
        the records of later calls.

        Returns:
            ``SUCCESS`` if every record was delivered or there was none, else ``FAILURE``.
        """
        return SpanExportResult.SUCCESS if self._ended.send(spans) else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Waits at most so long until everything that was exported is delivered; tells whether all of it ever was."""
        return self._ended.pipeline.flush(patience(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Sends what is kept, for at most 5 s (2 s at the end of the interpreter), then takes no more spans."""
        self._ended.pipeline.shutdown(patience(limits.FLUSH_TIMEOUT))

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return self._ended.pipeline.stats()
