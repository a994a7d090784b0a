"""Translate spans into records: pure functions without I/O or clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from opentelemetry.trace import StatusCode

from failpath_otel import limits, semconv
from failpath_otel.records.content import ERROR_MESSAGE, ERROR_STACK, RecordContent
from failpath_otel.records.matching.keys import Names
from failpath_otel.records.matching.values import attributes_as_dict, attributes_to_match
from failpath_otel.records.metadata import metadata_at_end, metadata_from
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record, Status, record_id, rfc3339
from failpath_otel.records.response_status import describe_failure, failed_without_status, is_grpc
from failpath_otel.records.rule_set import Rules
from failpath_otel.records.stacks import without_our_frames
from failpath_otel.scrubbing.values import bounded_run_id, clean_metadata, clean_text, error_text, text_of
from failpath_otel.semconv import START_MARKER, STEP_EVENTS, STEP_STATUS
from failpath_otel.step_state import NO_PARENT, StepState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_SPAN_ID: Final = re.compile("(?!0{16})[0-9a-f]{16}")
_ANY_LENGTH: Final = 1 << 30
_OUTCOMES: Final[dict[str, Status]] = {"success": "success", "error": "error", "skipped": "skipped"}


class StepStart(msgspec.Struct, gc=False):
    """How a step began, kept apart from its span, which may have lost all of it at its end."""

    flow_key: str
    run_id: str
    step_key: str
    trace_id: str
    span_id: str
    start_ns: int
    started_at: str
    metadata: dict[str, Any]
    attributes: Mapping[str, Any]
    """The start attributes of the span."""
    manual: bool
    """The event is recorded by hand, so no ``running`` is reported for the start of the span."""
    parent_span_id: str | None = None
    """The span of the innermost step of the same run around it, in hexadecimal digits."""


def start_of(state: StepState) -> StepStart:
    """Return the start of a step of this package."""
    attributes, digits = state.start_attributes(), state.ids.hex()
    definition = state.definition
    return StepStart(
        state.run.flow_key,
        state.run.run_id or digits[:32],
        state.step_key,
        digits[:32],
        digits[32:48],
        state.start_ns,
        rfc3339(state.start_ns),
        metadata_from(attributes) if definition is None else dict(definition.metadata),
        attributes,
        state.is_manual,
        None if state.parent == NO_PARENT else digits[48:],
    )


def read_start(span: ReadableSpan) -> StepStart | None:
    """Return the start of a step, or ``None`` if *span* is no step. Values are cleaned: any tracer may set them."""
    found = span.attributes
    step_key = None if found is None else found.get(semconv.STEP_KEY)
    if found is None or not step_key or not isinstance(step_key, str):
        return None
    attributes = attributes_as_dict(span)
    flow_key = attributes.get(semconv.FLOW_KEY)
    if not flow_key or not isinstance(flow_key, str) or span.context is None:
        return None
    cleaned = {
        semconv.FLOW_KEY: clean_text(flow_key, limits.MAX_KEY_CHARS),
        semconv.STEP_KEY: clean_text(step_key, limits.MAX_KEY_CHARS),
        semconv.RUN_ID: stated_run_id(attributes),
    }
    start = start_from_clean_attributes(span, {**attributes, **cleaned})
    parent = attributes.get(semconv.PARENT_SPAN_ID)
    start.parent_span_id = parent if isinstance(parent, str) and _SPAN_ID.fullmatch(parent) else None
    start.metadata = clean_metadata(start.metadata)
    start.attributes = attributes
    return start


def stated_run_id(attributes: Mapping[str, Any]) -> str:
    """Return the run id in the span's attributes; empty if there is none."""
    return bounded_run_id(text_of(attributes.get(semconv.RUN_ID) or "", _ANY_LENGTH))


def start_from_clean_attributes(span: ReadableSpan, attributes: Mapping[str, Any]) -> StepStart:
    """Return the start of a step whose attributes are clean, complete and uncut."""
    context = span.get_span_context()
    assert context is not None  # of a span that has begun
    trace_id = "%032x" % context.trace_id  # noqa: UP031 - half the time of format()
    start_ns = span.start_time or 0
    return StepStart(
        attributes[semconv.FLOW_KEY],
        attributes[semconv.RUN_ID] or trace_id,
        attributes[semconv.STEP_KEY],
        trace_id,
        "%016x" % context.span_id,  # noqa: UP031
        start_ns,
        rfc3339(start_ns),
        metadata_from(attributes),
        attributes,
        semconv.STEP_STATUS in attributes,
    )


