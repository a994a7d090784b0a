"""Steps that have begun and not ended: their start, their pipeline, and their outcome, which is reported once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import error as StructError  # noqa: N812 - the name of an exception
from time import time_ns
from typing import TYPE_CHECKING, Any, Final
from weakref import ref as weak_reference

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span
from opentelemetry.trace import SpanContext

from failpath_otel import semconv
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.records.compact import MAX_COMPACT_BYTES, run_names, running_of, step_name, success_of
from failpath_otel.records.content import RecordContent
from failpath_otel.records.matching.values import attributes_as_dict
from failpath_otel.records.process import ThisProcess
from failpath_otel.records.record import encode, encode_json
from failpath_otel.records.span_translation import (
    StepStart,
    derive_outcome,
    outcome_record,
    running_record,
    span_records,
    start_of,
    stated_outcome,
    states_outcome,
)
from failpath_otel.report import exception_once
from failpath_otel.semconv import STATUS_ERROR, STATUS_SUCCESS, STEP_STATUS
from failpath_otel.spans.dropped_spans import DroppedSpans, Reference, StepId
from failpath_otel.step_state import RunIdentity, StepState

if TYPE_CHECKING:
    from failpath_otel.flows.key_watch import KeyWatch

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
    ``StepState.outcome_reported`` is set where that happens: a second attempt does not report it twice (decision 0004).

    The ``running`` record is in the queue before the function is entered (decision 0011). In the plain case a step of
    this package succeeds, and its span shows at the end what it showed at the start: then both records are compact, and
    made of the same bytes (decision 0036). The records of all other steps are made one by one.

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
        self.key_watch: KeyWatch | None = None
        """Warns of keys that are not declared, where a file declares them."""
        self.steps: dict[StepId, StepState] = {}
        self.ended_early: set[StepId] = set()
        """The open steps whose span was ended by other code."""

    def begin_foreign(self, span: Span, start: StepStart) -> StepState:
        """Report ``running`` of the span of another tracer, and keep the step open until its outcome is reported."""
        context = span.get_span_context()
        state = StepState(RunIdentity(start.flow_key, start.run_id), start.step_key, None, start.attributes)
        state.start, state.start_ns, state.is_manual = start, start.start_ns, start.manual
        watch = self.key_watch
        if watch is not None and (start.flow_key, start.step_key) not in watch.known:
            watch.warn(start.flow_key, start.step_key)
        state.ids = context.trace_id.to_bytes(16, "big") + context.span_id.to_bytes(8, "big") + state.parent
        if self._gone:
            self.handle_dropped()
        key = context.trace_id, context.span_id, start.start_ns
        if (begun := self.steps.get(key)) is not None:
            return begun  # a signal handler has raised before the caller knew
        self._report_start(state, key, self.dropped.watch(span, key))
        return state

    def begin(self, state: StepState, context: object, trace_id: int, span_id: int) -> None:
        """Do the same for a step of this package.

        Args:
            state: the step.
            context: the context of its span, or the ids of a lean one: the object itself identifies the step.
            trace_id: in there.
            span_id: in there.
        """
        if self._gone:
            self.handle_dropped()
        watch = self.key_watch
        if watch is not None and (state.run.flow_key, state.step_key) not in watch.known:
            watch.warn(state.run.flow_key, state.step_key)
        ids = state.ids = trace_id.to_bytes(16, "big") + span_id.to_bytes(8, "big") + state.parent
        # The SDK passes the same object on at the end; as long as it is kept here, no other has its `id`.
        state.span_context = context
        reference, key = weak_reference(state.holder, self._gone.append), id(context)
        content, definition = self.content, state.definition
        if not content.is_identity or state.is_manual or definition is None:
            self._report_start(state, key, reference)
            return
        try:
            run = state.run
            running = running_of(
                self.process.json if content.process else b"",
                run.names or _name_run(run),
                step_name(state.step_key),
                encode_json(definition.metadata),
                ids,
                state.start_ns,
            )
        except StructError:  # a clock before 1970, or after 2554
            running = b""
        except Exception:  # noqa: BLE001 - for example of memory; a smaller record may be possible
            exception_once("encoding a record")
            running = b""
        if not 0 < len(running) <= MAX_COMPACT_BYTES:
            self._report_start(state, key, reference)
            return
        state.running, state.content, state.reference = running, content, reference
        state.pipeline = pipeline = self.pipelines[-1]
        self.steps[key] = state
        try:
            state.last_ticket = pipeline.put_start(running, state)
        except BaseException:
            if not state.running_ticket:
                del self.steps[key]  # the end of its span, if it comes, reports both records
            raise

    def _report_start(self, state: StepState, key: StepId, reference: Reference | None) -> None:
        """Report ``running`` by a record of its own, unless the step is recorded by hand."""
        state.content = content = self.content
        start = state.start = state.start or start_of(state)
        data = b"" if state.is_manual else encode(running_record(start, self.process.info, content))
        # Only now: the record may call the application's `redact`, while the pipeline is replaced.
        state.pipeline = pipeline = self.pipelines[-1]
        state.reference = reference
        self.steps[key] = state
        if state.is_manual:
            return
        try:
            pipeline.put_start(data, state)
        except BaseException:
            if not state.running_ticket:
                del self.steps[key]  # as above
            raise
        state.last_ticket = state.running_ticket

    def end(self, span: ReadableSpan, state: StepState) -> bool:
        """Report the outcome that ``span`` shows, once; return ``False`` where it shows none and the step goes on."""
        if state.outcome_reported:
            return True
        try:
            running, known = state.running, state.known_outcome
            if running is not None and known is not None and known[0] is None and state.running_ticket:
                shown: Any = span.attributes
                copied = shown.copy() if hasattr(shown, "copy") else attributes_as_dict(span)
                is_plain = copied.pop(STEP_STATUS, None) == STATUS_SUCCESS and copied == state.attributes
                made = success_of(running, known[2]) if is_plain else self._outcome(span, state)
            else:
                made = self._outcome(span, state)
            if made is None:
                return False
        except RecursionError:
            raise  # a later attempt finds more room on the stack
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("reading a span that has ended")
            self._lose_outcome(state)
            return True
        # Not inside of the `try`: what was accepted is not lost, whatever happens after it.
        if state.running_ticket:
            state.last_ticket = state.pipeline.put_outcome(made, state)
        else:
            self._put_outcome(state, made)
        return True

    def end_lean(self, state: StepState) -> None:
        """Report the outcome of a step without a span, unless it was dropped, or began before a fork."""
        key = id(state.span_context)
        if self.steps.get(key) is not state:
            if state.is_missed and not state.outcome_reported:
                self._report_missed(state)
            return
        if not state.outcome_reported:
            added, exception, end_ns = state.known_outcome or (None, None, state.start_ns)
            if exception is None and added is None and state.running is not None:
                self._put_outcome(state, success_of(state.running, end_ns))
            else:
                self.end(_ended_by(state, None), state)
        state.reference = None
        self.steps.pop(key, None)

    def _report_missed(self, state: StepState) -> None:
        """Report both records of a step without a span, whose start could not be reported."""
        state.outcome_reported = True
        pipeline = self.pipelines[-1]
        try:
            records = span_records(_ended_by(state, None), self.process.info, self.content)
            pipeline.put_together([encode(record) for record in records])
        except Exception:  # noqa: BLE001 - for example of memory again
            for _ in range(2):
                pipeline.ledger.lose("invalid")
            exception_once("reporting a step at its end")

    def _put_outcome(self, state: StepState, data: bytes) -> None:
        pipeline = state.pipeline
        if state.running_ticket:
            state.last_ticket = pipeline.put_outcome(data, state)
            return
        state.outcome_reported = True
        state.last_ticket = 0
        if state.is_manual:
            state.last_ticket = pipeline.put(data)
        else:
            pipeline.admission.refuse()  # as its start was: alone, it would take the place of a whole step

    @staticmethod
    def _lose_outcome(state: StepState) -> None:
        state.outcome_reported = True
        if state.running_ticket:
            state.pipeline.admission.lose_outcome("invalid")
        else:
            state.pipeline.ledger.lose("invalid")

    def _outcome(self, span: ReadableSpan, state: StepState) -> bytes | None:
        """Return the outcome as a record of its own; ``None`` where the span shows none and the step goes on."""
        attributes = attributes_as_dict(span)
        status = stated_outcome(attributes)
        process, content = self.process.info, state.content
        start = state.start = state.start or start_of(state)
        is_ours = state.reporter is not None
        if status is None:
            if is_ours and not state.is_manual and not states_outcome(span):
                # Other code has ended the span: the step goes on, unless it was dropped (decision 0007).
                if state.reference is not None and state.reference() is not None:
                    return None
                span = _ended_by(state, span.end_time)
                attributes = attributes_as_dict(span)
                status = stated_outcome(attributes)
            else:
                status = derive_outcome(start, span, attributes)
        attributes.pop(STEP_STATUS, None)
        if status is None:
            return encode(running_record(start, process, content))
        began = not state.is_manual
        return encode(
            outcome_record(start, span, status, attributes, process, content, began, state if is_ours else None)
        )

    def end_without_span(self, state: StepState, added_attributes: Mapping[str, Any]) -> None:
        """Report the outcome of a step whose span did not: other code had ended it, or a span processor raised.

        Args:
            state: the step, whose outcome is known.
            added_attributes: attributes that the span did not take any more, the status among them.
        """
        span: ReadableSpan = state.reported_span
        key = id(state.span_context)
        if self.steps.get(key) is not state:
            return
        if not state.outcome_reported:
            _, exception, end_ns = state.known_outcome or (None, None, state.start_ns)
            events = list(span.events)
            if exception is not None:
                events.append(Event(semconv.EXCEPTION_EVENT, exception, end_ns))
            whole = ReadableSpan(
                name=span.name,
                context=state.span_context,
                resource=span.resource,
                attributes={**attributes_as_dict(span), **added_attributes},
                events=events,
                status=span.status,
                start_time=span.start_time,
                end_time=end_ns,
            )
            self.end(whole, state)
        state.reference = None
        self.steps.pop(key, None)
        if key in self.ended_early:
            self.ended_early.discard(key)
        else:
            self.ignore(span)  # its end may still come

    def end_dropped(self, key: StepId, state: StepState) -> None:
        """End a step that the application has dropped: nothing else can end it."""
        if state.reporter is None or state.is_manual:
            self.forgo_outcome(key)
            return
        try:
            if self.steps.pop(key, None) is not None:  # else another thread does this
                self.ended_early.discard(key)
                self.end(_ended_by(state, None), state)
                if state.reported_span is not None:
                    self.ignore(state.reported_span)  # it may still be current somewhere
        except BaseException:
            if not state.outcome_reported:
                self.steps[key] = state
            raise

    def forgo_outcome(self, key: StepId) -> None:
        """Close a step without an outcome, and give back the place that the pipeline reserves for it."""
        state = self.steps.pop(key, None)
        self.ended_early.discard(key)
        if state is not None and state.running_ticket:
            state.pipeline.admission.forgo_outcome()


def _name_run(run: RunIdentity) -> bytes:
    """Return the JSON of the names of a run, made once."""
    names = run.names = run_names(run.flow_key, run.run_id)
    return names


def _ended_by(state: StepState, end_ns: int | None) -> ReadableSpan:
    """Return a span with the outcome of a step that has none on its span: the known one, else an error."""
    added, exception, ended_ns = state.known_outcome or (None, _DROPPED, end_ns or time_ns())
    status = state.start_attributes().get(STEP_STATUS) or (STATUS_SUCCESS if exception is None else STATUS_ERROR)
    trace_id, span_id = int.from_bytes(state.ids[:16], "big"), int.from_bytes(state.ids[16:24], "big")
    return ReadableSpan(
        name=state.step_key,
        resource=_NO_RESOURCE,
        context=SpanContext(trace_id, span_id, is_remote=False),
        attributes={**state.start_attributes(), **(added or {}), STEP_STATUS: status},
        events=() if exception is None else (Event(semconv.EXCEPTION_EVENT, exception, ended_ns),),
        start_time=state.start_ns,
        end_time=ended_ns,
    )
