"""A step as a block or as a decorator."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from failpath_otel.public import public
from failpath_otel.steps.definition import StepDefinition
from failpath_otel.steps.open_step import OpenStep
from failpath_otel.steps.step_tracer import StepTracer
from failpath_otel.steps.wrap import decorate

StepT = TypeVar("StepT", bound="Step")
F = TypeVar("F", bound=Callable[..., Any])


@public
class Step:
    """The result of ``run.step("key")``: a block (``with``, ``async with``) or a decorator.

    As a block, it is one step and can be entered once. As a decorator, it makes a step of every call. For a function,
    the step lasts from call to return; for a coroutine function, from its first to its last resumption; for a generator
    or an asynchronous generator, from the first item to exhaustion, ``close()`` or an error.

    Example:
        >>> run = failpath.run("checkout", run_id="order-17")
        >>> with run.step("charge-card"):
        ...     charge = "ch_1"
        >>> @run.step("pack")
        ... def pack(box):
        ...     return f"box {box}"
        >>> pack(1)
        'box 1'
    """

    __slots__ = ("_definition", "_open_step", "_tracer")

    def __init__(self, tracer: StepTracer, definition: StepDefinition) -> None:
        self._tracer = tracer
        self._definition = definition
        self._open_step: OpenStep | None = None

    def set_metadata(self, metadata: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Add metadata to the step. It is sent with the outcome, so a call after the block has no effect.

        Args:
            metadata: JSON-like values by key; any other value is sent as its text. Do not put secrets into it.
            more: the same as keyword arguments; they take precedence over ``metadata``.

        Example:
            >>> with failpath.run("checkout", run_id="order-17").step("charge-card") as step:
            ...     step.set_metadata(charge_id="ch_1", attempts=2)
        """
        for given in (metadata, more or None):
            if given is None:
                continue
            if self._open_step is None:
                self._definition = self._definition.with_metadata(given)
            else:
                self._open_step.set_metadata(given)

    def __enter__(self: StepT) -> StepT:  # noqa: PYI019 - `Self` came with Python 3.11
        """Begin the step: report ``running`` and make its span the current one.

        Raises:
            RuntimeError: the step was entered before.
        """
        opened = self._open()
        try:
            opened.begin(self._tracer, self._definition)
            if opened.waits_for_delivery:
                opened.wait_delivered()
            opened.resume()
        except BaseException as error:
            if hasattr(opened, "waits_for_delivery"):  # it has begun
                opened.finish(error)
            raise
        return self

    def _open(self) -> OpenStep:
        if self._open_step is not None:
            raise RuntimeError("this step was entered before; call run.step() for another one")
        self._open_step = OpenStep()
        return self._open_step

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the step; the exception that leaves the block, if any, passes unchanged.

        Raises:
            DeliveryError: with ``delivery="await"`` and ``throw_on_send_error``, an event was not delivered.
        """
        opened = self._open_step
        if opened is None:
            return
        try:
            opened.leave_block()
            opened.finish(error)
        except BaseException as interruption:
            opened.finish(interruption if error is None else error)
            raise
        if opened.waits_for_delivery and (error is None or isinstance(error, Exception)):
            opened.wait_delivered()
            if error is None:
                opened.raise_delivery_error()

    async def __aenter__(self: StepT) -> StepT:  # noqa: PYI019 - `Self` came with Python 3.11
        """Do the same as ``with``; await only the delivery, with ``delivery="await"``."""
        opened = self._open()
        try:
            opened.begin(self._tracer, self._definition)
            if opened.waits_for_delivery:
                await opened.await_delivered()
            opened.resume()
        except BaseException as error:
            if hasattr(opened, "waits_for_delivery"):  # it has begun
                opened.finish(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do the same as at the end of ``with``; await only the delivery, with ``delivery="await"``."""
        opened = self._open_step
        if opened is None:
            return
        try:
            opened.leave_block()
            opened.finish(error)
        except BaseException as interruption:
            opened.finish(interruption if error is None else error)
            raise
        if opened.waits_for_delivery and (error is None or isinstance(error, Exception)):
            await opened.await_delivered()
            if error is None:
                opened.raise_delivery_error()

    def __call__(self, fn: F) -> F:
        """Decorate ``fn``: return a wrapper of the same kind, each call of which is a step.

        Raises:
            TypeError: ``fn`` is not a function.
        """
        return decorate(lambda: (OpenStep(), self._tracer, self._definition), fn)
