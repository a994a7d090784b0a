"""The one module that knows both halves: joins steps, delivery and the tracer provider of the application."""

from collections.abc import Callable, Mapping
from copy import copy
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Span, TracerProvider, get_tracer, get_tracer_provider

from failpath_otel import limits
from failpath_otel._version import __version__
from failpath_otel.delivery.at_exit import send_before_exit
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.waiters.tickets import aawait_attempt, await_attempt
from failpath_otel.errors import ConfigurationError, DeliveryError
from failpath_otel.joined_providers import JOINS, Join
from failpath_otel.options.arguments import Compression, DeliveryMode, Enabled, OnError, Payload, Redact, RulesOption
from failpath_otel.public import public
from failpath_otel.scrubbing.values import type_name
from failpath_otel.semconv import SCOPE_NAME
from failpath_otel.startup_log import log_start
from failpath_otel.step_state import StepState
from failpath_otel.steps.client import Failpath
from failpath_otel.steps.event_loops import on_asyncio, on_event_loop
from failpath_otel.steps.step_tracer import StepTracer

if TYPE_CHECKING:
    import requests
    from opentelemetry.metrics import MeterProvider


@public
class FailpathClient(Failpath):
    """A :class:`Failpath` whose steps are delivered to Failpath; made by :func:`configure`.

    Example:
        >>> import failpath_otel
        >>> failpath = failpath_otel.configure(project_key="fp_project_xxx")
        >>> with failpath.run("checkout", run_id="order-17") as run:
        ...     run.step("charge-card", lambda: "ch_1")
        'ch_1'
        >>> failpath.flush()
        True
    """

    def __init__(self, tracer_provider: TracerProvider | None, join: Join) -> None:
        super().__init__(tracer_provider=tracer_provider)
        self._join = join
        # Modules that each call `configure` share the current run, as they share the destination.
        self._current_key = join.current_key
        self._tracer = StepTracer(
            get_tracer(SCOPE_NAME, __version__, tracer_provider),
            _JoinObserver(join, follows_global=tracer_provider is None),
        )

    def _warn_of_no_run(self, step_key: str, fn: Callable[..., Any]) -> None:
        if self._join.reporter.options.enabled:
            super()._warn_of_no_run(step_key, fn)

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Wait at most ``timeout`` seconds (default: 5) until everything recorded so far is delivered.

        While Failpath cannot be reached, this makes one attempt at once, and further attempts as time allows.

        Returns:
            Whether every record of this process was delivered. A lost record makes this ``False`` for good;
            :meth:`stats` has the counts and the reasons.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
            DeliveryError: with ``throw_on_send_error``, instead of returning ``False``: the first loss that was not
                raised yet, otherwise the failure for which records wait. If there is neither, it returns ``False``.

        Example:
            >>> run = failpath.run("checkout", run_id="order-17")
            >>> run.skip("send-receipt-email")
            >>> failpath.flush(timeout=2.0)
            True
            >>> failpath.stats().delivered
            1
        """
        return self._raise_if_incomplete(self._join.reporter.flush(timeout))

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Do the same as :meth:`flush` in async code, without blocking the event loop.

        Example:
            >>> import asyncio
            >>> async def handle(order):
            ...     async with failpath.run("checkout", run_id=order) as run:
            ...         run.skip("send-receipt-email")
            ...     return await failpath.aflush(timeout=1.0)
            >>> asyncio.run(handle("order-17"))
            True
        """
        return self._raise_if_incomplete(await self._join.reporter.aflush(timeout))

    def _raise_if_incomplete(self, complete: bool) -> bool:  # noqa: FBT001 - the result of a flush
        reporter = self._join.reporter
        if not complete and reporter.options.throw_on_send_error:
            error = reporter.pipelines.take_error()
            if error is not None:
                error.raised = True
                raise copy(error)
        return complete

    def shutdown(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Flush for at most ``timeout`` seconds (default: 5), then accept no more records; return the flush's result.

        Steps still run and are still ordinary spans, but they are no longer delivered. You do not need this at the end
        of the interpreter: waiting records are flushed automatically.

        Raises:
            ConfigurationError: ``timeout`` is not a number of seconds.
            DeliveryError: as in :meth:`flush`, after the shutdown.

        Example:
            >>> failpath.run("checkout", run_id="order-17").skip("send-receipt-email")
            >>> failpath.shutdown(timeout=2.0)
            True
        """
        return self._raise_if_incomplete(self._join.reporter.close(timeout))

    def stats(self) -> Stats:
        """Return the counts of records: accepted, delivered, waiting, and lost by reason.

        Example:
            >>> failpath.run("checkout", run_id="order-17").skip("send-receipt-email")
            >>> failpath.flush()
            True
            >>> stats = failpath.stats()
            >>> stats.delivered, stats.waiting, stats.dropped
            (1, 0, {})
        """
        return self._join.reporter.pipelines.stats()


@public
def configure(
    *,
    project_key: str | None = None,
    endpoint: str | None = None,
    enabled: Enabled | None = None,
    default_metadata: Mapping[str, object] | None = None,
    capture_stack: bool | None = None,
    send_error_messages: bool | None = None,
    send_process: bool | None = None,
    delivery: DeliveryMode | None = None,
    throw_on_send_error: bool | None = None,
    send_timeout: float | None = None,
    max_queue_size: int | None = None,
    journal: str | PathLike[str] | None = "default",
    compression: Compression | None = None,
    on_error: OnError | None = None,
    redact: Redact | None = None,
    session: "requests.Session | None" = None,
    route: str | None = None,
    headers: Mapping[str, str] | None = None,
    payload: Payload | None = None,
    rules: RulesOption | None = None,
    flows: str | PathLike[str] | None = None,
    metrics: "MeterProvider | bool | None" = None,
    tracer_provider: TracerProvider | None = None,
) -> FailpathClient:
    """Send the steps of this process to Failpath. One call is enough; it returns the client.

    It joins the existing OpenTelemetry set-up by adding one span processor to its tracer provider. If there is none,
    steps use a private provider. It never sets the global provider, a sampler or a signal handler, and does not change
    other spans.

    A provider has one destination. If this is called again for the same provider, the options of the last call apply to
    all clients of that provider, for steps that begin from then on; ``shutdown()`` of one client ends delivery for all.
    A global provider that is set later is joined when the next step begins. When the last joined provider is shut down
    or collected, waiting records are delivered; then thread, connection and journal are released until another step
    begins.

    If an argument is ``None``, its environment variable applies, otherwise its default.

    Args:
        project_key: the key of the Failpath project; it is a secret. ``FAILPATH_PROJECT_KEY``.
        endpoint: the base URL of Failpath. ``FAILPATH_DEV_ENDPOINT`` or ``FAILPATH_ENDPOINT``, else
            ``https://api.failpath.dev``.
        enabled: ``False``: functions run, steps are spans of your provider, and nothing is sent; no key is needed.
            ``"if-key-present"``: like ``False`` if there is no key, for example in CI and migrations; otherwise like
            ``True``. ``FAILPATH_ENABLED``, else ``True``.
        default_metadata: JSON-like values for every record; those of the run and the step take precedence. Do not put
            secrets into it.
        capture_stack: also send the stack trace of an error. ``FAILPATH_CAPTURE_STACK``, else ``False``.
        send_error_messages: ``False``: send only the name of an error. ``FAILPATH_SEND_ERROR_MESSAGES``, else ``True``.
        send_process: send host name, pid and start time of the process. ``FAILPATH_SEND_PROCESS``, else ``True``.
        delivery: ``"background"``, or ``"await"``: a step waits until its event was sent, or an attempt to send it has
            failed. Async code waits without blocking the event loop; synchronous code on an event loop does not wait.
            ``FAILPATH_DELIVERY``, else ``"background"``.
        throw_on_send_error: raise a :class:`DeliveryError` from ``flush()`` and ``shutdown()``, and with
            ``delivery="await"`` from the step as well, after its function has run; an exception of the function takes
            precedence. ``FAILPATH_THROW_ON_SEND_ERROR``, else ``False``.
        send_timeout: seconds for one request as a whole; 0: no limit. ``FAILPATH_SEND_TIMEOUT``, else 1.5.
        max_queue_size: the number of records that may wait in memory, from 2 to 1,000,000, within 16 MiB; beyond that,
            new steps are dropped. A journal has its own limits. ``FAILPATH_MAX_QUEUE_SIZE``, else 10,000.
        journal: the directory in which records wait, so that they outlive the process; ``None``: they wait in memory.
            ``FAILPATH_JOURNAL`` (``off`` for memory), else a directory in the user's state directory; on Windows,
            memory.
        compression: how request bodies are compressed: ``"gzip"`` or ``"none"``. ``FAILPATH_COMPRESSION``, else
            ``"none"``.
        on_error: called with a :class:`DeliveryError` at the first failed attempt of each batch and for every loss, on
            a thread of its own.
        redact: called with the key and the value of every metadata item of a record, and with ``error.message`` and
            ``error.stack`` and their texts, on the thread of the step; its result replaces the value.
        session: send with this ``requests.Session`` instead of the package's own connections. No other code may use it
            at the same time. ``send_timeout`` then applies to the connection and to each read.
        route: the path that is added to the endpoint; default: ``/v1/events``.
        headers: HTTP headers; they take precedence over those of the wire contract.
        payload: makes the JSON body of a request from its list of events.
        rules: :class:`StepRule` objects, which turn spans of other tracers into steps; or a string that names presets
            and TOML files of rules, ``"preset:django,celery,./rules.toml"``; or a list of both. ``FAILPATH_RULES``, a
            string; else none.
        flows: the path of ``.failpath/flows.json``: if a step has a flow or step key that is not in it, one warning for
            that key is logged; nothing else changes. If the file cannot be read, this is logged, and nothing is
            checked. ``FAILPATH_FLOWS``, else none.
        metrics: report the figures of ``stats()`` as OpenTelemetry metrics. ``True``: to the global meter provider,
            even if it is set later; a ``MeterProvider``: to this one; ``False``: not at all. ``FAILPATH_METRICS``, else
            ``True``.
        tracer_provider: the provider to join. Default: the global one, even if it is set later.

    Raises:
        ConfigurationError: the project key is missing, or an option is invalid.

    Example:
        >>> import failpath_otel
        >>> failpath = failpath_otel.configure(project_key="fp_project_xxx")
        >>> run = failpath.run("checkout", run_id="order-17")
        >>> run.step("charge-card", lambda: "ch_1")
        'ch_1'
        >>> failpath.flush()
        True
    """
    # Imported on use (decision 0005).
    from failpath_otel.options.options import Options  # noqa: PLC0415

    options = Options.resolve(
        project_key=project_key,
        endpoint=endpoint,
        enabled=enabled,
        default_metadata=default_metadata,
        capture_stack=capture_stack,
        send_error_messages=send_error_messages,
        send_process=send_process,
        delivery=delivery,
        throw_on_send_error=throw_on_send_error,
        send_timeout=send_timeout,
        max_queue_size=max_queue_size,
        journal=journal,
        compression=compression,
        on_error=on_error,
        redact=redact,
        session=session,
        route=route,
        headers=headers,
        payload=payload,
        rules=rules,
        flows=flows,
        metrics=metrics,
    )
    if tracer_provider is not None and (
        isinstance(tracer_provider, type) or not callable(getattr(tracer_provider, "get_tracer", None))
    ):
        msg = f"tracer_provider must be an OpenTelemetry TracerProvider, got {type_name(tracer_provider)}"
        raise ConfigurationError(msg)
    with JOINS.lock:
        join = JOINS.find(tracer_provider)
        if join is None:
            join = Join(options)
        else:
            join.reporter.reconfigure(options)
        provider = tracer_provider if tracer_provider is not None else get_tracer_provider()
        join.add_to(provider)
        if tracer_provider is None:
            JOINS.default = join
        client = FailpathClient(tracer_provider, join)
        joined = JOINS.get(provider) is join
    # Without the lock: a logging handler of the application may take long, or call this again.
    log_start(options, provider if joined else None)
    return client


class _JoinObserver:
    """Connects the steps of one client with its join."""

    def __init__(self, join: Join, *, follows_global: bool) -> None:
        self._join = join
        self._follows_global = follows_global
        self.private_tracer: Final = join.private.tracer
        self.start_lean: Final = join.start_lean
        self.new_lean_ids: Final = join.new_lean_ids
        self.owner: Final = join.reporter

    def wait_delivered(self, state: StepState) -> DeliveryError | None:
        return None if on_event_loop() else self._to_raise(await_attempt(state, self.owner.options.wait_budget))

    async def await_delivered(self, state: StepState) -> DeliveryError | None:
        return self._to_raise(await aawait_attempt(state, self.owner.options.wait_budget)) if on_asyncio() else None

    def _to_raise(self, error: DeliveryError | None) -> DeliveryError | None:
        return error if self.owner.options.throw_on_send_error else None

    def start_missed(self, span: Span) -> None:
        if self._follows_global:
            self._join.follow_global()
        self._join.ignore_unreported(span)

    def host_span_ended(self, span: Span) -> None:
        self.owner.stop_ignoring(span.get_span_context())

    def step_lost(self) -> None:
        self.owner.lose(2)

    def run_ended(self, timeout: float) -> None:
        send_before_exit(timeout)
