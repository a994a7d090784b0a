"""Spans to records: pure functions, no input or output, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from failpath_otel import limits, semconv
from failpath_otel.clean import Json, clean_metadata, clean_text, text_of
from failpath_otel.export.record import ErrorInfo, ProcessInfo, Record, record_id, rfc3339
from failpath_otel.semconv import METADATA_JSON_PREFIX, METADATA_PREFIX, STEP_EVENTS

_ANY_METADATA: Final = "failpath.metadata"
_OUTCOMES: Final = (semconv.STATUS_SUCCESS, semconv.STATUS_ERROR, semconv.STATUS_SKIPPED)


@dataclass(slots=True)
class StepStart:
    """What identifies an open step, kept apart from its span, which may lose all of it before it ends.

    ``attributes`` are those the span started with; ``manual`` says that a lifecycle event is recorded by hand, so
    that nobody announces the step as ``running``.
    """

    flow_key: str
    run_id: str
    step_key: str
    trace_id: str
    span_id: str
    start_ns: int
    metadata: dict[str, Json]
    attributes: Mapping[str, Any]
    manual: bool


def read_start(span: ReadableSpan, given: Mapping[str, Any] | None = None) -> StepStart | None:
    """The start of a step, or ``None`` where ``span`` is no step.

    Args:
        span: a span that has begun.
        given: its start attributes as this package's own ``steps`` passed them, clean and uncut. Without them the
            span's own attributes are read, and cleaned, because any tracer may have set them.
    """
    attributes = given if given is not None else (span.attributes or {})
    step_key = attributes.get(semconv.STEP_KEY)
    if step_key is None:
        return None
    flow_key = attributes.get(semconv.FLOW_KEY)
    context = span.context
    if context is None or not (step_key and flow_key and isinstance(step_key, str) and isinstance(flow_key, str)):
        return None
    trace_id = f"{context.trace_id:032x}"
    run_id = attributes.get(semconv.RUN_ID) or trace_id
    metadata = _metadata(attributes.items())
    if given is None:
        flow_key = clean_text(flow_key, limits.MAX_KEY_CHARS)
        step_key = clean_text(step_key, limits.MAX_KEY_CHARS)
        run_id = text_of(run_id, limits.MAX_RUN_ID_CHARS)
        metadata = clean_metadata(metadata)
        attributes = dict(attributes)
    return StepStart(
        flow_key,
        run_id,
        step_key,
        trace_id,
        f"{context.span_id:016x}",
        span.start_time or 0,
        metadata,
        attributes,
        semconv.STEP_STATUS in attributes,
    )


def running_record(start: StepStart, process: ProcessInfo | None) -> Record:
    """The record that announces a step, at the time when its span began."""
    return _record(start, "running", start.start_ns, start.metadata, process)


def end_records(
    start: StepStart, span: ReadableSpan, process: ProcessInfo | None, *, announced: bool, capture_stack: bool
) -> list[Record]:
    """The records of a span that has ended, in the order in which they happened.

    Args:
        start: what :func:`read_start` read from the span.
        span: the span, ended.
        process: the process that the records name.
        announced: the step's ``running`` record exists already.
        capture_stack: put the stack trace of an error into its record.
    """
    statuses = [STEP_EVENTS[event.name] for event in span.events if event.name in STEP_EVENTS]
    outcomes = [status for status in statuses if status != semconv.STATUS_RUNNING]
    began = announced or semconv.STATUS_RUNNING in statuses or (not statuses and not start.manual)
    if not began and span.dropped_events and not start.manual:
        began = True  # the event was there, and others have pushed it out
    metadata = _end_metadata(start, span)
    records = []
    if began and not announced:
        records.append(_record(start, "running", start.start_ns, start.metadata if outcomes else metadata, process))
    status = outcomes[-1] if outcomes else _judge(start, span)
    if status is not None:
        records.append(_outcome(start, span, status, metadata, process, began=began, capture_stack=capture_stack))
    return records


def span_records(span: ReadableSpan, process: ProcessInfo | None, *, capture_stack: bool) -> list[Record]:
    """All records of a span that nobody saw begin; none where it is no step."""
    start = read_start(span)
    if start is None:
        return []
    # An ended step carries its outcome in the attribute too. Only a record by hand has no running event and no length
    # of its own, or is `running` still.
    statuses = {STEP_EVENTS[event.name] for event in span.events if event.name in STEP_EVENTS}
    begun = semconv.STATUS_RUNNING in statuses or not statuses or bool(span.dropped_events)
    manual = start.attributes.get(semconv.STEP_STATUS) == semconv.STATUS_RUNNING or not begun
    start.manual = start.manual and manual
    return end_records(start, span, process, announced=False, capture_stack=capture_stack)


def _judge(start: StepStart, span: ReadableSpan) -> str | None:
    """The outcome of a span without an event that tells it; ``None`` for a ``running`` recorded by hand."""
    stated = (span.attributes or {}).get(semconv.STEP_STATUS, start.attributes.get(semconv.STEP_STATUS))
    if stated == semconv.STATUS_RUNNING and start.manual:
        return None
    if stated in _OUTCOMES:
        return str(stated)
    return semconv.STATUS_ERROR if span.status.status_code is StatusCode.ERROR else semconv.STATUS_SUCCESS


def _outcome(
    start: StepStart,
    span: ReadableSpan,
    status: str,
    metadata: dict[str, Json],
    process: ProcessInfo | None,
    *,
    began: bool,
    capture_stack: bool,
) -> Record:
    end_ns = max(span.end_time or start.start_ns, start.start_ns)
    # A record by hand has a start of its own only if it was told one, which shows as a span of some length.
    timed = began or end_ns > start.start_ns
    return _record(
        start,
        status,
        end_ns,
        metadata,
        process,
        started_at=rfc3339(start.start_ns) if timed else None,
        duration_ms=round((end_ns - start.start_ns) / 1e6, 3) if timed else None,
        error=_error(span, capture_stack=capture_stack) if status == semconv.STATUS_ERROR else None,
    )


def _record(
    start: StepStart,
    status: Any,  # noqa: ANN401 - a Status, known by construction
    timestamp_ns: int,
    metadata: dict[str, Json],
    process: ProcessInfo | None,
    started_at: str | None = None,
    duration_ms: float | None = None,
    error: ErrorInfo | None = None,
) -> Record:
    return Record(
        record_id(start.trace_id, start.span_id, status, timestamp_ns),
        start.flow_key,
        start.run_id,
        start.step_key,
        status,
        rfc3339(timestamp_ns),
        start.trace_id,
        start.span_id,
        metadata,
        started_at,
        duration_ms,
        error,
        process,
    )


def _error(span: ReadableSpan, *, capture_stack: bool) -> ErrorInfo:
    attributes: Mapping[str, Any] = {}
    for event in span.events:
        if event.name == semconv.EXCEPTION_EVENT:
            attributes = event.attributes or {}  # the last one is the one that ended the step
    name = attributes.get(semconv.EXCEPTION_TYPE) or "Error"
    message = attributes.get(semconv.EXCEPTION_MESSAGE)
    if message is None:
        message = span.status.description or ""
    stack = attributes.get(semconv.EXCEPTION_STACKTRACE) if capture_stack else None
    return ErrorInfo(
        text_of(name, limits.MAX_ERROR_NAME_CHARS),
        text_of(message, limits.MAX_ERROR_MESSAGE_CHARS),
        None if stack is None else text_of(stack, limits.MAX_STACK_CHARS),
    )


def _end_metadata(start: StepStart, span: ReadableSpan) -> dict[str, Json]:
    """The metadata at the end: what the step started with, and over it what was set since and is still there."""
    before = start.attributes
    late = [
        (name, value)
        for name, value in (span.attributes or {}).items()
        if name.startswith(_ANY_METADATA) and before.get(name) != value
    ]
    if not late:
        return start.metadata
    # Lists come back from a span as tuples.
    late = [(name, value) for name, value in late if not isinstance(value, tuple) or before.get(name) != list(value)]
    return clean_metadata({**start.metadata, **_metadata(late)}) if late else start.metadata


def _metadata(attributes: Iterable[tuple[str, Any]]) -> dict[str, Json]:
    metadata: dict[str, Json] = {}
    for name, value in attributes:
        if not name.startswith(_ANY_METADATA):
            continue
        if name.startswith(METADATA_PREFIX):
            metadata[name[len(METADATA_PREFIX) :]] = list(value) if isinstance(value, tuple) else value
        elif name.startswith(METADATA_JSON_PREFIX):
            try:
                metadata[name[len(METADATA_JSON_PREFIX) :]] = msgspec.json.decode(value)
            except (msgspec.DecodeError, TypeError):
                # A host that limits the length of attribute values cuts JSON too; the text still says something.
                metadata[name[len(METADATA_JSON_PREFIX) :]] = value
    return metadata


def cut_down(record: Record) -> Record:
    """The same event with its identity, status, times and the name of its error, and without what takes room."""
    error = record.error
    return msgspec.structs.replace(
        record,
        metadata={"failpath.cut_down": "the record was too large"},
        error=None if error is None else ErrorInfo(error.name, clean_text(error.message, 200)),
    )
