"""Steps that have begun and not ended: their start, their pipeline, and their outcome, which is reported once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time_ns
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span
from opentelemetry.trace import SpanContext

from failpath_otel import semconv
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.records.content import RecordContent
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import encode
from failpath_otel.records.span_translation import (
    StepStart,
    attributes_as_dict,
    derive_outcome,
    outcome_record,
    running_record,
    stated_outcome,
    states_outcome,
)
from failpath_otel.report import exception_once
from failpath_otel.semconv import STATUS_ERROR, STATUS_SUCCESS, STEP_STATUS
from failpath_otel.spans.dropped_spans import DroppedSpans, SpanKey, SpanReference

_DROPPED: Final = {
    semconv.EXCEPTION_TYPE: "failpath_otel.StepDropped",
    semconv.EXCEPTION_MESSAGE: "the step was dropped before it ended",
}
"""The error of a step whose block was never left."""

_NO_RESOURCE: Final = Resource({})
"""Given explicitly, because the SDK would detect one otherwise: on threads, perhaps over a network."""


@dataclass(eq=False)
class OpenSteps:
    """The open steps of one reporter.

    A signal handler may raise anywhere in here. So a step stays open until its outcome is reported, and
    ``StepStart.outcome_reported`` is set where that happens: a second attempt does not report it twice (decision 0004).

    Args:
        process: the process that the records name.
        pipelines: the last one takes the records of steps that begin from now on.
        dropped: collects references to spans and steps that the application has dropped.
        handle_dropped: ends what ``dropped`` has collected.
        ignore: has the reporter ignore the end of a span.
    """

    process: ThisProcess
    pipelines: list[Pipeline]
    dropped: DroppedSpans
    handle_dropped: Callable[[], None]
    ignore: Callable[[ReadableSpan], None]

    def __post_init__(self) -> None:
        self._gone = self.dropped.gone
        self.content = RecordContent()
        """What the records of steps that begin from now on contain."""
        self.steps: dict[SpanKey, StepStart] = {}
        self.ended_early: set[SpanKey] = set()
        """The open steps whose span was ended by other code."""

    def begin(self, span: Span, start: StepStart, handoff: Any = None) -> None:  # noqa: ANN401 - a `StepHandoff`
        """Report ``running``, and keep the step open until its outcome is reported."""
        if self._gone:
            self.handle_dropped()
        start.content = content = self.content
        data = b"" if start.manual else encode(running_record(start, self.process.info, content))
        # Only now: the record may call the application's `redact`, while the pipeline is replaced.
        start.pipeline = pipeline = self.pipelines[-1]
        context = span.get_span_context()
        key = context.trace_id, context.span_id, start.start_ns
        if Span in type(span).__mro__:  # as in `DroppedSpans.watch`, without the call
            start.span_reference = span_reference = SpanReference(span, self._gone.append)
            span_reference.key = key
        if handoff is not None:
            # Weak, because the handoff refers to the span, which would be kept for good if it is never ended.
            start.handoff_reference = handoff_reference = SpanReference(handoff, self._gone.append)
            handoff_reference.key = key
            handoff.start = start
        self.steps[key] = start
        if not start.manual:
            try:
                pipeline.put_start(data, start)
            except BaseException:
                if not start.running_ticket:
                    del self.steps[key]  # the end of its span, if it comes, reports both records
                raise
        if handoff is not None:
            handoff.last_record = (pipeline, start.running_ticket)

    def end(  # noqa: C901, PLR0912 - on the hot path, where a call costs
        self, span: ReadableSpan, start: StepStart
    ) -> bool:
        """Report the outcome that ``span`` shows, once; return ``False`` where it shows none and the step goes on."""
        if start.outcome_reported:
            return True
        process, content, pipeline = self.process.info, start.content, start.pipeline
        handoff = None if start.handoff_reference is None else start.handoff_reference()
        try:
            attributes = attributes_as_dict(span)
            status = stated_outcome(attributes)
            if status is None:
                if start.handoff_reference is not None and not start.manual and not states_outcome(span):
                    # Other code has ended the span: the step goes on, unless it was dropped (decision 0007).
                    if handoff is not None:
                        return False
                    span = _ended_by(start, span.end_time)
                    attributes = attributes_as_dict(span)
                    status = stated_outcome(attributes)
                else:
                    status = derive_outcome(start, span, attributes)
            attributes.pop(STEP_STATUS, None)
            if status is None:
                record = running_record(start, process, content)
            else:
                record = outcome_record(start, span, status, attributes, process, content, not start.manual, handoff)
            data = encode(record)
        except RecursionError:
            raise  # a later attempt finds more room on the stack
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("reading a span that has ended")
            start.outcome_reported = True
            if start.running_ticket:
                pipeline.admission.lose_outcome("invalid")
            else:
                pipeline.ledger.lose("invalid")
            return True
        number = 0
        if start.running_ticket:
            number = pipeline.put_outcome(data, record, start)
        else:
            start.outcome_reported = True
            if start.manual:
                number = pipeline.put(data)
            else:
                pipeline.admission.refuse()  # as its start was: alone, it would take the place of a whole step
        if handoff is not None:
            handoff.last_record = (pipeline, number)
        return True

    def end_without_span(
        self, span: ReadableSpan, added_attributes: Mapping[str, Any], exception: Mapping[str, str] | None, end_ns: int
    ) -> None:
        """Report the outcome of a step whose span did not: other code had ended it, or a span processor raised.

        Args:
            span: the span, as far as it got.
            added_attributes: attributes that it did not take any more, the status among them.
            exception: the attributes of the ``exception`` event of an error.
            end_ns: when the step ended, in nanoseconds since the epoch.
        """
        context = span.get_span_context()
        assert context is not None  # of a span that has begun
        key = (context.trace_id, context.span_id, span.start_time or 0)
        start = self.steps.get(key)
        if start is None:
            return
        if not start.outcome_reported:
            events = list(span.events)
            if exception is not None:
                events.append(Event(semconv.EXCEPTION_EVENT, exception, end_ns))
            whole = ReadableSpan(
                name=span.name,
                context=context,
                resource=span.resource,
                attributes={**attributes_as_dict(span), **added_attributes},
                events=events,
                status=span.status,
                start_time=span.start_time,
                end_time=end_ns,
            )
            self.end(whole, start)
        start.span_reference = start.handoff_reference = None
        del self.steps[key]
        if key in self.ended_early:
            self.ended_early.discard(key)
        else:
            self.ignore(span)  # its end may still come

    def end_dropped(self, key: SpanKey, start: StepStart) -> None:
        """End a step that the application has dropped: nothing else can end it."""
        if start.handoff_reference is None or start.manual:
            self.forgo_outcome(key)
            return
        try:
            if self.steps.pop(key, None) is not None:  # else another thread does this
                self.ended_early.discard(key)
                self.end(_ended_by(start, None), start)
                span = None if start.span_reference is None else start.span_reference()
                if span is not None:
                    self.ignore(span)  # it is still current somewhere
        except BaseException:
            if not start.outcome_reported:
                self.steps[key] = start
            raise

    def forgo_outcome(self, key: SpanKey) -> None:
        """Close a step without an outcome, and give back the place that the pipeline reserves for it."""
        start = self.steps.pop(key, None)
        self.ended_early.discard(key)
        if start is not None and start.running_ticket:
            start.pipeline.admission.forgo_outcome()


def _ended_by(start: StepStart, end_ns: int | None) -> ReadableSpan:
    """Return a span with the outcome of a step that was dropped: the pending one, else an error."""
    added, exception, ended_ns = start.known_outcome or (None, _DROPPED, end_ns or time_ns())
    status = STATUS_SUCCESS if exception is None else STATUS_ERROR
    return ReadableSpan(
        name=start.step_key,
        resource=_NO_RESOURCE,
        context=SpanContext(int(start.trace_id, 16), int(start.span_id, 16), is_remote=False),
        attributes={**start.attributes, **(added or {}), STEP_STATUS: status},
        events=() if exception is None else (Event(semconv.EXCEPTION_EVENT, exception, ended_ns),),
        start_time=start.start_ns,
        end_time=ended_ns,
    )
