"""A run: one execution of a flow, and the steps that belong to it."""

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, overload

from opentelemetry.context import Context, attach, get_current, get_value, set_value
from opentelemetry.trace import Span, StatusCode

from failpath_otel import semconv
from failpath_otel.public import public
from failpath_otel.report import exception_once
from failpath_otel.runtime.exits import abrupt_exit
from failpath_otel.scrubbing.values import clean_metadata, type_name
from failpath_otel.semconv import FLOW_KEY, RUN_ID
from failpath_otel.step_state import RunIdentity
from failpath_otel.steps.definition import StepDefinition, merged, named
from failpath_otel.steps.keys import StepKey_contra, check_key, make_run_id
from failpath_otel.steps.manual_record import record_manually
from failpath_otel.steps.open_step import OpenStep, describe_error, status_description
from failpath_otel.steps.outcome import is_failure
from failpath_otel.steps.propagation import BaggageStepTracer, write_headers
from failpath_otel.steps.run_end import RunEndFlush, run_end_flush_of
from failpath_otel.steps.span_events import write_event
from failpath_otel.steps.step import Step
from failpath_otel.steps.step_tracer import StepTracer, leave_block
from failpath_otel.steps.wrap import NewStep, call, deferred_kind, run_deferred

T = TypeVar("T")
RunT = TypeVar("RunT", bound="Run[Any]")
Metadata = Mapping[str, object]
_NO_FN: Any = object()  # not None, which a lookup of a handler may have returned


