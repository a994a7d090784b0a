"""Where the spans of steps come from, and which span is the current one while a step runs."""

from collections.abc import Callable
from typing import Final

from opentelemetry.context import Context, get_current, get_value, set_value
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, set_span_in_context

from failpath_otel.report import report_fault
from failpath_otel.semconv import START_ATTRIBUTES
from failpath_otel.steps.attributes import Attributes

_PRIVATE_PARENT: Final = "failpath.private_parent"
"""Context key: the innermost span of the fallback tracer, where the host has no span that could be the parent."""


class Tracing:
    """The host's tracer, and behind it the fallback for spans that nobody would report.

    Args:
        host: the tracer of the application's own provider.
        fallback: makes the tracer of a private provider; called when it is first needed. ``None``: there is none.
        saw: whether the step of a span, just started, has been reported by its provider. ``None``: nobody reports,
            so that no span needs a fallback.
    """

    __slots__ = ("_fallback", "_host", "_saw")

    def __init__(
        self,
        host: Tracer,
        fallback: Callable[[], Tracer] | None = None,
        saw: Callable[[Span], bool] | None = None,
    ) -> None:
        self._host = host
        self._fallback = fallback
        self._saw = saw

    def start_step(self, name: str, attributes: Attributes, start_ns: int) -> tuple[tuple[Span, ...], Context]:
        """Starts the span of a step. Never raises.

        Returns:
            The host's span, followed by the private one where that was needed, and the context in which the step runs:
            the host's span stays the current one there, so that child spans and outgoing headers are what they would
            be anyway.
        """
        parent = get_current()
        host = self._start_host(name, Context({**parent, START_ATTRIBUTES: attributes}), attributes, start_ns)
        inside = set_span_in_context(host, parent)
        if self._saw is None or self._saw(host):
            return (host,), inside
        private = self._start_private(name, host, parent, {START_ATTRIBUTES: attributes}, attributes, start_ns)
        return (host, private), set_value(_PRIVATE_PARENT, private, inside)

    def start_run(self, name: str, attributes: Attributes) -> tuple[tuple[Span, ...], Context]:
        """Starts the span of a run: the parent of its steps, and the reason why they share a trace. Never raises."""
        parent = get_current()
        host = self._start_host(name, parent, attributes, None)
        inside = set_span_in_context(host, parent)
        if self._fallback is None or host.get_span_context().is_valid:
            return (host,), inside
        private = self._start_private(name, host, parent, {}, attributes, None)
        return (host, private), set_value(_PRIVATE_PARENT, private, inside)

    def _start_host(self, name: str, context: Context, attributes: Attributes, start_ns: int | None) -> Span:
        try:
            return self._host.start_span(name, context, attributes=attributes, start_time=start_ns)
        except Exception:  # noqa: BLE001 - a sampler or span processor of the host may raise anything
            report_fault("starting a span at the host's tracer provider")
            return INVALID_SPAN

    def _start_private(  # noqa: PLR0917
        self,
        name: str,
        host: Span,
        parent: Context,
        context: dict[str, object],
        attributes: Attributes,
        start_ns: int | None,
    ) -> Span:
        if self._fallback is None:
            return INVALID_SPAN
        above: object = host
        if not host.get_span_context().is_valid:
            above = get_value(_PRIVATE_PARENT, parent)
        inside = Context(context)
        if isinstance(above, Span):
            inside = set_span_in_context(above, inside)
        try:
            return self._fallback().start_span(name, inside, attributes=attributes, start_time=start_ns)
        except Exception:  # noqa: BLE001 - the step runs, whatever becomes of its record
            report_fault("starting a span at the private tracer provider")
            return INVALID_SPAN
