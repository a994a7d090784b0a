"""Reports steps: ``running`` the moment a step's span starts, and the outcome when it ends."""

import weakref
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span
from opentelemetry.trace import Span as AnySpan
from opentelemetry.trace import SpanContext

from failpath_otel import limits
from failpath_otel.errors import DeliveryError
from failpath_otel.export.checks import seconds
from failpath_otel.export.dropped import DroppedSpans, SpanKey, SpanReference
from failpath_otel.export.options import DEFAULT_ENDPOINT, Options
from failpath_otel.export.pipeline import Pipeline
from failpath_otel.export.pipelines import NewPipeline, Pipelines
from failpath_otel.export.policy import Policy
from failpath_otel.export.process import ThisProcess
from failpath_otel.export.record import encode
from failpath_otel.export.ruled import RuledSpans
from failpath_otel.export.stats import Stats
from failpath_otel.export.translation import (
    StepStart,
    judged_outcome,
    outcome_record,
    plain_attributes,
    read_start,
    running_record,
    span_records,
    stated_outcome,
    states_outcome,
    trusted_start,
)
from failpath_otel.forking import after_fork_in_child
from failpath_otel.report import report_fault
from failpath_otel.semconv import EXCEPTION_EVENT, START_MARKER, STEP_KEY, STEP_START, STEP_STATUS

OpenSteps = dict[SpanKey, tuple[StepStart, Pipeline, bool, Policy]]
"""How each step began, where its start went, whether that was accepted, and what its records carry."""


