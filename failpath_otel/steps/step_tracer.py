"""The step tracer: starts and ends the spans of steps, and makes them current while a step runs."""

from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from typing import Any, Protocol

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from failpath_otel.errors import DeliveryError
from failpath_otel.report import exception_once
from failpath_otel.semconv import EVENT_NAMES, START_MARKER, STATUS_RUNNING, STEP_KEY, STEP_STATUS
from failpath_otel.step_state import STATE_KEY, LazyAttributes, RunSpan, SpanIds, StepState
from failpath_otel.steps.definition import Attributes
from failpath_otel.steps.span_events import write_event

[_CURRENT_SPAN] = set_span_in_context(INVALID_SPAN, Context())
"""OpenTelemetry's own context key of the current span."""


class StepTracer:
    """The host's tracer, and the private one for spans that no reporter would see (decision 0003)."""

    __slots__ = ("_is_alone", "host_tracer", "observer", "start_markers")

    def __init__(self, host: Tracer, observer: "StepObserver | None" = None, *, start_markers: bool = False) -> None:
        self.host_tracer = host
        self._is_alone = False  # at the last look, no provider was set
        self.observer = observer
        self.start_markers = start_markers
        """Each step that begins needs a call of :meth:`export_start_marker`."""

    def start_step(self, state: StepState) -> tuple[Context, Context]:
        """Start the span of a step. Raises only what a signal handler raises.

        Each span is put into ``state`` as it is started, so that the step can be ended after an exception of a signal
        handler (decision 0004): the host's span, followed by the private one where that is needed.

        Returns:
            The context of before, and that for the step: the host's span stays the current one, so that child spans and
            outgoing headers are the same as without this package.
        """
        parent = get_current()
        outer: Any = parent.get(STATE_KEY)
        if outer is not None:
            state.enter(outer)
        context = Context(parent)
        # A context forbids assignment, but this one is not in use yet; `set_value` would copy it once more.
        dict.__setitem__(context, STATE_KEY, state)
        attributes = LazyAttributes(state) if self._is_alone else state.start_attributes()
        failed = False
        try:
            host = self.host_tracer.start_span(
                state.step_key, context, attributes=attributes, start_time=state.start_ns
            )
        except Exception:  # noqa: BLE001 - a sampler or span processor of the host may raise anything
            exception_once("starting a span at the host's tracer provider")
            host = state.reported_span or INVALID_SPAN  # a reported span must be ended
            failed = True
        state.spans = (host,)
        if state.reported_span is not None:
            state.holder = None
            return parent, _with_current(host, context)
        # Without a provider, older APIs start an invalid span even under a remote parent, which it would hide from the
        # headers.
        is_alone = host is INVALID_SPAN or not host.get_span_context().is_valid
        self._is_alone = is_alone and not failed
        if not is_alone:
            context = _with_current(host, context)
            state.private_span = host
        if self.observer is not None:
            self._start_instead(self.observer, state, host, is_alone=is_alone and not failed)
        state.holder = None
        return parent, context

    def _start_instead(self, observer: "StepObserver", state: StepState, host: Span, *, is_alone: bool) -> None:
        """Start a lean or a private span in the place of ``host``, whose step was not reported."""
        try:
            if not is_alone:
                observer.start_missed(host)
            if observer.start_lean(state):
                if is_alone or not (host.is_recording() or host.get_span_context().is_valid):
                    state.spans = ()
                return
        except Exception:  # noqa: BLE001 - looking at the global provider may load one of another vendor
            exception_once("looking for the tracer provider")
        private = self._start_private(observer, state.step_key, state.private_span, state.start_attributes(), state)
        state.spans = (host, private)
        state.private_span = private

    def export_start_marker(self, span: Span, attributes: Mapping[str, Any], start_ns: int) -> None:
        """Open and end a span below ``span`` at once, so that the start of its step is exported now."""
        if not span.is_recording():
            return
        marker = self.host_tracer.start_span(
            attributes[STEP_KEY],
            set_span_in_context(span),
            attributes={**attributes, START_MARKER: True},
            start_time=start_ns,
        )
        write_event(marker, EVENT_NAMES[STATUS_RUNNING], None, start_ns)
        marker.end(start_ns)

    def start_run(self, name: str, attributes: Attributes) -> tuple[tuple[Span, ...], Context]:
        """Start the span of a run: the parent of its steps, which puts them into one trace."""
        parent = get_current()
        try:
            host = self.host_tracer.start_span(name, parent, attributes=attributes)
        except Exception:  # noqa: BLE001 - a sampler or span processor of the host may raise anything
            exception_once("starting a span at the host's tracer provider")
            host = INVALID_SPAN
        if host.get_span_context().is_valid:
            return (host,), set_span_in_context(host, parent)
        if self.observer is None:
            return (host,), Context(parent)
        outer: Any = parent.get(STATE_KEY)
        lineage, private_span = ((), None) if outer is None else (outer.lineage(), outer.private_span)
        lean = self.observer.new_lean_ids(private_span)
        if lean is not None:
            return (host,), Context({**parent, STATE_KEY: RunSpan(lineage, lean)})
        private = self._start_private(self.observer, name, private_span, attributes, None)
        return (host, private), Context({**parent, STATE_KEY: RunSpan(lineage, private)})

    @staticmethod
    def end(span: Span, end_ns: int | None = None) -> bool:
        """End a span; return ``False`` where a span processor of the host has raised, and others may not have run."""
        try:
            span.end(end_ns)
        except Exception:  # noqa: BLE001 - a span processor of the host may raise anything
            exception_once("ending a span")
            return False
        return True

    @staticmethod
    def report_end(state: StepState, status: str) -> None:
        """Report the end of a step by its state, where its span may not have reported it."""
        if state.reporter is None:
            return
        try:
            if state.is_lean:
                state.reporter.end_lean(state)
            else:
                state.reporter.end_without_span(state, {**(state.added_attributes or {}), STEP_STATUS: status})
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("reporting the end of a step")

    @staticmethod
    def note_host_end(observer: "StepObserver", state: StepState) -> None:
        """Note the end of the host's span, where another one was reported in its place."""
        if len(state.spans) > 1 or state.is_lean:
            for host in state.spans[:1]:
                observer.host_span_ended(host)

    @staticmethod
    def _start_private(
        observer: "StepObserver",
        name: str,
        parent: Any,  # noqa: ANN401 - a span, the ids of a lean one, or nothing
        attributes: Mapping[str, Any],
        state: StepState | None,
    ) -> Span:
        context = Context() if state is None else Context({STATE_KEY: state})
        if isinstance(parent, tuple):
            parent = NonRecordingSpan(
                SpanContext(parent[0], parent[1], is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            )
        if parent is not None:
            context = set_span_in_context(parent, context)
        start_ns = None if state is None else state.start_ns
        try:
            return observer.private_tracer().start_span(name, context, attributes=attributes, start_time=start_ns)
        except Exception:  # noqa: BLE001 - the step runs even without a record
            exception_once("starting a span at the private tracer provider")
            if state is not None:
                observer.step_lost()
            return INVALID_SPAN


def _with_current(span: Span, context: Context) -> Context:
    """Return what :func:`set_span_in_context` returns; that copies the context twice."""
    inside = Context(context)
    dict.__setitem__(inside, _CURRENT_SPAN, span)
    return inside


def leave_context(own_context: Context, outer: Context, token: "Token[Context] | None") -> None:
    """Make ``outer`` current again, unless it is.

    A token works only in the context in which it was made. A block that ends in another task finds in that task's copy
    what it attached, and restores what was there without a token; so does a block whose token was lost because a signal
    handler raised.
    """
    current = get_current()
    if current is own_context:
        attach(outer)
    elif current is not outer and token is not None:
        _detach(token)


def leave_block(own_context: Context, outer: Context, token: "Token[Context] | None") -> None:
    """Do the same as :func:`leave_context` at the end of a block; ``own_context`` was made for that block alone.

    A generator may be in the block when it yields, and be resumed in another context. The block then ends where it was
    never entered, and its context is changed to what was current before (decision 0008).
    """
    if get_current() is own_context:
        attach(outer)
        return
    leave_context(own_context, outer, token)
    items: Any = own_context
    if items is not outer and isinstance(items, dict):
        # A context forbids assignment, but this one must change for all code that holds it.
        dict.update(items, outer)
        for name in items.keys() - outer.keys():
            dict.pop(items, name, None)


def _detach(token: Any) -> None:  # noqa: ANN401 - of whatever runtime context there is
    """Detach; do nothing in another context than that of the token, where it is impossible."""
    if not isinstance(token, Token):  # of another runtime context than OpenTelemetry's own
        detach(token)
        return
    # `detach` does the same, but logs an error where it fails.
    with suppress(ValueError, RuntimeError):
        token.var.reset(token)


class StepOwner(Protocol):
    """The reporter of the steps of a tracer."""

    @property
    def waits_for_delivery(self) -> bool:
        """Whether each step waits until its events are delivered."""
        ...


class StepObserver(Protocol):
    """Reports the steps of a tracer, and notes those whose spans it does not see."""

    @property
    def owner(self) -> "StepOwner":
        """The only reporter of these steps: the ``owner`` of their states."""
        ...

    def wait_delivered(self, state: StepState) -> DeliveryError | None:
        """Wait until the step's records so far are delivered, or an attempt has failed; never on an event loop.

        Returns:
            The error to raise after the application's code; ``None`` where there is none to raise.
        """

    async def await_delivered(self, state: StepState) -> DeliveryError | None:
        """Do the same without blocking asyncio's loop; does not wait on any other loop."""

    def start_lean(self, state: StepState) -> bool:
        """Report the start of a step whose span nothing but its reporter would see; return ``False`` if that is not so.

        A lean span is nothing but ids: a child of ``state.private_span``, which it becomes itself.
        """
        ...

    def new_lean_ids(self, parent: object) -> SpanIds | None:
        """Return the ids of a lean span below ``parent``, a span, the ids of a lean one, or nothing.

        Returns:
            ``None`` where spans of the private tracer are needed.
        """

    def private_tracer(self) -> Tracer:
        """Return the tracer for spans that the host's provider does not report."""
        ...

    def start_missed(self, span: Span) -> None:
        """Note a span of the host whose step was not reported: a private span is reported in its place."""

    def host_span_ended(self, span: Span) -> None:
        """Note the end of a span of the host in whose place a private one was reported."""

    def step_lost(self) -> None:
        """Count a step that will not be reported."""

    def run_ended(self, timeout: float) -> None:
        """Deliver what waits, within ``timeout`` seconds: a run has ended, and the process may end at once."""
