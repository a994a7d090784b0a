"""A step that has begun: its spans, its context, its end."""

from contextvars import Token
from copy import copy
from time import monotonic_ns, time_ns
from typing import Any, Final

from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span, Status, StatusCode

from failpath_otel import limits, semconv
from failpath_otel.errors import DeliveryError
from failpath_otel.handler_exceptions import is_from_handler
from failpath_otel.report import exception_once
from failpath_otel.scrubbing.values import clean_text, type_name
from failpath_otel.semconv import EVENT_NAMES, FLOW_KEY, RUN_ID, STEP_KEY, STEP_STATUS
from failpath_otel.step_state import StepState
from failpath_otel.steps.definition import DROPPED_NAME, StepDefinition, metadata_attributes, other_kind
from failpath_otel.steps.outcome import error_attributes, is_failure
from failpath_otel.steps.span_events import write_event
from failpath_otel.steps.step_tracer import StepTracer, leave_block, leave_context

_RUNNING: Final = EVENT_NAMES[semconv.STATUS_RUNNING]
_SUCCESS: Final = EVENT_NAMES[semconv.STATUS_SUCCESS]
_ERROR: Final = EVENT_NAMES[semconv.STATUS_ERROR]
_OK: Final = Status(StatusCode.OK)
_MAX_TRIES: Final = 5
"""How often an end is tried that exceptions of signal handlers interrupt."""
_MAX_CLOCK_DIFFERENCE_NS: Final = 10**9
"""By how much the two clocks may differ over a step before the wall clock counts as set meanwhile."""


