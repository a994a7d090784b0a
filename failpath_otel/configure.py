"""The one place that knows both halves: joins steps, delivery and the application's tracer provider."""

import threading
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Span, TracerProvider, get_tracer, get_tracer_provider

from failpath_otel import limits
from failpath_otel._version import __version__
from failpath_otel.export.ending import patience
from failpath_otel.export.forking import after_fork_in_child
from failpath_otel.export.options import Options
from failpath_otel.export.processor import FailpathSpanProcessor
from failpath_otel.export.stats import Stats
from failpath_otel.private_provider import private_tracer
from failpath_otel.report import report_fault
from failpath_otel.steps.client import SCOPE_NAME, Failpath
from failpath_otel.steps.tracing import Tracing


class FailpathClient(Failpath):
    """A :class:`Failpath` whose steps are delivered to Failpath; made by :func:`configure`."""

    def __init__(self, tracer_provider: TracerProvider | None, join: "Join") -> None:
        super().__init__(tracer_provider=tracer_provider)
        self._join = join
        self._tracing = Tracing(
            get_tracer(SCOPE_NAME, __version__, tracer_provider),
            _Reporting(join, follows_global=tracer_provider is None),
        )

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Waits at most ``timeout`` seconds until everything recorded so far was delivered.

        Returns:
            Whether every record of this process was really delivered. A record that is lost makes this ``False`` for
            good; :meth:`stats` tells how many and why.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
        """
        return self._join.processor.flush(timeout)

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """:meth:`flush` for async code: waits without blocking the event loop."""
        return await self._join.processor.aflush(timeout)

    def shutdown(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Flushes for at most ``timeout`` seconds, then takes no more records; returns what the flush said.

        Steps still run and are still ordinary spans; they are only not delivered any more. At the end of the
        interpreter this is not needed: what waits is flushed by itself.
        """
        return self._join.processor.close(timeout)

    def stats(self) -> Stats:
        """How many records there were, and what became of them."""
        return self._join.processor.stats()


def configure(
    *,
    project_key: str | None = None,
    endpoint: str | None = None,
    capture_stack: bool = False,
    tracer_provider: TracerProvider | None = None,
) -> FailpathClient:
    """Sends the steps of this process to Failpath. One call; returns the client.

    Joins the OpenTelemetry set-up that is there, by adding one span processor to its tracer provider; where there is
    none, steps go by a private provider. Never sets the global provider, a sampler or a signal handler, and changes
    nothing about the spans of others.

    A provider has one destination: called again for the same provider, the last call's options hold, for steps that
    begin from then on and for all clients of that provider, and ``shutdown()`` of one of them ends delivery for all.
    A global provider that is set later is joined when the next step begins.

    Args:
        project_key: the Failpath project. Default: ``FAILPATH_PROJECT_KEY``. A secret.
        endpoint: where Failpath is. Default: ``FAILPATH_DEV_ENDPOINT``, else ``https://api.failpath.dev``.
        capture_stack: send the stack trace of an error along.
        tracer_provider: the provider to join. Default: the global one, also one that is set later.

    Raises:
        ConfigurationError: the project key is missing, or an option cannot work.
    """
    options = Options.resolve(project_key, endpoint, capture_stack=capture_stack)
    with _registry.lock:
        join = _find(tracer_provider)
        if join is None:
            join = Join(options)
        else:
            join.processor.reconfigure(options)
        join.add_to(tracer_provider if tracer_provider is not None else get_tracer_provider())
        if tracer_provider is None:
            _registry.default = join
        return FailpathClient(tracer_provider, join)


class Join:
    """One pipeline and the providers that feed it: those of the application, and the private one behind them."""

    def __init__(self, options: Options) -> None:
        self.processor: Final = FailpathSpanProcessor(
            project_key=options.project_key, endpoint=options.endpoint, capture_stack=options.capture_stack
        )
        self._shared: Final = _SharedProcessor(self.processor)
        self.private_tracer: Final = private_tracer(self._shared, SCOPE_NAME, __version__)
        self._tried: Callable[[], object] = lambda: None
        self._joined = False

    def unseen(self, span: Span) -> None:
        """Leaves alone the end of ``span``, whose beginning was not reported: its step has a private span."""
        if self._joined and span.is_recording():
            # It began before the provider was joined, and will end after.
            self.processor.disregard(span.get_span_context())

    def follow(self) -> None:
        """Joins the global provider if it was set meanwhile, for the steps to come."""
        provider = get_tracer_provider()
        if provider is not self._tried():
            with _registry.lock:
                self.add_to(provider)

    def add_to(self, provider: TracerProvider) -> None:
        """Adds the processor to ``provider``, unless that was done, or ``provider`` takes none."""
        try:
            self._tried = weakref.ref(provider)
            known = True
        except TypeError:  # a provider that cannot be remembered would be joined again and again
            self._tried = lambda: provider
            known = False
        self._joined = _registry.joins.get(provider) is self if known else False
        add: Any = getattr(provider, "add_span_processor", None)
        if add is None or not known or provider in _registry.joins:
            return
        try:
            add(self._shared)
        except Exception:  # noqa: BLE001 - a provider of another vendor may raise anything; the private one is there
            report_fault("joining the tracer provider")
            return
        _registry.joins[provider] = self
        self._joined = True


class _SharedProcessor(SpanProcessor):
    """The processor as a provider sees it: several providers share one, so the shutdown of one only flushes it."""

    def __init__(self, processor: FailpathSpanProcessor) -> None:
        self._processor = processor
        # Not one more call for every span of the application.
        self.on_start = processor.on_start  # type: ignore[method-assign]
        self.on_end = processor.on_end  # type: ignore[method-assign]
        self.force_flush = processor.force_flush  # type: ignore[method-assign]

    def shutdown(self) -> None:
        self._processor.flush(patience(limits.FLUSH_TIMEOUT))


class _Reporting:
    """What the steps of one client need of its join."""

    def __init__(self, join: Join, *, follows_global: bool) -> None:
        self._join = join
        self._follows_global = follows_global
        self.private_tracer: Final = join.private_tracer
        self.owner: Final = join.processor

    def unseen(self, span: Span) -> None:
        if self._follows_global:
            self._join.follow()
        self._join.unseen(span)

    def ended(self, span: Span) -> None:
        if isinstance(span, ReadableSpan):
            self._join.processor.make_sure_of_end(span)

    def lost(self) -> None:
        self._join.processor.lose(2)


class _Registry:
    """The joins of this process: one a provider, and one for whatever the global provider is."""

    def __init__(self) -> None:
        self.joins: MutableMapping[TracerProvider, Join] = weakref.WeakKeyDictionary()
        self.default: Join | None = None
        self._unlock()
        after_fork_in_child(self._unlock)

    def _unlock(self) -> None:
        # Another thread may have held it when the process was forked, and does not exist in the child.
        self.lock = threading.RLock()


_registry: Final = _Registry()


def _find(tracer_provider: TracerProvider | None) -> Join | None:
    """The join that a provider has already; for the global one, also the join that waits for it."""
    provider = tracer_provider if tracer_provider is not None else get_tracer_provider()
    try:
        join = _registry.joins.get(provider)
    except TypeError:  # a provider that no weak reference can point to
        join = None
    return join or (_registry.default if tracer_provider is None else None)
