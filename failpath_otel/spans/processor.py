"""The span processor, for applications that wire a tracer provider by hand."""

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from typing_extensions import Unpack

from failpath_otel import limits
from failpath_otel.delivery.at_exit import exit_budget
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.options.arguments import DeliveryOptions
from failpath_otel.public import public


@public
class FailpathSpanProcessor(SpanProcessor):
    """Sends every span that is a step to Failpath, as it starts and as it ends; ignores other spans.

    For applications that set up a tracer provider by hand; :func:`failpath_otel.configure` adds one automatically. A
    separate thread delivers the records; no method blocks or raises into the application.

    Args:
        options: the options of :func:`failpath_otel.configure`, except ``delivery``, ``throw_on_send_error`` and
            ``tracer_provider``.

    Raises:
        ConfigurationError: the project key is missing, or an option is invalid.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from failpath_otel import Failpath, FailpathSpanProcessor
        >>> provider = TracerProvider()
        >>> provider.add_span_processor(FailpathSpanProcessor(project_key="fp_project_xxx"))
        >>> Failpath(tracer_provider=provider).run("checkout", run_id="order-17").step("charge-card", lambda: "ch_1")
        'ch_1'
        >>> provider.force_flush()
        True
        >>> provider.shutdown()
    """

    def __init__(self, **options: Unpack[DeliveryOptions]) -> None:
        # Imported on use (decision 0005).
        from failpath_otel.delivery.pipeline import pipeline_to_failpath  # noqa: PLC0415
        from failpath_otel.options.options import Options  # noqa: PLC0415
        from failpath_otel.spans.reporter import Reporter  # noqa: PLC0415

        self._reporter = Reporter(Options.resolve_delivery(**options), pipeline_to_failpath)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Report ``running`` if ``span`` is a step, unless it is the record of an event that is over.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import FailpathSpanProcessor
            >>> provider = TracerProvider()
            >>> provider.add_span_processor(FailpathSpanProcessor(project_key="fp_project_xxx"))
            >>> step = {"failpath.flow.key": "checkout", "failpath.run.id": "order-17", "failpath.step.key": "pack"}
            >>> span = provider.get_tracer("shop").start_span("pack", attributes=step)  # `running` is reported
            >>> span.end()
            >>> provider.shutdown()
        """
        self._reporter.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Report the outcome if ``span`` is a step.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import FailpathSpanProcessor
            >>> provider = TracerProvider()
            >>> provider.add_span_processor(FailpathSpanProcessor(project_key="fp_project_xxx"))
            >>> step = {"failpath.flow.key": "checkout", "failpath.run.id": "order-17", "failpath.step.key": "pack"}
            >>> with provider.get_tracer("shop").start_as_current_span("pack", attributes=step):
            ...     pass  # `success` is reported at the end of the block
            >>> provider.shutdown()
        """
        self._reporter.on_end(span)

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Wait at most ``timeout`` seconds (default: 5) until every record so far is delivered.

        Returns:
            Whether every record of this process, since it began or was forked, was delivered. A lost record makes this
            ``False`` for good; :meth:`stats` has the counts.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import Failpath, FailpathSpanProcessor
            >>> processor, provider = FailpathSpanProcessor(project_key="fp_project_xxx"), TracerProvider()
            >>> provider.add_span_processor(processor)
            >>> Failpath(tracer_provider=provider).run("checkout", run_id="order-17").skip("send-receipt-email")
            >>> processor.flush(timeout=2.0)
            True
            >>> provider.shutdown()
        """
        return self._reporter.flush(timeout)

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Do the same as :meth:`flush` in async code, without blocking the event loop or using a thread.

        Example:
            >>> import asyncio
            >>> from failpath_otel import FailpathSpanProcessor
            >>> processor = FailpathSpanProcessor(project_key="fp_project_xxx")
            >>> asyncio.run(processor.aflush(timeout=2.0))
            True
            >>> processor.shutdown()
        """
        return await self._reporter.aflush(timeout)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do the same as :meth:`flush` within ``timeout_millis`` milliseconds; called by the tracer provider.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import FailpathSpanProcessor
            >>> provider = TracerProvider()
            >>> provider.add_span_processor(FailpathSpanProcessor(project_key="fp_project_xxx"))
            >>> provider.force_flush(timeout_millis=2_000)
            True
            >>> provider.shutdown()
        """
        return self._reporter.flush(exit_budget(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Flush for at most 5 s (2 s at the end of the interpreter), then accept no more records.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import FailpathSpanProcessor
            >>> provider = TracerProvider()
            >>> provider.add_span_processor(FailpathSpanProcessor(project_key="fp_project_xxx"))
            >>> provider.shutdown()  # shuts the processor down
        """
        self._reporter.close(exit_budget(limits.FLUSH_TIMEOUT))

    def stats(self) -> Stats:
        """Return the counts of records: accepted, delivered, waiting, and lost by reason.

        Example:
            >>> from failpath_otel import FailpathSpanProcessor
            >>> processor = FailpathSpanProcessor(project_key="fp_project_xxx")
            >>> processor.stats().delivered
            0
            >>> processor.shutdown()
        """
        return self._reporter.pipelines.stats()