class OpenStep:
    """One step from its ``running`` event to its outcome. Raises only what a signal handler raises.

    It is made first, and begun inside the ``try`` that ends it (decision 0004).

    The application's code runs between :meth:`resume` and :meth:`leave`, or, where it is suspended and resumed, between
    :meth:`resume` and :meth:`pause`, once for every slice.
    """

    __slots__ = (
        "__weakref__",
        "_attached",
        "_context",
        "_context_before",
        "_delivery_error",
        "_monotonic_ns",
        "_state",
        "_token",
        "_tracer",
        "ended",
        "waits_for_delivery",
    )

    def begin(self, tracer: StepTracer, definition: StepDefinition) -> None:
        """Report ``running``; has to be the first call."""
        self.ended = self._attached = False
        self._state: StepState | None = None
        self._tracer = tracer
        self._token: Token[Context] | None = None
        self._delivery_error: DeliveryError | None = None
        self.waits_for_delivery = False
        """The caller has to wait, by :meth:`wait_delivered` or :meth:`await_delivered`, after the begin and the end."""
        observer, owner = tracer.observer, None
        if observer is not None:
            owner = observer.owner
            self.waits_for_delivery = owner.waits_for_delivery
        state = StepState(definition.run, definition.step_key, definition, None, owner, self)
        self._monotonic_ns = monotonic_ns()
        state.start_ns = start_ns = time_ns()
        self._state = state
        self._context_before, self._context = tracer.start_step(state)
        # After the start, because a reporter sees the start alone; with the time of the start.
        try:
            for span in state.spans:
                write_event(span, _RUNNING, None, start_ns)
            if tracer.start_markers:
                tracer.export_start_marker(state.spans[0], state.start_attributes(), start_ns)
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("adding a span event")

    def wait_delivered(self) -> None:
        """Wait until the step's events so far are delivered, or an attempt has failed; not on an event loop."""
        assert self._state is not None and self._tracer.observer is not None  # noqa: PT018 - `waits_for_delivery`
        try:
            self._keep_error(self._tracer.observer.wait_delivered(self._state))
        except BaseException:  # an interrupted wait must not be followed by another
            self.waits_for_delivery = False
            raise

    async def await_delivered(self) -> None:
        """Do the same as :meth:`wait_delivered` without blocking the event loop."""
        assert self._state is not None and self._tracer.observer is not None  # noqa: PT018 - as above
        try:
            self._keep_error(await self._tracer.observer.await_delivered(self._state))
        except BaseException:  # as above
            self.waits_for_delivery = False
            raise

    def _keep_error(self, error: DeliveryError | None) -> None:
        # Records keep their order: where the outcome is delivered, a start that was to be sent again is, too.
        if self._delivery_error is None or getattr(self._delivery_error, "retrying", False):
            self._delivery_error = error

    def raise_delivery_error(self) -> None:
        """Raise the delivery error, where that is configured; called after the application's code."""
        if self._delivery_error is not None:
            self._delivery_error.raised = True
            # A copy: many steps may raise the same error, which would collect the tracebacks of all.
            raise copy(self._delivery_error)

    def enter(self) -> None:
        """Make the step's span the current one, right after the begin, in the same context."""
        self._token, self._attached = None, True
        self._token = attach(self._context)

    def resume(self) -> None:
        """Make the step's span the current one, wherever it is resumed."""
        self._context_before = get_current()
        self._token, self._attached = None, True
        self._token = attach(self._context)

    def pause(self) -> None:
        """Restore the context of before, and keep the current one for the next slice."""
        if self._attached:
            self._context = get_current()
            self.leave()

    def leave(self) -> None:
        """Restore the context of before :meth:`enter` or :meth:`resume`."""
        if self._attached:
            token: Any = self._token
            try:
                token.var.reset(token)  # the same in one call, where the step was entered in this context
            except (AttributeError, ValueError, RuntimeError):
                leave_context(self._context, self._context_before, token)
            self._attached = False

    def leave_block(self) -> None:
        """Do the same as :meth:`leave` at the end of a block, which may have been entered in another context."""
        if self._attached:
            leave_block(self._context, self._context_before, self._token)
            self._attached = False

    def set_metadata(self, metadata: object) -> None:
        """Add metadata to the span; later values win. Keys beyond the limit are dropped and counted."""
        state: StepState | None = getattr(self, "_state", None)
        if state is None:
            return  # a signal handler raised as the step was to begin
        if state.added_attributes is None:
            state.added_attributes = {}
        added: Any = state.added_attributes
        before = state.start_attributes()
        room = limits.MAX_METADATA_KEYS - len(state.definition.metadata if state.definition else ())
        more = metadata_attributes(metadata)
        dropped = more.pop(DROPPED_NAME, 0)
        for name in list(more):
            if name not in added and name not in before and len(added.keys() - before.keys() - {DROPPED_NAME}) >= room:
                del more[name]
                dropped += 1
                continue
            # A span cannot drop the attribute of the other kind, if it has one; the reader takes the one set last.
            added.pop(other_kind(name), None)
            added.pop(name, None)
            added[name] = more[name]
        if dropped:
            more[DROPPED_NAME] = added[DROPPED_NAME] = added.get(DROPPED_NAME, before.get(DROPPED_NAME, 0)) + dropped
        for span in state.spans:
            try:
                span.set_attributes(more)
            except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
                exception_once("setting span attributes")

    def finish(self, error: BaseException | None) -> None:
        """Leave and end the step with the outcome that ``error`` means. A second call ends nothing."""
        if self.ended:
            if self._attached:
                self.leave()
            return
        self.ended = True
        try:
            if self._attached:
                self.leave()
            self._end(error)
        except BaseException as interruption:  # noqa: BLE001 - raised again if a signal handler raised it
            self._end_after(error, interruption)

    def _end_after(self, error: BaseException | None, interruption: BaseException) -> None:
        """End the step after ``interruption`` came while it was ending; with that as its error, if none is written yet.

        Raises:
            BaseException: the last exception that a signal handler has raised meanwhile.
        """
        raised: BaseException | None = None
        try:
            for _ in range(_MAX_TRIES):  # another signal may come at any time
                if not isinstance(interruption, Exception) or is_from_handler(interruption):
                    raised = interruption
                try:
                    if self._attached:
                        self.leave()
                    self._end(raised if error is None else error, again=True)
                    break
                except BaseException as again:  # noqa: BLE001 - as above
                    interruption = again
            if raised is not None:
                raise raised
            if not isinstance(interruption, RecursionError):  # on a full stack, logging fails as well
                exception_once("ending a step")
        finally:
            del raised, interruption, error  # else they and this frame keep each other alive

    def _end(  # noqa: C901, PLR0912 - on the hot path, where a call costs
        self, error: BaseException | None, *, again: bool = False
    ) -> None:
        state = self._state
        if state is None:
            return
        state.holder = None  # a signal handler may have raised before
        outcome: Any = state.known_outcome
        if outcome is None:
            end_ns, start_ns = time_ns(), state.start_ns
            elapsed_ns = monotonic_ns() - self._monotonic_ns
            if not -_MAX_CLOCK_DIFFERENCE_NS <= end_ns - start_ns - elapsed_ns <= _MAX_CLOCK_DIFFERENCE_NS:
                end_ns = start_ns + elapsed_ns
            exception = describe_error(error) if error is not None and is_failure(error) else None
            end_ns = end_ns if end_ns > start_ns else start_ns  # noqa: FURB136 - a call costs
            outcome = state.known_outcome = state.added_attributes, exception, end_ns
        _, exception, end_ns = outcome
        status = semconv.STATUS_SUCCESS if exception is None else semconv.STATUS_ERROR
        spans, reported = state.spans, state.reported_span
        if reported is not None and reported not in spans:
            spans = (*spans, reported)  # a signal handler raised before it was added there
        all_ended = not state.is_lean
        for span in spans:
            try:
                if not span.is_recording():
                    all_ended = False
                    continue
                if exception is None:
                    span.set_attribute(STEP_STATUS, status)  # of the SDK's two ways the cheaper one
                else:
                    span.set_attributes({semconv.ERROR_TYPE: exception[semconv.EXCEPTION_TYPE], STEP_STATUS: status})
                if getattr(span, "dropped_attributes", 0):
                    self._restore(span, state)
                if again:
                    _write_once(span, exception, end_ns)
                elif exception is None:
                    span.set_status(_OK)
                    write_event(span, _SUCCESS, None, end_ns)
                else:
                    span.set_status(StatusCode.ERROR, status_description(exception))
                    write_event(span, semconv.EXCEPTION_EVENT, exception, end_ns)
                    write_event(span, _ERROR, None, end_ns)
            except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
                exception_once("writing a step's outcome on its span")
                all_ended = False
            try:
                span.end(end_ns)
            except Exception:  # noqa: BLE001 - a span processor of the host may raise anything
                exception_once("ending a span")
                all_ended = False
        if not all_ended and not state.outcome_reported:
            self._tracer.report_end(state, status)
        if (len(spans) > 1 or (spans and state.is_lean)) and self._tracer.observer is not None:
            self._tracer.note_host_end(self._tracer.observer, state)

    @staticmethod
    def _restore(span: Span, state: StepState) -> None:
        """Set the attributes again that an SDK span has evicted: it keeps 128, and the oldest are the identity."""
        attributes, added = state.start_attributes(), state.added_attributes or {}
        span.set_attributes({name: attributes[name] for name in (FLOW_KEY, RUN_ID, STEP_KEY)} | dict(added))


