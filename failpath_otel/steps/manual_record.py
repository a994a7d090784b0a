"""One lifecycle event recorded by hand: a span that ends as soon as it is opened."""

import math
from copy import copy
from datetime import datetime
from time import time_ns
from typing import Any

from opentelemetry.trace import Span, StatusCode

from failpath_otel import limits, semconv
from failpath_otel.report import exception_once
from failpath_otel.scrubbing.values import text_of
from failpath_otel.semconv import EVENT_NAMES, STEP_STATUS
from failpath_otel.step_state import StepState
from failpath_otel.steps.definition import Attributes, StepDefinition
from failpath_otel.steps.open_step import status_description
from failpath_otel.steps.span_events import write_event
from failpath_otel.steps.step_tracer import StepTracer

Time = datetime | float
"""A point in time: a ``datetime`` (naive means local time), or seconds since the epoch."""


def record_manually(
    tracer: StepTracer,
    definition: StepDefinition,
    status: str,
    *,
    error: dict[str, str] | None = None,
    stack_given: bool = False,
    started_ns: int | None = None,
    timestamp_ns: int | None = None,
) -> None:
    """Record one event.

    Args:
        tracer: opens the span.
        definition: the step.
        status: the status of the event.
        error: the attributes of an ``exception`` event.
        stack_given: the stack in ``error`` is a text of the caller, and not that of an exception.
        started_ns: when the step began, in nanoseconds since the epoch.
        timestamp_ns: when the event happened; ``None``: now.
    """
    end_ns = timestamp_ns if timestamp_ns is not None else max(time_ns(), started_ns or 0)
    start_ns = started_ns if started_ns is not None else end_ns
    # Set from the start of the span, so that no reporter announces the step as running.
    attributes: Attributes = {**definition.attributes(), STEP_STATUS: status}
    if error is not None:
        # First, because an SDK evicts the oldest attributes when there are too many.
        attributes = {semconv.ERROR_TYPE: error[semconv.EXCEPTION_TYPE], **attributes}
        if stack_given:
            attributes = {semconv.STACK_GIVEN: True, **attributes}
    observer = tracer.observer
    owner = None if observer is None else observer.owner
    holder = _Holder()
    state = StepState(definition.run, definition.step_key, definition, attributes, owner, holder)
    state.is_manual = True
    state.start_ns = start_ns
    state.known_outcome = None, error, end_ns
    try:
        tracer.start_step(state)
    finally:
        state.holder = None
    spans: tuple[Any, ...] = state.spans
    all_ended = not state.is_lean
    for span in spans:
        try:
            if not span.is_recording():
                all_ended = False
                continue
            _write(span, status, error, start_ns if status == semconv.STATUS_RUNNING else end_ns)
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("recording by hand")
        all_ended = tracer.end(span, end_ns) and all_ended
    if not all_ended:
        tracer.report_end(state, status)
    if observer is None:
        return
    tracer.note_host_end(observer, state)
    delivery_error = observer.wait_delivered(state) if observer.owner.waits_for_delivery else None
    if delivery_error is not None:
        delivery_error.raised = True
        raise copy(delivery_error)


class _Holder:
    """Lives as long as something can still end the step."""

    __slots__ = ("__weakref__",)


def _write(span: Span, status: str, error: dict[str, str] | None, event_ns: int) -> None:
    if status == semconv.STATUS_SUCCESS:
        span.set_status(StatusCode.OK)
    elif status == semconv.STATUS_ERROR:
        span.set_status(StatusCode.ERROR, None if error is None else status_description(error))
    if error is not None:
        write_event(span, semconv.EXCEPTION_EVENT, error, event_ns)
    write_event(span, EVENT_NAMES[status], None, event_ns)


def check_times(started_at: object, timestamp: object) -> tuple[int | None, int | None]:
    """Return both times in nanoseconds since the epoch.

    Raises:
        TypeError: one is neither a ``datetime`` nor a number.
        ValueError: one is not a time between the years 1970 and 9999, or ``timestamp`` lies before ``started_at``.
    """
    started_ns = _nanoseconds("started_at", started_at)
    timestamp_ns = _nanoseconds("timestamp", timestamp)
    if started_ns is not None and timestamp_ns is not None and timestamp_ns < started_ns:
        raise ValueError(f"timestamp must not lie before started_at, got {timestamp!s} and {started_at!s}")
    return started_ns, timestamp_ns


def _nanoseconds(name: str, given: object) -> int | None:
    if given is None:
        return None
    if isinstance(given, datetime):
        try:
            seconds = given.timestamp()
        except (ValueError, OverflowError, OSError):
            seconds = math.nan
        microsecond = given.microsecond
        # A float holds today's seconds to a fraction of a microsecond only; the datetime has them exactly.
        nanoseconds = None if math.isnan(seconds) else round(seconds - microsecond / 1e6) * 10**9 + microsecond * 1000
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        nanoseconds = round(given * 10**9) if 0 <= given < limits.END_OF_TIME else None
    else:
        raise TypeError(f"{name} must be a datetime or seconds since the epoch, got {text_of(given, 80)!r}")
    if nanoseconds is None or not 0 <= nanoseconds < limits.END_OF_TIME * 10**9:
        raise ValueError(f"{name} must be a time between the years 1970 and 9999, got {text_of(given, 80)}")
    return nanoseconds
