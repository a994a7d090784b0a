"""Where the spans of steps come from, and which span is the current one while a step runs."""

from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from typing import Any, Final, Protocol

from opentelemetry.context import Context, attach, detach, get_current, get_value, set_value
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, set_span_in_context

from failpath_otel.errors import DeliveryError
from failpath_otel.handoff import HANDOFF_KEY, StepHandoff
from failpath_otel.report import exception_once
from failpath_otel.semconv import EVENT_NAMES, START_MARKER, STATUS_RUNNING, STEP_KEY
from failpath_otel.steps.attributes import Attributes
from failpath_otel.steps.span_events import write_event

_PRIVATE_PARENT: Final = "failpath.private_parent"
"""Context key: the innermost span of the fallback tracer, where the host has no span that could be the parent."""


class StepTracer:
    """The host's tracer, and behind it the fallback for spans that nobody would report."""

    __slots__ = ("host_tracer", "observer", "start_markers")

    def __init__(self, host: Tracer, observer: "StepObserver | None" = None, *, start_markers: bool = False) -> None:
        self.host_tracer = host
        self.observer = observer
        self.start_markers = start_markers
        """Whoever begins a step is to call :meth:`export_start_marker`."""

    def start_step(self, handoff: StepHandoff, start_ns: int) -> Context:
        """Starts the span of a step. Raises nothing of its own.

        The spans are put into ``handoff`` as they are started, because an exception of a signal handler may come
        anywhere in between, and who has begun the step ends what there is. They are the host's span, followed by the
        private one where that was needed.

        Returns:
            The context in which the step runs: the host's span stays the current one there, so that child spans and
            outgoing headers are what they would be anyway.
        """
        parent, attributes = get_current(), handoff.attributes
        name = attributes[STEP_KEY]
        try:
            host = self.host_tracer.start_span(
                name, Context({**parent, HANDOFF_KEY: handoff}), attributes=attributes, start_time=start_ns
            )
        except Exception:  # noqa: BLE001 - a sampler or span processor of the host may raise anything
            exception_once("starting a span at the host's tracer provider")
            host = handoff.reported_span or INVALID_SPAN  # once it is reported, it has to be ended too
        handoff.spans = (host,)
        if handoff.reported_span is not None:
            return set_span_in_context(host, parent)
        inside = _with_current(host, parent)
        if self.observer is None:
            return inside
        try:
            self.observer.start_missed(host)
        except Exception:  # noqa: BLE001 - looking at the global provider may load one of another vendor
            exception_once("looking for the tracer provider")
        private = self._start_private(name, host, parent, attributes, start_ns, handoff)
        handoff.spans = (host, private)
        return set_value(_PRIVATE_PARENT, private, inside)

    def export_start_marker(self, span: Span, attributes: Attributes, start_ns: int) -> None:
        """Leaves a span below ``span`` that is over at once, so that the beginning of its step is exported now."""
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
        """Starts the span of a run: the parent of its steps, and the reason why they share a trace."""
        parent = get_current()
        try:
            host = self.host_tracer.start_span(name, parent, attributes=attributes)
        except Exception:  # noqa: BLE001 - a sampler or span processor of the host may raise anything
            exception_once("starting a span at the host's tracer provider")
            host = INVALID_SPAN
        inside = _with_current(host, parent)
        if self.observer is None or host.get_span_context().is_valid:
            return (host,), inside
        private = self._start_private(name, host, parent, attributes, None, None)
        return (host, private), set_value(_PRIVATE_PARENT, private, inside)

    @staticmethod
    def end(span: Span, end_ns: int | None = None) -> bool:
        """Ends a span; returns whether everybody was told, and no span processor of the host has raised before that."""
        try:
            span.end(end_ns)
        except Exception:  # noqa: BLE001 - a span processor of the host may raise anything
            exception_once("ending a span")
            return False
        return True

    @staticmethod
    def report_end(handoff: StepHandoff, late: Attributes, exception: Mapping[str, str] | None, end_ns: int) -> None:
        """Tells who reports a step that it has ended, where its span may not have done so.

        ``late`` are attributes that were set since the start, the outcome among them; ``exception`` those of an error.
        """
        if handoff.reporter is None:
            return
        try:
            handoff.reporter.end_without_span(handoff.reported_span, late, exception, end_ns)
        except Exception:  # noqa: BLE001 - a span of another vendor may raise anything
            exception_once("reporting the end of a step")

    def finish_host_span(self, spans: tuple[Span, ...]) -> None:
        """Says so where the first of ``spans``, the host's, was not the one that is reported."""
        if len(spans) > 1 and self.observer is not None:
            self.observer.host_span_ended(spans[0])

    def _start_private(  # noqa: PLR0917 - what start_step has
        self,
        name: str,
        host: Span,
        parent: Context,
        attributes: Mapping[str, Any],
        start_ns: int | None,
        start: StepHandoff | None,
    ) -> Span:
        if self.observer is None:
            return INVALID_SPAN
        context = Context() if start is None else Context({HANDOFF_KEY: start})
        above: object = host
        if not host.get_span_context().is_valid:
            above = get_value(_PRIVATE_PARENT, parent)
        if isinstance(above, Span):
            context = set_span_in_context(above, context)
        try:
            return self.observer.private_tracer().start_span(name, context, attributes=attributes, start_time=start_ns)
        except Exception:  # noqa: BLE001 - the step runs, whatever becomes of its record
            exception_once("starting a span at the private tracer provider")
            if start_ns is not None:
                self.observer.step_lost()
            return INVALID_SPAN


