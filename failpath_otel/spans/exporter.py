"""The span exporter: Failpath records from spans that have ended, for a batch processor of the application."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import Unpack

from failpath_otel import limits
from failpath_otel.delivery.at_exit import exit_budget
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.options.arguments import DeliveryOptions
from failpath_otel.public import public


@public
class FailpathSpanExporter(SpanExporter):
    """Sends ended spans that are steps to Failpath, both events at once; ignores other spans.

    Use it in a ``BatchSpanProcessor`` of the application. OpenTelemetry exports spans when they have ended, so a step
    is not reported while it runs, and not at all if the process dies during the step. :class:`FailpathSpanProcessor`
    reports ``running`` live.

    Args:
        options: the options of :func:`failpath_otel.configure`, except ``delivery``, ``throw_on_send_error`` and
            ``tracer_provider``.

    Raises:
        ConfigurationError: the project key is missing, or an option is invalid.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from opentelemetry.sdk.trace.export import BatchSpanProcessor
        >>> from failpath_otel import Failpath, FailpathSpanExporter
        >>> provider = TracerProvider()
        >>> provider.add_span_processor(BatchSpanProcessor(FailpathSpanExporter(project_key="fp_project_xxx")))
        >>> Failpath(tracer_provider=provider).run("checkout", run_id="order-17").step("charge-card", lambda: "ch_1")
        'ch_1'
        >>> provider.force_flush()
        True
        >>> provider.shutdown()
    """

    def __init__(self, **options: Unpack[DeliveryOptions]) -> None:
        # Imported on use (decision 0005).
        from failpath_otel.options.options import Options  # noqa: PLC0415
        from failpath_otel.spans.ended_spans import EndedSpans  # noqa: PLC0415

        self._ended = EndedSpans(Options.resolve_delivery(**options))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the records of all steps among ``spans``, and wait for the answer, or for a failed attempt.

        Records that an attempt could not deliver, but a later one may, are kept and sent again in the background,
        before the records of later calls.

        Returns:
            ``SUCCESS`` if every record was delivered or there was none, else ``FAILURE``.

        Example:
            >>> from failpath_otel import FailpathSpanExporter
            >>> exporter = FailpathSpanExporter(project_key="fp_project_xxx")
            >>> exporter.export([])  # a batch processor passes spans that have ended
            <SpanExportResult.SUCCESS: 0>
            >>> exporter.shutdown()
        """
        return SpanExportResult.SUCCESS if self._ended.send(spans) else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait at most ``timeout_millis`` milliseconds until everything that was exported is delivered.

        Returns:
            Whether every record so far was delivered.

        Example:
            >>> from failpath_otel import FailpathSpanExporter
            >>> exporter = FailpathSpanExporter(project_key="fp_project_xxx")
            >>> exporter.force_flush(timeout_millis=2_000)
            True
            >>> exporter.shutdown()
        """
        return self._ended.pipeline.flush(exit_budget(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Send the kept records, for at most 5 s (2 s at the end of the interpreter), then accept no more spans.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from opentelemetry.sdk.trace.export import BatchSpanProcessor
            >>> from failpath_otel import FailpathSpanExporter
            >>> provider = TracerProvider()
            >>> provider.add_span_processor(BatchSpanProcessor(FailpathSpanExporter(project_key="fp_project_xxx")))
            >>> provider.shutdown()  # shuts the exporter down
        """
        self._ended.pipeline.shutdown(exit_budget(limits.FLUSH_TIMEOUT))

    def stats(self) -> Stats:
        """Return the counts of records: accepted, delivered, waiting, and lost by reason.

        Example:
            >>> from failpath_otel import FailpathSpanExporter
            >>> exporter = FailpathSpanExporter(project_key="fp_project_xxx")
            >>> exporter.stats().delivered
            0
            >>> exporter.shutdown()
        """
        return self._ended.pipeline.stats()
