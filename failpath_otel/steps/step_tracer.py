"""The step tracer: starts and ends the spans of steps, and makes them current while a step runs."""

from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from typing import Any, Final, Protocol

from opentelemetry.context import Context, attach, detach, get_current, get_value, set_value
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, set_span_in_context

from failpath_otel.errors import DeliveryError
from failpath_otel.report import exception_once
from failpath_otel.semconv import EVENT_NAMES, START_MARKER, STATUS_RUNNING, STEP_KEY
from failpath_otel.step_handoff import HANDOFF_KEY, StepHandoff
from failpath_otel.steps.attributes import Attributes
from failpath_otel.steps.span_events import write_event

_PRIVATE_PARENT: Final = "failpath.private_parent"
"""Context key: the innermost private span, where the host has no span that could be the parent."""


class StepTracer:
    """The host's tracer, and the private one for spans that no reporter would see (decision 0003)."""

    __slots__ = ("host_tracer", "observer", "start_markers")

    def __init__(self, host: Tracer, observer: "StepObserver | None" = None, *, start_markers: bool = False) -> None:
        self.host_tracer = host
        self.observer = observer
        self.start_markers = start_markers
        """Each step that begins needs a call of :meth:`export_start_marker`."""

    def start_step(self, handoff: StepHandoff, start_ns: int) -> Context:
        """Start the span of a step. Raises only what a signal handler raises.

        Each span is put into ``handoff`` as it is started, so that the step can be ended after an exception of a signal
        handler (decision 0004): the host's span, followed by the private one where that is needed.

        Returns:
            The context for the step: the host's span stays the current one, so that child spans and outgoing headers
            are the same as without this package.
        """
        parent, attributes = get_current(), handoff.attributes
        name = attributes[STEP_KEY]
        try:
            host = self.host_tracer.start_span(
                name, Context({**parent, HANDOFF_KEY: handoff}), attributes=attributes, start_time=start_ns
            )
        except Exception:  # noqa: BLE001 - a sampler or span processor of the host may raise anything
            exception_once("starting a span at the host's tracer provider")
            host = handoff.reported_span or INVALID_SPAN  # a reported span must be ended
        handoff.spans = (host,)
        if handoff.reported_span is not None:
            return set_span_in_context(host, parent)
        context = _with_current(host, parent)
        if self.observer is None:
            return context
        try:
            self.observer.start_missed(host)
        except Exception:  # noqa: BLE001 - looking at the global provider may load one of another vendor
            exception_once("looking for the tracer provider")
        private = self._start_private(name, host, parent, attributes, start_ns, handoff)
        handoff.spans = (host, private)
        return set_value(_PRIVATE_PARENT, private, context)

    def export_start_marker(self, span: Span, attributes: Attributes, start_ns: int) -> None:
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
        context = _with_current(host, parent)
        if self.observer is None or host.get_span_context().is_valid:
            return (host,), context
        private = self._start_private(name, host, parent, attributes, None, None)
        return (host, private), set_value(_PRIVATE_PARENT, private, context)

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
    def report_end(handoff: StepHandoff, added: Attributes, exception: Mapping[str, str] | None, end_ns: int) -> None:
        """Report the end of a step by its handoff, where its span may not have reported it.

        Args:
            handoff: names the reporter.
            added: attributes that were set since the start, the status among them.
            exception: the attributes of the ``exception`` event of an error.
            end_ns: when the step ended, in nanoseconds since the epoch.
        """
        if handoff.reporter is None:
            return
        try:
            handoff.reporter.end_without_span(handoff.reported_span, added, exception, end_ns)
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("reporting the end of a step")

    def _start_private(  # noqa: PLR0917 - the values of start_step
        self,
        name: str,
        host: Span,
        parent: Context,
        attributes: Mapping[str, Any],
        start_ns: int | None,
        handoff: StepHandoff | None,
    ) -> Span:
        if self.observer is None:
            return INVALID_SPAN
        context = Context() if handoff is None else Context({HANDOFF_KEY: handoff})
        private_parent: object = host
        if not host.get_span_context().is_valid:
            private_parent = get_value(_PRIVATE_PARENT, parent)
        if isinstance(private_parent, Span):
            context = set_span_in_context(private_parent, context)
        try:
            return self.observer.private_tracer().start_span(name, context, attributes=attributes, start_time=start_ns)
        except Exception:  # noqa: BLE001 - the step runs even without a record
            exception_once("starting a span at the private tracer provider")
            if start_ns is not None:
                self.observer.step_lost()
            return INVALID_SPAN


def _with_current(span: Span, context: Context) -> Context:
    """Return a copy of ``context`` with ``span`` as the current one; an equal copy where the span is invalid.

    Without a provider, older APIs start an invalid span even under a remote parent, which it would hide from the
    headers.
    """
    return set_span_in_context(span, context) if span.get_span_context().is_valid else Context(context)


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


class StepObserver(Protocol):
    """Reports the steps of a tracer, and notes those whose spans it does not see."""

    @property
    def owner(self) -> object:
        """The only reporter of these steps: the ``owner`` of their handoffs."""

    @property
    def waits_for_delivery(self) -> bool:
        """Whether each step waits until its events are delivered."""
        ...

    def wait_delivered(self, handoff: StepHandoff) -> DeliveryError | None:
        """Wait until the step's records so far are delivered, or an attempt has failed; never on an event loop.

        Returns:
            The error to raise after the application's code; ``None`` where there is none to raise.
        """

    async def await_delivered(self, handoff: StepHandoff) -> DeliveryError | None:
        """Do the same without blocking asyncio's loop; does not wait on any other loop."""

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