def _with_current(span: Span, context: Context) -> Context:
    """A new context, as ``context`` with ``span`` as the current one; the same where that is no span at all.

    Without a provider, older APIs start such a span even under a remote parent, which it would hide from the headers.
    """
    return set_span_in_context(span, context) if span.get_span_context().is_valid else Context(context)


def leave_context(inside: Context, before: Context, token: "Token[Context] | None") -> None:
    """Makes ``before`` current again, unless it is that already.

    A token works only in the context in which it was made. A block that another task leaves, to which asyncio has
    given a copy of the context, still finds what it attached, and can put back what was there. So does one whose token
    was lost, because a signal handler raised as it came.
    """
    current = get_current()
    if current is inside:
        attach(before)
    elif current is not before and token is not None:
        _detach(token)


def leave_block(inside: Context, before: Context, token: "Token[Context] | None") -> None:
    """:meth:`leave_context` at the end of a block, of which ``inside`` was made, and of nothing else.

    A generator may be in the block when it yields. Its items are asked for one by one, each of them perhaps on another
    thread or in another context, as for a streaming response. Then the block ends where it was never entered, and where
    it was, its span would stay the current one for good. No code of ours runs there any more, so the context itself
    becomes what was current before.
    """
    if get_current() is inside:
        attach(before)
        return
    leave_context(inside, before, token)
    made: Any = inside
    if made is not before and isinstance(made, dict):
        # A context forbids assignments, which is to keep users from them; these are seen by all who have it.
        dict.update(made, before)
        for name in made.keys() - before.keys():
            dict.pop(made, name, None)


def _detach(token: Any) -> None:  # noqa: ANN401 - of whatever runtime context there is
    """Detaches; in another context than that of the token, where nothing can be, this does nothing."""
    if not isinstance(token, Token):  # of a runtime context that is not OpenTelemetry's own
        detach(token)
        return
    # `detach` does the same, and logs an error where it cannot be.
    with suppress(ValueError, RuntimeError):
        token.var.reset(token)


class StepObserver(Protocol):
    """Somebody who reports steps, and wants to know of those that it does not see."""

    @property
    def owner(self) -> object:
        """Who alone reports these steps: the ``owner`` of their markers."""
        ...

    @property
    def waits_for_delivery(self) -> bool:
        """Whether each step is to wait until its events were sent."""
        ...

    def wait_delivered(self, handoff: StepHandoff) -> DeliveryError | None:
        """Wait until the step's records so far are delivered, or an attempt has failed; never on an event loop.

        Returns:
            The error to raise after the application's code; ``None`` where there is none to raise.
        """
        ...

    async def await_delivered(self, handoff: StepHandoff) -> DeliveryError | None:
        """:meth:`wait_delivered` without blocking asyncio's loop; does not wait on any other loop."""
        ...

    def private_tracer(self) -> Tracer:
        """The tracer for spans that the host's provider does not report."""
        ...

    def start_missed(self, span: Span) -> None:
        """The step of ``span``, which the host has started, was not reported; a private span will be."""
        ...

    def host_span_ended(self, span: Span) -> None:
        """``span``, in whose place a private one was reported, has ended."""
        ...

    def step_lost(self) -> None:
        """A step will not be reported at all."""
        ...

    def run_ended(self, timeout: float) -> None:
        """A run has ended, and so may this process, at once: sends what waits, and waits at most so many seconds."""
        ...