def start_by_rule(span: ReadableSpan, names: Names, run_id: str) -> StepStart:
    """Return the start of a step that a rule makes of a span; without a run id, the trace id is the run id."""
    attributes = attributes_as_dict(span)
    identity = {semconv.FLOW_KEY: names.flow, semconv.RUN_ID: run_id, semconv.STEP_KEY: names.step}
    start = start_from_clean_attributes(span, {**attributes, **identity})
    start.metadata = clean_metadata(start.metadata)
    start.attributes = attributes
    return start


def running_record(start: StepStart, process: ProcessInfo | None, content: RecordContent) -> Record:
    """Return the ``running`` record of a step, at the time when its span started."""
    return Record(
        record_id(start.trace_id, start.span_id, semconv.STATUS_RUNNING, start.start_ns),
        start.flow_key,
        start.run_id,
        start.step_key,
        semconv.STATUS_RUNNING,
        start.started_at,
        start.trace_id,
        start.span_id,
        start.metadata if content.is_identity else content.metadata(start.metadata),
        None,
        None,
        None,
        process if content.process else None,
        start.parent_span_id,
    )


def outcome_record(  # noqa: PLR0917
    start: StepStart,
    span: ReadableSpan,
    status: Status,
    attributes: Mapping[str, Any],
    process: ProcessInfo | None,
    content: RecordContent,
    began: bool = True,  # noqa: FBT001, FBT002 - on the hot path, where a keyword costs
    state: StepState | None = None,
) -> Record:
    """Return the terminal record of a step, at the time when its span ended.

    Args:
        start: the step's start.
        span: its span, ended.
        status: the outcome.
        attributes: those of the span at its end, without the status.
        process: the process that the record names.
        content: further contents of the record.
        began: the step has a ``running`` record. Without one, it has a duration only if its span has a length.
        state: values that travel beside the span, which a host's limits do not reach.
    """
    start_ns = start.start_ns
    end_ns = span.end_time
    if end_ns is None or end_ns < start_ns:
        end_ns = start_ns
    has_duration = began or end_ns > start_ns
    added = None if state is None else state.added_attributes
    metadata = metadata_at_end(start.attributes, start.metadata, attributes, added)
    return Record(
        record_id(start.trace_id, start.span_id, status, end_ns),
        start.flow_key,
        start.run_id,
        start.step_key,
        status,
        rfc3339(end_ns),
        start.trace_id,
        start.span_id,
        metadata if content.is_identity else content.metadata(metadata),
        start.started_at if has_duration else None,
        (end_ns - start_ns) // 1000 / 1000 if has_duration else None,
        _error(start, span, content, state) if status == semconv.STATUS_ERROR else None,
        process if content.process else None,
        start.parent_span_id,
    )


def stated_outcome(attributes: Mapping[str, Any]) -> Status | None:
    """Return the outcome in the span's attributes; ``None`` if it is missing or truncated."""
    stated = attributes.get(semconv.STEP_STATUS)
    return _OUTCOMES.get(stated) if type(stated) is str else None


def states_outcome(span: ReadableSpan) -> bool:
    """Return whether the span of a step has any sign that the step has ended."""
    attributes = span.attributes
    return (
        (attributes is not None and STEP_STATUS in attributes)
        or span.status.status_code is not StatusCode.UNSET
        # A host's limits may have evicted the attribute and left the event.
        or any(status in _OUTCOMES for status in _event_statuses(span))
    )


def derive_outcome(start: StepStart, span: ReadableSpan, attributes: Mapping[str, Any]) -> Status | None:
    """Return the outcome by events, attributes or status of the span, in the order of ``docs/guides/rules.md``.

    ``None`` for a ``running`` record that was made by hand.
    """
    outcomes: list[Status] = [_OUTCOMES[status] for status in _event_statuses(span) if status in _OUTCOMES]
    if outcomes:
        return outcomes[-1]
    stated = stated_outcome(attributes)
    if stated is not None:
        return stated
    if start.manual:
        # A host's limits may have evicted it since the start.
        return stated_outcome(start.attributes)
    code = span.status.status_code
    failed = code is StatusCode.ERROR or (code is StatusCode.UNSET and failed_without_status(span, attributes))
    return "error" if failed else "success"


