"""Reports steps: ``running`` the moment a step's span starts, and the outcome when it ends."""

from time import monotonic
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import Span as AnySpan
from opentelemetry.trace import SpanContext

from failpath_otel import limits
from failpath_otel.delivery.pipelines import NewPipeline, Pipelines
from failpath_otel.delivery.stats import Stats
from failpath_otel.errors import DeliveryError
from failpath_otel.handoff import HANDOFF_KEY
from failpath_otel.options.checks import seconds
from failpath_otel.options.content import content_of
from failpath_otel.options.options import DEFAULT_ENDPOINT, Options
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import encode
from failpath_otel.records.translation import (
    StepStart,
    read_start,
    span_records,
    trusted_start,
)
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.runtime.signals import is_from_handler
from failpath_otel.semconv import (
    START_MARKER,
    STEP_KEY,
)
from failpath_otel.spans.dropped_spans import DroppedSpans, Reference
from failpath_otel.spans.open_steps import OpenSteps
from failpath_otel.spans.rule_spans import RuleMatchedSpans


class Reporter:
    """What happens behind a span processor: spans that are steps become records in a pipeline; other spans pass by.

    Args:
        options: where to, and what.
        new_pipeline: makes the pipeline for options.
    """

    def __init__(self, options: Options, new_pipeline: NewPipeline) -> None:
        self._process = ThisProcess()
        self._disregarded: Final[dict[tuple[int, int], Reference | None]] = {}
        self._delivery: Final = Pipelines(new_pipeline)
        self.release: Final = self._delivery.release
        self.resume: Final = self._delivery.resume
        self._pipelines: Final = self._delivery.all
        self._dropped = DroppedSpans()
        self._noted: Final = self._dropped.noted
        self._steps: Final = OpenSteps(
            self._process, self._pipelines, self._dropped, self._forget_dropped, self._leave_alone
        )
        self._open: Final = self._steps.steps
        self._begin: Final = self._steps.begin
        self.end_without_span: Final = self._steps.end_without_span
        self._ruled = RuleMatchedSpans(self._begin, self._steps.forgo, self.disregard, self._dropped)
        self._use(options)
        after_fork_in_child(self._in_child)

    def _use(self, options: Options) -> None:
        self.options = options
        """What holds for steps that begin now."""
        self._content = self._steps.content = content_of(options)
        self._off = not options.enabled
        self._ruled.rules = None if self._off else self._content.rules
        self._ruled.tells_misses = options.endpoint != DEFAULT_ENDPOINT  # as a receiver of the user's own has
        self._delivery.begin(options)

    def reconfigure(self, options: Options) -> None:
        """From now on, steps that begin go where ``options`` say; open ones end where they began."""
        if options.same_as(self.options) and not self._pipelines[-1].closed:
            return
        self._forget_dropped()
        self._use(options)

    def _in_child(self) -> None:
        # Only the process that opened a step ends it; here its span will end a second time.
        opened = tuple(self._open.items())  # a garbage collection in between may end a step
        self._disregarded.update((key[:2], start.span_ref) for key, start in opened)
        self._disregarded.update(self._ruled.in_child())
        self._steps.ended_early.clear()
        self._open.clear()

    def on_start(  # noqa: C901 - on the hot path, where a call costs
        self, span: Span, parent_context: Context | None = None
    ) -> None:
        """Reports ``running`` if ``span`` is a step, unless it is the record of an event that is over."""
        start: StepStart | None = None
        opener: Any = None
        try:
            handoff: Any = None if parent_context is None else parent_context.get(HANDOFF_KEY)
            if handoff is not None and span.name == handoff.attributes.get(STEP_KEY):
                if handoff.owner not in (None, self) and (
                    handoff.reported_span is None or handoff.reported_span is span
                ):
                    self.disregard(span)
                    return
                if handoff.reported_span is None:
                    start, opener = trusted_start(span, handoff.attributes), handoff
            # Else it is a span of other code, perhaps one that a host's processor has opened in the same context.
            start = start or read_start(span)
            if start is None:
                if self._ruled.rules is not None:
                    self._ruled.on_start(span, parent_context)
                return
            if handoff is not None and handoff.reported_span is None:
                handoff.reported_span = span
                handoff.reporter = self
            if self._off or start.attributes.get(START_MARKER) is True:  # its step was reported just now
                self.disregard(span)
                return
            self._begin(span, start, opener)
            if self._ruled.rules is not None:
                self._ruled.on_named(span, start.flow_key, start.run_id)
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            exception_once("reporting the start of a step")
            if start is None or not start.running_number:
                self.lose()

    def on_end(self, span: ReadableSpan) -> None:
        """Reports the outcome if ``span`` is a step."""
        start: StepStart | None = None
        try:
            context = span.context
            if context is None:
                return
            key = (context.trace_id, context.span_id, span.start_time or 0)
            if self._ruled.open:
                self._ruled.on_end(key)
            # It stays there until its outcome is told: what a signal handler raises may come before that, and the step
            # itself says it once more.
            start = self._open.get(key)
            if start is not None:
                if self._steps.end(span, start):
                    start.span_ref = start.handoff_ref = None  # before these are gone, which would be noted
                    del self._open[key]
                else:
                    self._steps.ended_early.add(key)
            elif key[:2] in self._disregarded:
                self._disregarded.pop(key[:2], None)
            elif not self._off:
                # Most often no step at all; else one that began before this processor was there.
                records = span_records(span, self._process.info, self._content)
                if records:
                    self._pipelines[-1].put_together([encode(record) for record in records])
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            exception_once("reporting the end of a step")
            if start is None:
                self.lose()

    def lose(self, records: int = 1) -> None:
        """Counts records that could not be made."""
        for _ in range(records):
            self._pipelines[-1].lose("invalid")

    def forget(self, context: SpanContext) -> None:
        """Takes :meth:`disregard` back, where the span has ended and this reporter was not told."""
        self._disregarded.pop((context.trace_id, context.span_id), None)

    def disregard(self, span: AnySpan | ReadableSpan) -> None:
        """Leaves ``span`` alone when it ends: another one is recorded in its place."""
        if self._noted:
            self._forget_dropped()
        self._leave_alone(span)

    def _leave_alone(self, span: AnySpan | ReadableSpan) -> None:
        context = span.get_span_context()
        assert context is not None  # of a span that has begun
        key = context.trace_id, context.span_id, 0
        self._disregarded[key[:2]] = self._dropped.watch(span, key)

    def _forget_dropped(self) -> None:
        """Keeps nothing of spans that the application has dropped, and ends the steps of ours that it has dropped.

        Such a step has lost its end: what a signal handler raised came as its block was left, no room was left on the
        stack, or its block was never left. Steps of the application's own spans stay ``running``.
        """
        while (reference := self._dropped.next()) is not None:
            try:
                self._forget(reference)
            except Exception as error:
                if not is_from_handler(error):
                    self._dropped.done(reference)  # or it would be in the way of all others
                raise
            self._dropped.done(reference)

    def _forget(self, reference: Reference) -> None:
        key = reference.key
        start = self._open.get(key)
        if start is not None and (start.span_ref is reference or start.handoff_ref is reference):
            self._steps.forget(key, start)
        if self._disregarded.get(key[:2]) is reference:
            self._disregarded.pop(key[:2], None)  # another thread may end it
        self._ruled.on_end(key)

    def _look(self, *, wait: bool = True) -> None:
        """What is due before something waits for all records."""
        self._forget_dropped()
        for key, start in tuple(self._open.items()):
            # What a signal handler has raised may have cost it its turn.
            if any(reference is not None and reference() is None for reference in (start.handoff_ref, start.span_ref)):
                self._steps.forget(key, start)
        self._ruled.look(wait=wait)

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT, *, last: bool = False) -> bool:
        """Waits at most ``timeout`` seconds until every record so far was delivered.

        What waits for its run id is not among these, unless this is the ``last`` time.

        Returns:
            Whether every record of this process so far, since it began or was forked, was really delivered. A record
            that is lost makes this ``False`` for good; :meth:`stats` tells how many and why.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
        """
        deadline = monotonic() + seconds("timeout", timeout)
        self._look(wait=not last)
        return self._delivery.flush(deadline)

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """:meth:`flush` for async code: waits without blocking the event loop and without another thread."""
        deadline = monotonic() + seconds("timeout", timeout)
        self._look()
        return await self._delivery.aflush(deadline)

    def take_error(self) -> DeliveryError | None:
        """The first loss since this was last asked; where there is none, the failure that is being retried."""
        return self._delivery.take_error()

    def close(self, timeout: float) -> bool:
        """Flushes for at most ``timeout`` seconds, then takes no more records; returns what the flush said."""
        deadline = monotonic() + seconds("timeout", timeout)
        self._look(wait=False)
        return self._delivery.shutdown(deadline)

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return self._delivery.stats()
