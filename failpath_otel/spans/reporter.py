"""The reporter: reports ``running`` when the span of a step starts, and the outcome when it ends."""

from time import monotonic
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import Span as AnySpan
from opentelemetry.trace import SpanContext

from failpath_otel import limits
from failpath_otel.delivery.pipelines import NewPipeline, Pipelines
from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.options.checks import seconds
from failpath_otel.options.content import content_of
from failpath_otel.options.declared_keys import key_watch_of
from failpath_otel.options.options import DEFAULT_ENDPOINT, Options
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import encode
from failpath_otel.records.span_translation import read_start, span_records
from failpath_otel.report import exception_once
from failpath_otel.runtime.forking import after_fork_in_child
from failpath_otel.semconv import START_MARKER, STEP_KEY
from failpath_otel.spans.dropped_spans import DroppedSpans, Reference, SpanReference, StepId, key_of
from failpath_otel.spans.open_steps import OpenSteps
from failpath_otel.spans.rule_spans import RuleMatchedSpans
from failpath_otel.step_state import STATE_KEY, SpanIds, StepState


class Reporter:
    """The implementation of the span processor: makes records of spans that are steps (decision 0001).

    Args:
        options: where the records go, and what they contain.
        new_pipeline: makes a pipeline for options.
    """

    def __init__(self, options: Options, new_pipeline: NewPipeline) -> None:
        self._process = ThisProcess()
        self._ignored: Final[dict[tuple[int, int], SpanReference | None]] = {}
        self.pipelines: Final = Pipelines(new_pipeline)
        """The pipelines of the records."""
        self._pipelines: Final = self.pipelines.all
        self._dropped = DroppedSpans()
        self._gone: Final = self._dropped.gone
        self._steps: Final = OpenSteps(
            self._process, self._pipelines, self._dropped, self._handle_dropped, self._ignore
        )
        self._open: Final = self._steps.steps
        self._begin: Final = self._steps.begin
        self.end_without_span: Final = self._steps.end_without_span
        self.end_lean: Final = self._steps.end_lean
        self._rule_spans = RuleMatchedSpans(
            self._steps.begin_foreign, self.on_end, self._steps.forgo_outcome, self.ignore, self._dropped
        )
        self._apply(options)
        after_fork_in_child(self._reset_in_child)

    def _apply(self, options: Options) -> None:
        self.options = options
        """The options of steps that begin from now on."""
        self._content = self._steps.content = content_of(options)
        self._disabled = not options.enabled
        self._steps.key_watch = key_watch_of(options)
        self.waits_for_delivery = options.delivery == "await"
        """Whether each step waits until its events are delivered."""
        self._rule_spans.rules = None if self._disabled else self._content.rules
        self._is_plain = not self._disabled and self._rule_spans.rules is None
        self._rule_spans.misses.is_watching = options.endpoint != DEFAULT_ENDPOINT  # local, where rules are tried
        self.pipelines.begin(options)
        _measure(self.pipelines, options)

    def reconfigure(self, options: Options) -> None:
        """Apply ``options`` to steps that begin from now on; open ones end in the pipeline in which they began."""
        if options.same_as(self.options) and not self._pipelines[-1].queue.closed:
            return
        self._handle_dropped()
        self._apply(options)

    def _reset_in_child(self) -> None:
        # The parent reports the ends of these steps; their spans end in this process as well.
        for key, state in self._open.copy().items():  # because a garbage collection may end a step meanwhile
            if isinstance(key, tuple):
                self._ignored[key[:2]] = state.reference
            elif state.reported_span is not None:
                self._ignore(state.reported_span)
        self._ignored.update(self._rule_spans.reset_in_child())
        self._steps.ended_early.clear()
        self._open.clear()

    def on_start(  # noqa: C901 - on the hot path, where a call costs
        self, span: Span, parent_context: Context | None = None
    ) -> None:
        """Report ``running`` if ``span`` is a step, unless it is the record of an event that is over."""
        running: Any = None
        try:
            state: Any = None if parent_context is None else parent_context.get(STATE_KEY)
            # Else it is a span of other code, perhaps of a processor of the host that got the same context.
            if state is not None and state.holder is not None and span.name == state.step_key:
                owner, reported = state.owner, state.reported_span
                if reported is None and (owner is self or owner is None):
                    running = state
                    state.reported_span, state.reporter = span, self
                    context = span.get_span_context()
                    if not self._is_plain:
                        self._begin_among_rules(span, state, context)
                    else:
                        self._begin(state, context, context.trace_id, context.span_id)
                    return
                if owner is not self and owner is not None and (reported is None or reported is span):
                    self.ignore(span)
                    return
            start = read_start(span)
            if start is None:
                if self._rule_spans.rules is not None:
                    self._rule_spans.on_start(span, parent_context)
                return
            if self._disabled or start.attributes.get(START_MARKER) is True:  # its step is reported by its own span
                self.ignore(span)
                return
            running = self._steps.begin_foreign(span, start)
            if self._rule_spans.rules is not None:
                self._rule_spans.on_tagged(span, start.flow_key, start.run_id)
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            exception_once("reporting the start of a step")
            if running is None or not running.running_ticket:
                self.lose()

    def _begin_among_rules(self, span: Span, state: StepState, context: SpanContext) -> None:
        """Begin a step where spans of other tracers may be steps as well, or where nothing is reported."""
        if self._disabled:
            self.ignore(span)
            return
        # A step by a rule may be nearer than that of the context.
        parent = self._rule_spans.parent_of(span, state.run.flow_key, state.run.run_id)
        if parent is not None:  # else there may be a span in between that no reporter has seen
            state.parent = bytes.fromhex(parent)
        self._begin(state, context, context.trace_id, context.span_id)
        self._rule_spans.on_tagged(span, state.run.flow_key, state.run.run_id)

    def on_end(self, span: ReadableSpan) -> None:  # noqa: C901 - as above
        """Report the outcome if ``span`` is a step."""
        state: StepState | None = None
        try:
            context = span.context
            if context is None:
                return
            step: StepId = id(context)
            if self._rule_spans.open and self._rule_spans.on_end(key_of(span), span):
                return
            # It stays open until its outcome is reported: a signal handler may raise before, and then the step reports
            # its end once more (decision 0004).
            state = self._open.get(step)
            if state is None and (context.trace_id, context.span_id) not in self._ignored:
                step, state = self._find(span, context)
            if state is not None:
                if self._steps.end(span, state):
                    # Cleared first: references whose span is collected are handled as dropped ones.
                    state.reference = None
                    self._open.pop(step, None)  # a signal handler may have forked meanwhile
                else:
                    self._steps.ended_early.add(step)
            elif (key := (context.trace_id, context.span_id)) in self._ignored:
                self._ignored.pop(key, None)
            elif not self._disabled:
                # Most often no step; otherwise one that began before this processor was added.
                records = span_records(span, self._process.info, self._content)
                if records:
                    self._pipelines[-1].put_together([encode(record) for record in records])
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            exception_once("reporting the end of a step")
            if state is None:
                self.lose()

    def _find(self, span: ReadableSpan, context: SpanContext) -> tuple[StepId, StepState | None]:
        """Return the open step of a span of another tracer, or of one that a processor of the host has copied."""
        key: StepId = (context.trace_id, context.span_id, span.start_time or 0)
        state = self._open.get(key)
        if state is None and STEP_KEY in (span.attributes or ()):
            ids = context.trace_id.to_bytes(16, "big") + context.span_id.to_bytes(8, "big")
            for each, of_ours in self._open.copy().items():
                if of_ours.reporter is not None and of_ours.start_ns == span.start_time and of_ours.ids[:24] == ids:
                    return each, of_ours
        return key, state

    @property
    def has_rules(self) -> bool:
        """Whether spans of other tracers may be steps, which have to see the spans around them."""
        return self._rule_spans.rules is not None

    def begin_lean(self, state: StepState, ids: SpanIds) -> None:
        """Report ``running`` of a step whose span is nothing but ``ids``."""
        if self._disabled:
            return
        state.reporter = self
        try:
            self._begin(state, ids, *ids)
        except Exception:  # noqa: BLE001 - what is raised here would surface in the application
            exception_once("reporting the start of a step")
            if not state.running_ticket:
                state.is_missed = True  # its end reports both records, or counts them as lost

    def lose(self, records: int = 1) -> None:
        """Count records that could not be made."""
        for _ in range(records):
            self._pipelines[-1].ledger.lose("invalid")

    def stop_ignoring(self, context: SpanContext) -> None:
        """Undo :meth:`ignore` for a span that has ended without a call of :meth:`on_end`."""
        self._ignored.pop((context.trace_id, context.span_id), None)

    def ignore(self, span: AnySpan | ReadableSpan) -> None:
        """Ignore the end of ``span``: another span is reported in its place."""
        if self._gone:
            self._handle_dropped()
        self._ignore(span)

    def _ignore(self, span: AnySpan | ReadableSpan) -> None:
        context = span.get_span_context()
        assert context is not None  # of a span that has begun
        key = context.trace_id, context.span_id, 0
        self._ignored[key[:2]] = self._dropped.watch(span, key)

    def _handle_dropped(self) -> None:
        """Forget spans that the application has dropped, and end the steps of this package that it has dropped.

        Such a step has lost its end: a signal handler raised as its block ended, the stack was full, or its block never
        ended. Spans of other tracers that are steps by a rule stay ``running``.
        """
        while (reference := self._dropped.first()) is not None:
            try:
                self._handle_gone(reference)
            except Exception as error:
                if not is_from_handler(error):
                    self._dropped.discard(reference)  # or it would block all others
                raise
            self._dropped.discard(reference)

    def _handle_gone(self, reference: Reference) -> None:
        key: StepId = 0
        if isinstance(reference, SpanReference):
            key = reference.key
        else:
            # Rare, so that it may take long; a key at each reference would cost every step.
            for step, opened in self._open.copy().items():
                if opened.reference is reference:
                    key = step
        state = self._open.get(key)
        if state is not None and state.reference is reference:
            self._steps.end_dropped(key, state)
        if isinstance(key, tuple):
            if self._ignored.get(key[:2]) is reference:
                self._ignored.pop(key[:2], None)  # another thread may end it
            self._rule_spans.on_end(key)

    def _report_overdue(self, *, wait: bool = True) -> None:
        """Report what is due before a wait for all records: steps that were dropped, and spans by rules."""
        self._handle_dropped()
        for key, state in self._open.copy().items():
            # A signal handler may have raised before the reference was handled.
            if state.reference is not None and state.reference() is None:
                self._steps.end_dropped(key, state)
        self._rule_spans.report_due(wait=wait)

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT, *, last: bool = False) -> bool:
        """Wait at most ``timeout`` seconds until every record so far is delivered.

        Does not include steps that wait for their run id, unless this is the ``last`` flush.

        Returns:
            Whether every record of this process, since it began or was forked, was delivered. A lost record makes this
            ``False`` for good; :meth:`Pipelines.stats` has the counts.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
        """
        deadline = monotonic() + seconds("timeout", timeout)
        self._report_overdue(wait=not last)
        return self.pipelines.flush(deadline)

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Do the same as :meth:`flush` in async code, without blocking the event loop or using a thread."""
        deadline = monotonic() + seconds("timeout", timeout)
        self._report_overdue()
        return await self.pipelines.aflush(deadline)

    def close(self, timeout: float) -> bool:
        """Flush for at most ``timeout`` seconds, then accept no more records; return the result of the flush."""
        deadline = monotonic() + seconds("timeout", timeout)
        self._report_overdue(wait=False)
        return self.pipelines.shutdown(deadline)


def _measure(pipelines: Pipelines, options: Options) -> None:
    """Report the figures of ``pipelines`` as metrics, where the options say so."""
    # Imported on use (decision 0005).
    from failpath_otel.delivery.figures.metrics import measure  # noqa: PLC0415

    measure(pipelines, "failpath_otel.FailpathSpanProcessor", options.enabled and options.metrics)
