"""The client: opens runs, and records events by hand."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from opentelemetry.trace import TracerProvider, get_tracer, get_tracer_provider

from failpath_otel import limits, semconv
from failpath_otel._version import __version__
from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.public import public
from failpath_otel.report import warn_once
from failpath_otel.runtime.trio_loop import running_trio
from failpath_otel.scrubbing.values import clean_metadata, clean_text, type_name
from failpath_otel.semconv import SCOPE_NAME
from failpath_otel.step_state import RunIdentity
from failpath_otel.steps.definition import StepDefinition
from failpath_otel.steps.keys import check_header, check_key, check_status, make_run_id
from failpath_otel.steps.manual_record import Time, check_times, record_manually
from failpath_otel.steps.open_step import NoStep
from failpath_otel.steps.outcome import described_error_attributes
from failpath_otel.steps.propagation import UNKNOWN_FLOW, Headers, read_baggage, read_headers
from failpath_otel.steps.run import Run, current_run
from failpath_otel.steps.step_tracer import StepTracer
from failpath_otel.steps.wrap import NewStep, decorate

F = TypeVar("F", bound=Callable[..., Any])
Metadata = Mapping[str, object]

_NO_RUN: Final = (
    "Failpath: %s, the step %r of the current run, was called without a run, for example on a thread of a pool or for a"
    " message that brought no run; such calls are not recorded. Pass the run and call run.step() there, or call it in"
    " contextvars.copy_context()."
)
_client_numbers: Final = itertools.count()


@public
class Failpath:
    """Records steps as ordinary OpenTelemetry spans, for the exporters of a tracer provider. Sends nothing to Failpath.

    Args:
        tracer_provider: opens the spans. ``None``: the global provider, even if it is set later.
        start_markers: at the start of each step, also open a span below it that ends at once. Spans are exported when
            they have ended, so only such a span shows ``failpath-otel gateway`` a step that still runs. Default: off.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from failpath_otel import Failpath
        >>> provider = TracerProvider()  # with the exporters of your OTLP backend
        >>> Failpath(tracer_provider=provider).run("checkout", run_id="order-17").step("charge-card", lambda: "ch_1")
        'ch_1'
    """

    def __init__(self, *, tracer_provider: TracerProvider | None = None, start_markers: bool = False) -> None:
        self._tracer_provider = tracer_provider
        self._tracer = StepTracer(
            get_tracer(SCOPE_NAME, __version__, tracer_provider), start_markers=bool(start_markers)
        )
        self._current_key = f"failpath.current_run.{next(_client_numbers)}"

    def run(
        self, flow_key: str, *, run_id: object = None, metadata: Metadata | None = None, propagate: bool = False
    ) -> Run:
        """Return one execution of a flow. Sends nothing by itself.

        Args:
            flow_key: names the flow; 1 to 200 characters.
            run_id: groups the steps of this execution, for example a request id or a job id. Any object is converted to
                its text; if it is ``None`` or empty, an id is generated.
            metadata: JSON-like values for every step of the run; never sent to other services. Do not put
                secrets into it.
            propagate: send the flow key and the run id as W3C baggage, while the run is the current one or one of its
                steps is open, so that :meth:`current_run` finds the run in the services that are called. OpenTelemetry
                sends baggage to *every* host that the program calls, including those of others. If some of them must
                not see the key and the id, leave this off, and send :meth:`Run.headers` to the others. Default: off.

        Raises:
            TypeError: ``flow_key`` is not a string.
            ValueError: ``flow_key`` is empty or too long.

        Example:
            >>> with failpath.run("checkout", run_id="order-17", metadata={"route": "/checkout"}) as run:
            ...     run.step("charge-card", lambda: "ch_1")
            'ch_1'
            >>> run
            Run('checkout', run_id='order-17')
        """
        return Run(self._tracer, self._current_key, flow_key, run_id, metadata, propagate)

    def run_from_headers(
        self,
        headers: Headers,
        *,
        flow: str | None = None,
        run_id: object = None,
        run_id_header: str | None = None,
        metadata: Metadata | None = None,
    ) -> Run:
        """Return the run that another service has begun, from its :meth:`Run.headers`. Sends nothing.

        The sender of the headers chooses the flow and the run: they are for services that trust each other. A value
        that is not well formed (too long, with control characters, of a wrong type, several that contradict each other)
        is refused, and this is logged once; a refused or missing run id is replaced. ``headers`` never cause an error.

        Args:
            headers: the headers of a request or a message: a mapping or pairs, with names in any case, and values that
                are strings, bytes, or lists of them. A WSGI environment, an ASGI scope's ``headers``, gRPC metadata and
                the message attributes of SQS work too. ``None``: there are none.
            flow: the flow key if ``headers`` have none. Default: ``"unknown"``.
            run_id: the run id if ``headers`` have none, for example the id of a job; as in :meth:`run`.
            run_id_header: the name of a header, such as ``"X-Request-Id"``. Its text is the run id if ``headers`` have
                no other. It takes precedence over ``run_id``, and is refused like the others.
            metadata: JSON-like values for every step that this service records. Do not put secrets into it.

        Raises:
            TypeError: ``flow`` or ``run_id_header`` is not a string.
            ValueError: one of them is empty or too long, or ``run_id_header`` looks like the name of a secret.

        Example:
            >>> headers = failpath.run("checkout", run_id="order-17").headers()  # in the calling service
            >>> failpath.run_from_headers(headers)
            Run('checkout', run_id='order-17')
            >>> failpath.run_from_headers({"X-Request-Id": "req-1"}, flow="shop", run_id_header="X-Request-Id")
            Run('shop', run_id='req-1')
        """
        fallback = None if flow is None else check_key("flow", flow)
        flow_key, sent_run_id = read_headers(headers, check_header(run_id_header))
        if flow_key is None and fallback is None:
            warn_once(
                "run headers without flow",
                "Failpath: headers have no usable flow key; the run's flow is %r. Set it by flow=.",
                UNKNOWN_FLOW,
            )
        return Run(
            self._tracer, self._current_key, flow_key or fallback or UNKNOWN_FLOW, sent_run_id or run_id, metadata
        )

    def current_run(self) -> Run | None:
        """Return the run of this client whose ``with`` block encloses the caller, else a run that another service sent.

        A run that was sent is in the W3C baggage of the current context. It is a run with ``propagate=True`` in the
        calling service, if OpenTelemetry's instrumentations send and receive baggage; or such a run in this service,
        while one of its steps is open outside its block. It is a new object at every call, with the flow key and the
        run id and no metadata. Baggage that is not well formed is refused, and this is logged once.

        Returns:
            The run, or ``None`` if there is no such run.

        Example:
            >>> with failpath.run("checkout", run_id="order-17"):
            ...     failpath.current_run()
            Run('checkout', run_id='order-17')
            >>> failpath.current_run() is None
            True
        """
        run = current_run(self._current_key)
        if run is not None:
            return run
        found = read_baggage()
        return None if found is None else Run(self._tracer, self._current_key, *found, None, begins_here=False)

    def step(self, step_key: str, *, metadata: Metadata | None = None) -> Callable[[F], F]:
        """Decorate a function that is defined before there is a run: each call is a step of the current run.

        Without a current run, the function runs and nothing is recorded; this is logged once for each function.

        Args:
            step_key: names the step in the flow; 1 to 200 characters.
            metadata: JSON-like values for this step; they take precedence over those of the run. Do not put secrets
                into it.

        Raises:
            TypeError: ``step_key`` is not a string.
            ValueError: ``step_key`` is empty or too long.

        Example:
            >>> @failpath.step("charge-card")
            ... def charge(order):
            ...     return f"ch_{order}"
            >>> with failpath.run("checkout", run_id="order-17"):
            ...     charge(17)
            'ch_17'
        """
        key = check_key("step_key", step_key)

        def decorated(fn: F) -> F:
            warned = False

            def new_step() -> NewStep:
                nonlocal warned
                run = self.current_run()
                if run is not None:
                    return run._new_step(key, metadata)  # noqa: SLF001 - a friend of Run
                if not warned:
                    warned = True
                    self._warn_of_no_run(key, fn)
                return NoStep(), None, None

            return decorate(new_step, fn)

        return decorated

    def _warn_of_no_run(self, step_key: str, fn: Callable[..., Any]) -> None:
        try:
            name = f"{fn.__module__}.{getattr(fn, '__qualname__', type_name(fn))}"
            # Once a name: a function may be defined and decorated again and again.
            warn_once(f"no run {name} {step_key}", _NO_RUN, name, step_key)
        except Exception as error:  # noqa: BLE001 - a callable of the application may raise anything where it has no name
            reraise_if_from_handler(error)

    def record_step(
        self,
        *,
        flow_key: str,
        run_id: object,
        step_key: str,
        status: semconv.Status,
        metadata: Metadata | None = None,
        error: BaseException | Mapping[str, object] | str | None = None,
        started_at: Time | None = None,
        timestamp: Time | None = None,
    ) -> None:
        """Record one lifecycle event by hand, for callbacks of third parties and work that runs elsewhere.

        Args:
            flow_key: names the flow; 1 to 200 characters.
            run_id: the run id, converted to text; if it is ``None`` or empty, an id is generated.
            step_key: names the step in the flow; 1 to 200 characters.
            status: ``running``, ``success``, ``error`` or ``skipped``.
            metadata: JSON-like values. Do not put secrets into it.
            error: with status ``error``: an exception, its message, or a mapping of ``name``, ``message``, ``stack``.
                A stack in a mapping is always sent: ``capture_stack`` applies only to the stacks of exceptions.
            started_at: when the step began: a ``datetime`` (naive means local time) or seconds since the epoch. With
                it, an outcome has a duration; for ``running``, it is the time of the event.
            timestamp: when the event happened, in the same forms. Default: now.

        Raises:
            TypeError: a key or the status is not a string, or a time is neither a ``datetime`` nor a number.
            ValueError: a key is empty or too long, the status is unknown, a time is out of range, ``timestamp`` is
                before ``started_at``, or ``error`` is given with a status other than ``error``.
            DeliveryError: with ``delivery="await"`` and ``throw_on_send_error``, the event was not delivered.

        Example:
            >>> failpath.record_step(flow_key="checkout", run_id="order-17", step_key="ship", status="running")
            >>> failpath.record_step(
            ...     flow_key="checkout", run_id="order-17", step_key="ship", status="error", error="the van broke down"
            ... )
        """
        flow_key, step_key = check_key("flow_key", flow_key), check_key("step_key", step_key)
        check_status(status)
        if error is not None and status != semconv.STATUS_ERROR:
            raise ValueError(f"error is allowed with status 'error' only, got status {clean_text(status, 80)!r}")
        started_ns, timestamp_ns = check_times(started_at, timestamp)
        described, stack_given = (None, False) if error is None else described_error_attributes(error)
        record_manually(
            self._tracer,
            StepDefinition(RunIdentity(flow_key, make_run_id(run_id)), step_key, clean_metadata(metadata)),
            status,
            error=described,
            stack_given=stack_given,
            started_ns=started_ns,
            timestamp_ns=timestamp_ns,
        )

    def flush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Make the tracer provider export the spans that have ended.

        Args:
            timeout: seconds, 5 by default. OpenTelemetry's batch processor ignores it, and returns ``True`` after
                failed exports too.

        Returns:
            The result of the provider's ``force_flush``; ``True`` if it does not have this method.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import Failpath
            >>> Failpath(tracer_provider=TracerProvider()).flush(timeout=2.0)
            True
        """
        provider = self._tracer_provider or get_tracer_provider()
        force_flush = getattr(provider, "force_flush", None)
        return force_flush is None or force_flush(int(timeout * 1000)) is not False

    async def aflush(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Do the same as :meth:`flush` in async code, without blocking the event loop.

        Example:
            >>> import asyncio
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import Failpath
            >>> asyncio.run(Failpath(tracer_provider=TracerProvider()).aflush(timeout=2.0))
            True
        """
        trio = running_trio()
        if trio is not None:
            complete: bool = await trio.to_thread.run_sync(self.flush, timeout, abandon_on_cancel=True)
            return complete
        # Imported on use: a caller that awaits has imported it (decision 0005).
        import asyncio  # noqa: PLC0415

        return await asyncio.to_thread(self.flush, timeout)

    def shutdown(self, timeout: float = limits.FLUSH_TIMEOUT) -> bool:
        """Do the same as :meth:`flush`: the tracer provider belongs to the application, which shuts it down itself.

        Example:
            >>> from opentelemetry.sdk.trace import TracerProvider
            >>> from failpath_otel import Failpath
            >>> provider = TracerProvider()
            >>> Failpath(tracer_provider=provider).shutdown(timeout=2.0)
            True
            >>> provider.shutdown()
        """
        return self.flush(timeout)