class Reporter:
    """What happens behind a span processor: spans that are steps become records in a pipeline; other spans pass by.

    Args:
        options: where to, and what.
        new_pipeline: makes the pipeline for options.
    """

    def __init__(self, options: Options, new_pipeline: NewPipeline) -> None:
        self._process = ThisProcess()
        self._open: Final[OpenSteps] = {}
        self._disregarded: Final[dict[tuple[int, int], SpanReference | None]] = {}
        self._ended_early: Final[set[SpanKey]] = set()  # of the open ones, those whose span has ended all the same
        self._delivery: Final = Pipelines(new_pipeline)
        self.release: Final = self._delivery.release
        self.resume: Final = self._delivery.resume
        self._pipelines: Final = self._delivery.all
        self._dropped = DroppedSpans()
        self._noted: Final = self._dropped.noted
        self._ruled = RuledSpans(self._begin, self._forgo, self.disregard, self._dropped)
        self._use(options)
        after_fork_in_child(self._in_child)

    def _use(self, options: Options) -> None:
        self.options = options
        """What holds for steps that begin now."""
        self._policy = Policy.of(options)
        self._off = not options.enabled
        self._ruled.rules = None if self._off else self._policy.rules
        self._ruled.tells_misses = options.endpoint != DEFAULT_ENDPOINT  # as somebody's own receiver has
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
        self._disregarded.update((key[:2], start.watched) for key, (start, *_) in opened)
        self._disregarded.update(self._ruled.in_child())
        self._ended_early.clear()
        self._open.clear()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Reports ``running`` if ``span`` is a step, unless it is the record of an event that is over."""
        try:
            marker: Any = None if parent_context is None else parent_context.get(STEP_START)
            start: StepStart | None = None
            if marker is not None and span.name == marker.attributes.get(STEP_KEY):
                if marker.owner not in (None, self) and (marker.seen is None or marker.seen is span):
                    self.disregard(span)
                    return
                if marker.seen is None:
                    start = trusted_start(span, marker.attributes)
                    # It has the span, and would keep it here for good if nobody ends it.
                    start.marker = weakref.ref(marker)
            # Else it is somebody else's span, perhaps one that a host's processor has opened in the same context.
            start = start or read_start(span)
            if start is None:
                if self._ruled.rules is not None:
                    self._ruled.on_start(span, parent_context)
                return
            if marker is not None and marker.seen is None:
                marker.seen = span
                marker.reporter = self
            if self._off or start.attributes.get(START_MARKER) is True:  # its step was reported just now
                self.disregard(span)
                return
            self._begin(span, start)
            if self._ruled.rules is not None:
                self._ruled.on_named(span, start.flow_key, start.run_id)
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            report_fault("reporting the start of a step")
            self.lose()

    def _begin(self, span: Span, start: StepStart) -> None:
        if self._noted:
            self._forget_dropped()
        policy, number = self._policy, 0
        data = b"" if start.manual else encode(running_record(start, self._process.info, policy))
        # Not before: making the record may call the user's `redact`, and last longer than the pipeline does.
        pipeline = self._pipelines[-1]
        if not start.manual:
            number = pipeline.put_start(data)
        marker = None if start.marker is None else start.marker()
        if marker is not None:
            marker.ticket = (pipeline, number)
        context = span.get_span_context()
        key = context.trace_id, context.span_id, start.start_ns
        if Span in type(span).__mro__:  # as `DroppedSpans.watch` does, which would be a call more
            start.watched = watched = SpanReference(span, self._noted.append)
            watched.key = key
        self._open[key] = (start, pipeline, number > 0, policy)

    def on_end(self, span: ReadableSpan) -> None:
        """Reports the outcome if ``span`` is a step."""
        try:
            context = span.context
            if context is None:
                return
            key = (context.trace_id, context.span_id, span.start_time or 0)
            if self._ruled.open:
                self._ruled.on_end(key)
            opened = self._open.pop(key, None)
            if opened is not None:
                told = False
                try:
                    told = self._end(span, *opened)
                finally:  # also after Ctrl-C in our midst: the step itself may say it once more
                    if not told:
                        self._open[key] = opened
                        self._ended_early.add(key)
            elif key[:2] in self._disregarded:
                self._disregarded.pop(key[:2], None)
            elif not self._off:
                # Most often no step at all; else one that began before this processor was there.
                records = span_records(span, self._process.info, self._policy)
                if records:
                    self._pipelines[-1].put_together([encode(record) for record in records])
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            report_fault("reporting the end of a step")
            self.lose()

    def _end(
        self,
        span: ReadableSpan,
        start: StepStart,
        pipeline: Pipeline,
        accepted: bool,  # noqa: FBT001 - as it stands in the table
        policy: Policy,
    ) -> bool:
        """Reports the outcome that ``span`` tells; returns whether it tells one."""
        process = self._process.info
        marker = None if start.marker is None else start.marker()
        try:
            attributes = plain_attributes(span)
            status = stated_outcome(attributes)
            if status is None:
                if start.marker is not None and not start.manual and not states_outcome(span):
                    # Somebody else has ended the span, as Logfire does at exit with all that are open: the step goes
                    # on, and may yet say how it ends, unless it is gone.
                    if marker is None and accepted:
                        pipeline.forgo_outcome()
                    return marker is None
                status = judged_outcome(start, span, attributes)
            attributes.pop(STEP_STATUS, None)
            if status is None:
                record = running_record(start, process, policy)
            else:
                record = outcome_record(start, span, status, attributes, process, policy, not start.manual, marker)
            data = encode(record)
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            report_fault("reading a span that has ended")
            if accepted:
                pipeline.lose_outcome("invalid")
            else:
                pipeline.lose("invalid")
            return True
        number = 0
        if accepted:
            number = pipeline.put_outcome(data, record)
        elif start.manual:
            number = pipeline.put(data)
        else:
            pipeline.refuse()  # as its start was; alone, it would take the place of a step that is whole
        if marker is not None:
            marker.ticket = (pipeline, number)
        return True

    def end_of_ended(
        self, span: ReadableSpan, late: Mapping[str, Any], exception: Mapping[str, str] | None, end_ns: int
    ) -> None:
        """Reports the outcome of a step whose span does not: somebody else has ended it before, or has raised.

        Args:
            span: the span, as far as it got.
            late: attributes that it did not take any more, the outcome among them.
            exception: the attributes of the ``exception`` event of an error.
            end_ns: when the step ended.
        """
        context = span.get_span_context()
        assert context is not None  # of a span that has begun
        key = (context.trace_id, context.span_id, span.start_time or 0)
        opened = self._open.pop(key, None)
        if opened is None:
            return
        if key in self._ended_early:
            self._ended_early.discard(key)
        else:
            self.disregard(span)  # should its end be told yet
        events = list(span.events)
        if exception is not None:
            events.append(Event(EXCEPTION_EVENT, exception, end_ns))
        whole = ReadableSpan(
            name=span.name,
            context=context,
            resource=span.resource,
            attributes={**plain_attributes(span), **late},
            events=events,
            status=span.status,
            start_time=span.start_time,
            end_time=end_ns,
        )
        self._end(whole, *opened)

    def lose(self, records: int = 1) -> None:
        """Counts records that could not be made."""
        for _ in range(records):
            self._pipelines[-1].lose("invalid")

    def forget(self, context: SpanContext) -> None:
        """Takes :meth:`disregard` back, where the span has ended and nobody has told this reporter."""
        self._disregarded.pop((context.trace_id, context.span_id), None)

    def disregard(self, span: AnySpan | ReadableSpan) -> None:
        """Leaves ``span`` alone when it ends: another one is recorded in its place."""
        if self._noted:
            self._forget_dropped()
        context = span.get_span_context()
        assert context is not None  # of a span that has begun
        key = context.trace_id, context.span_id, 0
        self._disregarded[key[:2]] = self._dropped.watch(span, key)

    def _forget_dropped(self) -> None:
        """Keeps nothing of spans that the application has dropped: their steps stay ``running``."""
        for reference in self._dropped.take():
            key = reference.key
            opened = self._open.get(key)
            if opened is not None and opened[0].watched is reference:
                self._forgo(key)
            if self._disregarded.get(key[:2]) is reference:
                self._disregarded.pop(key[:2], None)  # another thread may end it
            self._ruled.on_end(key)

    def _forgo(self, key: SpanKey) -> None:
        """Expects no outcome of a step any more."""
        _, pipeline, accepted, _ = self._open.pop(key, (None, None, False, None))
        self._ended_early.discard(key)
        if pipeline is not None and accepted:
            pipeline.forgo_outcome()

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
        self._forget_dropped()
        self._ruled.look(wait=not last)
        return self._delivery.flush(deadline)

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """:meth:`flush` for async code: waits without blocking the event loop and without another thread."""
        deadline = monotonic() + seconds("timeout", timeout)
        self._forget_dropped()
        self._ruled.look()
        return await self._delivery.aflush(deadline)

    def take_error(self) -> DeliveryError | None:
        """The first loss since this was last asked; where there is none, the failure that is being retried."""
        return self._delivery.take_error()

    def close(self, timeout: float) -> bool:
        """Flushes for at most ``timeout`` seconds, then takes no more records; returns what the flush said."""
        deadline = monotonic() + seconds("timeout", timeout)
        self._forget_dropped()
        self._ruled.look(wait=False)
        return self._delivery.shutdown(deadline)

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return self._delivery.stats()
