"""Awaitables inside a step: awaited with the step's span as the current one; the step ends with them."""

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from inspect import CO_ITERABLE_COROUTINE
from types import GeneratorType
from typing import Any, Final, Generic, TypeVar, cast

from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.report import exception_once
from failpath_otel.steps.finalizer_errors import raise_later
from failpath_otel.steps.open_step import AnyStep
from failpath_otel.steps.outcome import CoroutineClosed, NeverAwaited

T = TypeVar("T")

FINISHED_TYPES: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})
"""Types of results that are no unfinished work, checked first because it is fast."""


class AwaitableInStep(Generic[T]):
    """Await an object with the step's span as the current one in every slice, and only there (decision 0008).

    What the awaited code has made current when it is suspended is current again when it is resumed.
    """

    __slots__ = ("_inner", "_step")

    def __init__(self, step: AnyStep, awaitable: Awaitable[T]) -> None:
        self._step = step
        self._inner: Any = awaitable if hasattr(awaitable, "send") else iter(awaitable.__await__())

    def __await__(self) -> Generator[Any, Any, T]:
        return cast("Generator[Any, Any, T]", self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self.send(None)
        finally:
            del self  # as in `send`

    def send(self, value: Any) -> Any:
        """Run one slice; as for a coroutine."""
        try:
            self._step.resume()
            if value is None and not hasattr(self._inner, "send"):
                return next(self._inner)
            return self._inner.send(value)
        finally:
            self._step.pause()
            del self  # it refers to an exception that was thrown in, whose traceback refers to this frame

    def throw(self, *error: Any) -> Any:
        """Run one slice that begins with an exception; as for a coroutine, in both forms of the arguments."""
        try:
            self._step.resume()
            return self._inner.throw(*error)
        finally:
            del error  # else it and this frame, which is in its traceback, keep each other alive
            self._step.pause()

    def close(self) -> None:
        """End the awaitable early; as for a coroutine."""
        try:
            self._step.resume()
            self._inner.close()
        finally:
            self._step.pause()


async def fail_async(step: AnyStep, error: BaseException) -> None:
    """End ``step`` with ``error``, and wait for the delivery of its outcome where steps wait."""
    if not hasattr(step, "waits_for_delivery"):
        return  # it has not begun
    step.finish(error)
    # A cancellation must not wait, and a coroutine that is being closed cannot.
    if step.waits_for_delivery and isinstance(error, Exception):
        await step.await_delivered()


async def await_success(step: AnyStep) -> None:
    """Wait for the delivery of the end of ``step``; raise the delivery error where that is configured."""
    await step.await_delivered()
    step.raise_delivery_error()


def _with_delivery(step: AnyStep, given: Any) -> Any:
    """Return a coroutine that runs ``given`` once the start is delivered, and ends when the outcome is."""
    coroutine: Any = _run_between(step, given)
    coroutine.__name__ = getattr(given, "__name__", coroutine.__name__)
    coroutine.__qualname__ = getattr(given, "__qualname__", coroutine.__qualname__)
    return coroutine


async def _run_between(step: AnyStep, given: Any) -> Any:
    try:
        try:
            await step.await_delivered()
        except BaseException:
            given.close()  # else Python warns that it was never awaited
            raise
        result = await given
        step.finish(None)
    except BaseException as error:
        await fail_async(step, error)
        raise
    await await_success(step)
    return result


class StepCoroutine(AwaitableInStep[T], Coroutine[Any, Any, T]):
    """A coroutine that application code made inside a step; the step ends with it, also if it is never awaited."""

    __slots__ = ("__weakref__", "_unended_error")

    def __init__(self, step: AnyStep, awaitable: Awaitable[T]) -> None:
        super().__init__(step, awaitable)
        self._unended_error: type[Exception] = NeverAwaited

    def send(self, value: Any) -> Any:
        """Run one slice; the step ends with the last one."""
        return self._advance(super().send, value)

    def throw(self, *error: Any) -> Any:
        """Run one slice that begins with an exception; the step ends with the last one."""
        try:
            return self._advance(super().throw, *error)
        finally:
            del error  # as above

    def _advance(self, advance: Callable[..., Any], *args: Any) -> Any:
        self._unended_error = CoroutineClosed
        try:
            return advance(*args)
        except StopIteration:
            self._step.finish(None)
            raise
        except BaseException as error:
            self._step.finish(error)
            raise
        finally:
            del args  # as above

    def close(self) -> None:
        """End the coroutine early, and the step with it."""
        try:
            super().close()
            self._step.finish(self._unended_error())
        except BaseException as error:
            self._step.finish(error)
            raise

    def __del__(self) -> None:
        if not hasattr(self, "_unended_error"):
            return  # a signal handler raised as it was made, and the step has ended
        try:
            if self._step.ended:
                return
            if self._step.waits_for_delivery:
                # The inner one was never awaited either; closed, it causes no second warning.
                self._inner.close()
            # The inner coroutine is dropped with this object, and Python itself warns that it was never awaited.
            self._step.finish(self._unended_error())
        except BaseException as error:  # noqa: BLE001 - here, Python would print it and go on
            self._step.finish(error)
            raise_later(error, StepCoroutine.__del__.__code__)

    def __getattr__(self, name: str) -> Any:
        # `cr_frame`, `cr_code` and so on, for debuggers.
        if not name.startswith("cr_"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def may_be_unfinished(result: object) -> bool:
    """Return whether the result of a function may be unfinished work; no type of :data:`FINISHED_TYPES` is."""
    kind = type(result)
    try:
        return hasattr(kind, "__await__") or hasattr(kind, "add_done_callback") or kind is GeneratorType
    except Exception as error:  # noqa: BLE001 - a metaclass of the application may raise anything
        reraise_if_from_handler(error)
        return False


def follow(step: AnyStep, result: Any) -> Any:
    """End ``step`` with the result of a function: a coroutine, a Future or a Task; with any other result at once.

    Returns:
        The result for the application: a coroutine in place of a coroutine, anything else itself.
    """
    try:
        # A request of aiohttp is a context manager as well, which a coroutine in its place would not be.
        if (isinstance(result, Coroutine) and not hasattr(type(result), "__aenter__")) or _is_old_coroutine(result):
            return StepCoroutine(step, _with_delivery(step, result) if step.waits_for_delivery else result)
        future: Any = result
        if hasattr(type(future), "add_done_callback"):
            future.add_done_callback(functools.partial(_end_with_future, step))
            return future
    except Exception:  # noqa: BLE001 - an awaitable of the application that only looks like a Future
        exception_once("following a Future")
    step.finish(None)
    return result


def _is_old_coroutine(result: object) -> bool:
    """Return whether a generator is a coroutine made by ``types.coroutine``."""
    return isinstance(result, GeneratorType) and bool(result.gi_code.co_flags & CO_ITERABLE_COROUTINE)


def _end_with_future(step: AnyStep, future: Any) -> None:
    try:
        try:
            error = _future_error(future)
        except Exception:  # noqa: BLE001 - an object of the application that only looks like a Future
            exception_once("reading a Future's outcome")
            error = None
        step.finish(error)
    except BaseException as interruption:
        step.finish(interruption)
        raise


def _future_error(future: Any) -> BaseException | None:
    if future.cancelled():
        try:
            future.exception()
        except BaseException as cancelled:  # noqa: BLE001 - each kind of Future raises its own CancelledError
            return cancelled
    # `exception()` marks the error as retrieved, which would silence asyncio's warning about it. The attribute exists
    # on both kinds of Future, and in both implementations of asyncio's.
    if hasattr(future, "_exception"):
        return cast("BaseException | None", future._exception)  # noqa: SLF001
    return cast("BaseException | None", future.exception())