@public
class Run(Generic[StepKey_contra]):
    """One execution of a flow, made by :meth:`Failpath.run`. Making one sends nothing.

    A run does not need a block: its steps can be opened from any thread or task. If you enter it by ``with`` or ``async
    with``, it also opens a span that is the parent of its steps, and becomes the current run. You can enter the block
    again, even in other threads and tasks at the same time.

    For type checkers, ``Run`` takes any step key, and ``Run[Literal["pack", "ship"]]`` only these two. The module that
    ``failpath-otel types`` makes from ``.failpath/flows.json`` uses such types for the runs of its flows.

    Example:
        >>> with failpath.run("checkout", run_id="order-17") as run:
        ...     run.step("charge-card", lambda: "ch_1")
        ...     run.skip("send-receipt-email")
        'ch_1'
    """

    __slots__ = ("_current_key", "_end_flush", "_entries", "_identity", "_metadata", "_tracer")

    def __init__(  # noqa: PLR0917 - called by the client alone
        self,
        tracer: StepTracer,
        current_key: str,
        flow_key: object,
        run_id: object,
        metadata: object,
        propagate: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        begins_here: bool = True,
    ) -> None:
        self._current_key: Final = current_key
        identity = RunIdentity(check_key("flow_key", flow_key), make_run_id(run_id))
        self._identity: Final = identity
        self._tracer: Final = BaggageStepTracer(tracer, identity.flow_key, identity.run_id) if propagate else tracer
        self._entries: list[_Entered] = []
        self._metadata: Final = clean_metadata(metadata)
        # A run that another service has begun does not end in this process.
        flushes = begins_here and abrupt_exit.expected is not False
        self._end_flush: Final[RunEndFlush | None] = run_end_flush_of(tracer.observer, current_key) if flushes else None

    @property
    def flow_key(self) -> str:
        """The key of the flow that this run executes.

        Example:
            >>> failpath.run("checkout", run_id="order-17").flow_key
            'checkout'
        """
        return self._identity.flow_key

    @property
    def run_id(self) -> str:
        """The id that groups the steps of this run: the given one, or a generated one (32 hex digits).

        Example:
            >>> failpath.run("checkout", run_id="order-17").run_id
            'order-17'
            >>> len(failpath.run("checkout").run_id)
            32
        """
        return self._identity.run_id

    def headers(self) -> dict[str, str]:
        """Return this run as headers of a request or a message, for :meth:`Failpath.run_from_headers` elsewhere.

        Returns:
            ``failpath-flow-key`` and ``failpath-run-id``, percent-encoded; a new dictionary at every call. It contains
            no metadata, no secret, and no ``traceparent``, which OpenTelemetry's instrumentations send.

        Example:
            >>> failpath.run("checkout", run_id="order 17").headers()
            {'failpath-flow-key': 'checkout', 'failpath-run-id': 'order%2017'}
        """
        return write_headers(self._identity.flow_key, self._identity.run_id)

    @overload
    def step(self, step_key: StepKey_contra, *, metadata: Metadata | None = None) -> Step: ...
    @overload
    def step(self, step_key: StepKey_contra, fn: Callable[[], T], *, metadata: Metadata | None = None) -> T: ...
    def step(
        self, step_key: StepKey_contra, fn: Callable[[], Any] = _NO_FN, *, metadata: Metadata | None = None
    ) -> Any:
        """Record one step of this run.

        With ``fn``: report ``running``, call ``fn`` once, report ``success`` or ``error``, and return its value or
        raise its exception, both unchanged. For a coroutine function, this returns a coroutine that does all this when
        it is awaited. For a generator function of either kind, it returns a generator; the step lasts from its first
        item to its end. If any other ``fn`` returns a coroutine, a Future or a Task, the step ends when that ends.

        Without ``fn``: return a :class:`Step`, for ``with``, ``async with`` or as a decorator.

        Args:
            step_key: names the step in the flow; 1 to 200 characters.
            fn: the code of the step, a function without arguments: ``lambda: charge(cart)``.
            metadata: JSON-like values for this step; they take precedence over those of the run. Do not put secrets
                into it.

        Raises:
            TypeError: ``step_key`` is not a string, or ``fn`` cannot be called.
            ValueError: ``step_key`` is empty or too long.
            DeliveryError: with ``delivery="await"`` and ``throw_on_send_error``, an event was not delivered.

        Example:
            >>> run = failpath.run("checkout", run_id="order-17")
            >>> run.step("charge-card", lambda: "ch_1")
            'ch_1'
            >>> with run.step("pack", metadata={"boxes": 2}) as step:
            ...     step.set_metadata(weight_kg=1.2)
            >>> @run.step("ship")
            ... def ship(order):
            ...     return f"{order} is on its way"
            >>> ship("order-17")
            'order-17 is on its way'
        """
        definition = self._define(step_key, metadata)
        if fn is _NO_FN:
            return Step(self._tracer, definition)
        makes = deferred_kind(fn)
        if makes:
            return run_deferred(lambda: (OpenStep(), self._tracer, definition), fn, makes)
        if not callable(fn):
            raise TypeError(
                f"fn must be a function, not its result: got {type_name(fn)}; run.step('key', lambda: f(x)) calls f(x)"
            )
        return call(OpenStep(), self._tracer, definition, fn)

    def skip(self, step_key: StepKey_contra, *, metadata: Metadata | None = None) -> None:
        """Record that a step was deliberately left out, so that it differs from a missing step.

        Args:
            step_key: names the step in the flow; 1 to 200 characters.
            metadata: JSON-like values for this step; they take precedence over those of the run. Do not put secrets
                into it.

        Raises:
            TypeError: ``step_key`` is not a string.
            ValueError: ``step_key`` is empty or too long.
            DeliveryError: with ``delivery="await"`` and ``throw_on_send_error``, the event was not delivered.

        Example:
            >>> failpath.run("checkout", run_id="order-17").skip("send-receipt-email", metadata={"reason": "no mail"})
        """
        record_manually(self._tracer, self._define(step_key, metadata), semconv.STATUS_SKIPPED)

    def _new_step(self, step_key: str, metadata: object) -> NewStep:
        return OpenStep(), self._tracer, self._define(step_key, metadata)

    def _define(self, step_key: object, metadata: object) -> StepDefinition:
        # Read at every step, because the caller may change it.
        own = self._metadata if metadata is None else merged(self._metadata, clean_metadata(metadata))
        return StepDefinition(self._identity, check_key("step_key", step_key), own)

    def __enter__(self: RunT) -> RunT:  # noqa: PYI019 - `Self` came with Python 3.11
        """Open the span of the run and make this the current run."""
        identity = self._identity
        attributes = named({FLOW_KEY: identity.flow_key, RUN_ID: identity.run_id}, self._metadata)
        spans, context = self._tracer.start_run(identity.flow_key, attributes)
        entered = _Entered(self, spans)
        try:
            entered.before = get_current()
            entered.inside = set_value(self._current_key, entered, context)
            entered.token = attach(entered.inside)
            self._entries.append(entered)
        except BaseException as interruption:  # of a signal handler
            self._leave(entered, interruption)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span of the run; the exception that leaves the block, if any, passes unchanged."""
        entered: _Entered | None = None
        try:
            entered = self._entered()
            if entered is None:
                return
            self._leave(entered, error)
        except BaseException as interruption:  # of a signal handler
            entered = entered or self._entered()
            if entered is not None:
                self._leave(entered, interruption if error is None else error)
            raise
        if self._end_flush is not None:
            self._end_flush.end()

    def _entered(self) -> "_Entered | None":
        """Return the entry of the block that is being left; ``None`` where there is none."""
        entered = get_value(self._current_key)
        if isinstance(entered, _Entered) and entered in self._entries:
            return entered
        # Left in another context than it was entered in, as in an asynchronous fixture or a generator.
        return self._entries.pop() if self._entries else None

    def _leave(self, entered: "_Entered", error: BaseException | None) -> None:
        """Leave one entry of the block; a second call does only what the first one did not reach."""
        leave_block(entered.inside, entered.before, entered.token)
        with contextlib.suppress(ValueError):  # removed before
            self._entries.remove(entered)
        entered.end(error)
        # The context contains the entry: in a cycle, the run would be released by a garbage collection, perhaps inside
        # `ContextVar.set`, which crashes where its finalizer, or a signal handler in that, sets the same variable.
        entered.inside, entered.token = entered.before, None

    async def __aenter__(self: RunT) -> RunT:  # noqa: PYI019 - `Self` came with Python 3.11
        """Do the same as ``with``, for use in ``async with``; nothing is awaited."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do the same as at the end of ``with``."""
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """Return the flow and the run."""
        return f"Run({self.flow_key!r}, run_id={self.run_id!r})"


class _Entered:
    """One entry of a run's block. It stands in the context, so that every thread and task finds its own."""

    __slots__ = ("_spans", "before", "inside", "run", "token")

    def __init__(self, run: Run[Any], spans: tuple[Span, ...]) -> None:
        self.run = run
        self._spans = spans
        self.before = self.inside = Context()
        self.token: Any = None

    def end(self, error: BaseException | None) -> None:
        for span in self._spans:
            try:
                if not span.is_recording():
                    continue
                if error is not None and is_failure(error):
                    exception = describe_error(error)
                    span.set_status(StatusCode.ERROR, status_description(exception))
                    span.set_attribute(semconv.ERROR_TYPE, exception[semconv.EXCEPTION_TYPE])
                    write_event(span, semconv.EXCEPTION_EVENT, exception, None)
                span.end()
            except Exception:  # noqa: BLE001 - span processors of the host run inside end() and may raise anything
                exception_once("ending a run's span")


def current_run(current_key: str) -> Run[Any] | None:
    """Return the run whose block encloses the caller, of those entered under ``current_key``."""
    entered = get_value(current_key)
    return entered.run if isinstance(entered, _Entered) else None