def _write_once(span: Span, exception: dict[str, str] | None, end_ns: int) -> None:
    """Write the outcome on ``span``, whose writing was interrupted before."""
    # The names of the events on a span of OpenTelemetry's SDK; none for other spans.
    written = {event.name for event in getattr(span, "events", ())}
    if exception is None:
        span.set_status(_OK)
        if _SUCCESS not in written:
            write_event(span, _SUCCESS, None, end_ns)
        return
    span.set_status(StatusCode.ERROR, status_description(exception))
    if semconv.EXCEPTION_EVENT not in written:
        write_event(span, semconv.EXCEPTION_EVENT, exception, end_ns)
    if _ERROR not in written:
        write_event(span, _ERROR, None, end_ns)


def describe_error(error: BaseException) -> dict[str, str]:
    """Return ``error`` as the attributes of an ``exception`` event; never raises."""
    try:
        return error_attributes(error)
    except Exception:  # noqa: BLE001 - an exception of the application may raise from anything that is read of it
        exception_once("describing an exception")
        return {semconv.EXCEPTION_TYPE: type_name(error), semconv.EXCEPTION_MESSAGE: ""}


class NoStep:
    """In place of a step where there is no run that it could belong to: does nothing."""

    __slots__ = ()
    waits_for_delivery = False
    ended = True

    def begin(self, tracer: StepTracer, definition: StepDefinition) -> None:
        """Report nothing."""

    def resume(self) -> None:
        """Change nothing."""

    enter = pause = leave = wait_delivered = raise_delivery_error = resume

    async def await_delivered(self) -> None:
        """Wait for nothing."""

    def finish(self, error: BaseException | None) -> None:
        """Record nothing."""


AnyStep = OpenStep | NoStep


def status_description(exception: dict[str, str]) -> str:
    """Return the description of a span status, from the attributes of an ``exception`` event."""
    name, message = exception[semconv.EXCEPTION_TYPE], exception.get(semconv.EXCEPTION_MESSAGE)
    return clean_text(f"{name}: {message}" if message else name, limits.MAX_ERROR_MESSAGE_CHARS)