def span_records(span: ReadableSpan, process: ProcessInfo | None, content: RecordContent) -> list[Record]:
    """Return all records of an ended span whose start was not observed, in order of time; none if it is no step."""
    start = read_start(span)
    if start is None and content.rules is not None:
        start = _start_by_rules(span, content.rules)
    if start is None:
        return []
    if start.attributes.get(START_MARKER) is True:
        return _records_of_marker(start, span, process, content)
    statuses = _event_statuses(span)
    # Recorded by hand is a step that states that it is running, or whose events have no beginning (which a host's
    # limits may have evicted).
    running = semconv.STATUS_RUNNING in statuses
    running_may_be_evicted = bool(span.dropped_events) and not running
    start.manual = (
        start.attributes.get(semconv.STEP_STATUS) == semconv.STATUS_RUNNING
        if running or running_may_be_evicted or not statuses
        else True
    )
    if not statuses and start.attributes.get(semconv.STEP_STATUS) == semconv.STATUS_SKIPPED:
        start.manual = True  # a skipped step never ran
    records = []
    began = not start.manual
    status = derive_outcome(start, span, start.attributes)
    if span.end_time is None and not states_outcome(span):
        status = None  # it came by OTLP before its end
    if began or status is None:
        records.append(running_record(start, process, content))
    if status is not None:
        records.append(outcome_record(start, span, status, start.attributes, process, content, began))
    return records


def _start_by_rules(span: ReadableSpan, rules: Rules) -> StepStart | None:
    found = rules.candidates_for(span, span.instrumentation_scope)
    if found is None:
        return None  # without a copy of the attributes: most spans
    attributes = attributes_to_match(span)
    chosen = rules.choice_of(found, span, attributes)
    names = None if chosen is None else chosen.names(attributes)
    return None if chosen is None or names is None else start_by_rule(span, names, chosen.run_id(attributes))


def _records_of_marker(
    start: StepStart, span: ReadableSpan, process: ProcessInfo | None, content: RecordContent
) -> list[Record]:
    """Return the ``running`` record of the step that a start marker stands for; the step's own span has the same id."""
    if span.parent is None:
        return []
    start.span_id = "%016x" % span.parent.span_id  # noqa: UP031 - as above
    return [running_record(start, process, content)]


def _event_statuses(span: ReadableSpan) -> list[str]:
    return [STEP_EVENTS[event.name] for event in span.events if event.name in STEP_EVENTS]


def _error(start: StepStart, span: ReadableSpan, content: RecordContent, state: StepState | None) -> ErrorInfo:
    attributes: Mapping[str, Any] | None = (
        None if state is None or state.known_outcome is None else state.known_outcome[1]
    )
    if attributes is None:
        attributes = {}
        for event in span.events:
            if event.name == semconv.EXCEPTION_EVENT:
                attributes = event.attributes or {}  # the last one ended the step
    span_attributes: Mapping[str, Any] = span.attributes or {}
    name = attributes.get(semconv.EXCEPTION_TYPE) or _error_type(span_attributes)
    if not content.error_messages:
        return ErrorInfo(error_text(name or "Error", limits.MAX_ERROR_NAME_CHARS), "")
    message = attributes.get(semconv.EXCEPTION_MESSAGE)
    # The exception that aborts a gRPC call has no message.
    if message is None or (not message and is_grpc(span_attributes)):
        message = span.status.description or describe_failure(span_attributes) or (name if message is None else "")
    given = start.attributes.get(semconv.STACK_GIVEN) is True
    stack = attributes.get(semconv.EXCEPTION_STACKTRACE) if content.capture_stack or given else None
    # Other tracers do not redact.
    message_text = error_text(message, limits.MAX_ERROR_MESSAGE_CHARS)
    if isinstance(stack, str) and not given:
        stack = without_our_frames(stack)
    stack_text = None if stack is None else error_text(stack, limits.MAX_STACK_CHARS)
    if not content.is_identity:
        message_text = content.text(ERROR_MESSAGE, message_text, limits.MAX_ERROR_MESSAGE_CHARS)
        stack_text = None if stack_text is None else content.text(ERROR_STACK, stack_text, limits.MAX_STACK_CHARS)
    return ErrorInfo(error_text(name or "Error", limits.MAX_ERROR_NAME_CHARS), message_text, stack_text)


def _error_type(attributes: Mapping[str, Any]) -> object:
    """Return the class of an error that no event has; empty if the instrumentation gave none."""
    error_type = attributes.get(semconv.ERROR_TYPE)
    return "" if not error_type or error_type == semconv.ERROR_TYPE_OTHER else error_type
