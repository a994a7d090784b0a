"""Steps that are open: how each began, where its records go, and how it ends, once."""

from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span
from opentelemetry.trace import SpanContext

from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.records.content import RecordContent
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import encode
from failpath_otel.records.translation import (
    StepStart,
    judged_outcome,
    outcome_record,
    plain_attributes,
    running_record,
    stated_outcome,
    states_outcome,
)
from failpath_otel.report import exception_once
from failpath_otel.semconv import (
    EXCEPTION_EVENT,
    EXCEPTION_MESSAGE,
    EXCEPTION_TYPE,
    STATUS_ERROR,
    STATUS_SUCCESS,
    STEP_STATUS,
)
from failpath_otel.spans.dropped_spans import DroppedSpans, Reference, SpanKey

_DROPPED: Final = {
    EXCEPTION_TYPE: "failpath_otel.StepDropped",
    EXCEPTION_MESSAGE: "the step was dropped before it ended",
}
"""The error of a step whose block was never left."""

_NO_RESOURCE: Final = Resource({})
"""Where a span is given none, the SDK looks for one: on threads, by detectors that may ask a network."""


class OpenSteps:
    """The steps that have begun and not ended, of one reporter.

    What a signal handler raises may come anywhere in here. So a step stays among these until its outcome is told, and
    what was told is noted where it was, on the start of the step: told again, it is not told twice.

    Args:
        process: what the records say of the process.
        pipelines: the last one is that of the steps that begin now.
        dropped: takes note of spans and steps that the application has dropped.
        look: looks at these notes.
        disregard: leaves a span alone when it ends.
    """

    def __init__(
        self,
        process: ThisProcess,
        pipelines: list[Pipeline],
        dropped: DroppedSpans,
        look: Callable[[], None],
        disregard: Callable[[ReadableSpan], None],
    ) -> None:
        self._process: Final = process
        self._pipelines: Final = pipelines
        self._noted: Final = dropped.noted
        self._look: Final = look
        self._disregard: Final = disregard
        self.content = RecordContent()
        """What the records carry of steps that begin now."""
        self.steps: Final[dict[SpanKey, StepStart]] = {}
        self.ended_early: Final[set[SpanKey]] = set()
        """Of these steps, those whose span has ended all the same."""

    def begin(self, span: Span, start: StepStart, handoff: Any = None) -> None:  # noqa: ANN401 - a `StepHandoff`
        """Reports ``running``, and expects the outcome."""
        if self._noted:
            self._look()
        start.content = content = self.content
        data = b"" if start.manual else encode(running_record(start, self._process.info, content))
        # Not before: making the record may call the user's `redact`, and last longer than the pipeline does.
        start.pipeline = pipeline = self._pipelines[-1]
        context = span.get_span_context()
        key = context.trace_id, context.span_id, start.start_ns
        if Span in type(span).__mro__:  # as `DroppedSpans.watch` does, which would be a call more
            start.span_ref = watched = Reference(span, self._noted.append)
            watched.key = key
        if handoff is not None:
            # It has the span, and would keep it here for good if it is never ended.
            start.handoff_ref = opened = Reference(handoff, self._noted.append)
            opened.key = key
            handoff.start = start
        self.steps[key] = start
        if not start.manual:
            try:
                pipeline.put_start(data, start)
            except BaseException:
                if not start.running_number:
                    del self.steps[key]  # its end, if there is one, tells both
                raise
        if handoff is not None:
            handoff.last_record = (pipeline, start.running_number)

    def end(  # noqa: C901, PLR0912 - on the hot path, where a call costs
        self, span: ReadableSpan, start: StepStart
    ) -> bool:
        """Reports the outcome that ``span`` tells, once; returns whether it tells one."""
        if start.outcome_reported:
            return True
        process, content, pipeline = self._process.info, start.content, start.pipeline
        handoff = None if start.handoff_ref is None else start.handoff_ref()
        try:
            attributes = plain_attributes(span)
            status = stated_outcome(attributes)
            if status is None:
                if start.handoff_ref is not None and not start.manual and not states_outcome(span):
                    # Other code has ended the span, as Logfire does at exit with all that are open: the step goes
                    # on, and may yet say how it ends, unless it is gone.
                    if handoff is not None:
                        return False
                    span = _ended_by(start, span.end_time)
                    attributes = plain_attributes(span)
                    status = stated_outcome(attributes)
                else:
                    status = judged_outcome(start, span, attributes)
            attributes.pop(STEP_STATUS, None)
            if status is None:
                record = running_record(start, process, content)
            else:
                record = outcome_record(start, span, status, attributes, process, content, not start.manual, handoff)
            data = encode(record)
        except RecursionError:
            raise  # it is told later, where there is more room on the stack
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("reading a span that has ended")
            start.outcome_reported = True
            if start.running_number:
                pipeline.lose_outcome("invalid")
            else:
                pipeline.lose("invalid")
            return True
        number = 0
        if start.running_number:
            number = pipeline.put_outcome(data, record, start)
        else:
            start.outcome_reported = True
            if start.manual:
                number = pipeline.put(data)
            else:
                pipeline.refuse()  # as its start was; alone, it would take the place of a step that is whole
        if handoff is not None:
            handoff.last_record = (pipeline, number)
        return True

    def end_without_span(
        self, span: ReadableSpan, late: Mapping[str, Any], exception: Mapping[str, str] | None, end_ns: int
    ) -> None:
        """Reports the outcome of a step whose span does not: other code has ended it before, or has raised.

        Args:
            span: the span, as far as it got.
            late: attributes that it did not take any more, the outcome among them.
            exception: the attributes of the ``exception`` event of an error.
            end_ns: when the step ended.
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
            self.end(whole, start)
        start.span_ref = start.handoff_ref = None
        del self.steps[key]
        if key in self.ended_early:
            self.ended_early.discard(key)
        else:
            self._disregard(span)  # should its end be told yet

    def forget(self, key: SpanKey, start: StepStart) -> None:
        """Does what is left to do for a step that nothing can end any more."""
        if start.handoff_ref is None or start.manual:
            self.forgo(key)
            return
        try:
            if self.steps.pop(key, None) is not None:  # or another thread does this
                self.ended_early.discard(key)
                self._end_dropped(start)
        except BaseException:
            if not start.outcome_reported:
                self.steps[key] = start
            raise

    def _end_dropped(self, start: StepStart) -> None:
        self.end(_ended_by(start, None), start)
        span = None if start.span_ref is None else start.span_ref()
        if span is not None:
            self._disregard(span)  # it is still the current one somewhere

    def forgo(self, key: SpanKey) -> None:
        """Expects no outcome of a step any more."""
        start = self.steps.pop(key, None)
        self.ended_early.discard(key)
        if start is not None and start.running_number:
            start.pipeline.forgo_outcome()


def _ended_by(start: StepStart, end_ns: int | None) -> ReadableSpan:
    """The span of a step that was dropped, with the outcome that it was about to have, or an error."""
    late, exception, ended_ns = start.pending_outcome or (None, _DROPPED, end_ns or time_ns())
    status = STATUS_SUCCESS if exception is None else STATUS_ERROR
    return ReadableSpan(
        name=start.step_key,
        resource=_NO_RESOURCE,
        context=SpanContext(int(start.trace_id, 16), int(start.span_id, 16), is_remote=False),
        attributes={**start.attributes, **(late or {}), STEP_STATUS: status},
        events=() if exception is None else (Event(EXCEPTION_EVENT, exception, ended_ns),),
        start_time=start.start_ns,
        end_time=ended_ns,
    )
