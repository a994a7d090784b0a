"""The span processor, for those who wire a tracer provider by hand."""

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from typing_extensions import Unpack

from failpath_otel import limits
from failpath_otel.delivery.at_exit import exit_budget
from failpath_otel.delivery.stats import Stats
from failpath_otel.options.arguments import DeliveryOptions
from failpath_otel.public import public


@public
class FailpathSpanProcessor(SpanProcessor):
    """Sends every span that is a step to Failpath, live; other spans pass by.

    For those who wire a tracer provider by hand; :func:`failpath_otel.configure` adds one by itself. HttpClient has a
    thread of its own; nothing here blocks or raises into the application.

    Args:
        options: those of :func:`failpath_otel.configure`, but for ``delivery``, ``throw_on_send_error`` and
            ``tracer_provider``.

    Raises:
        ConfigurationError: the project key is missing, or an option cannot work.
    """

    def __init__(self, **options: Unpack[DeliveryOptions]) -> None:
        # Here, because it takes half as long to import as all of OpenTelemetry, and only who delivers needs it.
        from failpath_otel.delivery.pipeline import pipeline_to_failpath  # noqa: PLC0415
        from failpath_otel.options.options import Options  # noqa: PLC0415
        from failpath_otel.spans.reporter import Reporter  # noqa: PLC0415

        self._reporter = Reporter(Options.resolve_delivery(**options), pipeline_to_failpath)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Reports ``running`` if ``span`` is a step, unless it is the record of an event that is over."""
        self._reporter.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Reports the outcome if ``span`` is a step."""
        self._reporter.on_end(span)

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Waits at most ``timeout`` seconds until every record so far was delivered.

        Returns:
            Whether every record of this process so far, since it began or was forked, was really delivered. A record
            that is lost makes this ``False`` for good; :meth:`stats` tells how many and why.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
        """
        return self._reporter.flush(timeout)

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """:meth:`flush` for async code: waits without blocking the event loop and without another thread."""
        return await self._reporter.aflush(timeout)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """OpenTelemetry's name for :meth:`flush`, in milliseconds."""
        return self._reporter.flush(exit_budget(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Flushes for at most 5 s (2 s at the end of the interpreter), then takes no more records."""
        self._reporter.close(exit_budget(limits.FLUSH_TIMEOUT))

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return self._reporter.stats()
