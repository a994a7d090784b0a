"""Awaitables inside a step: awaited with the step's span as the current one, and followed to their end."""

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from inspect import CO_ITERABLE_COROUTINE
from types import GeneratorType
from typing import Any, Final, Generic, TypeVar, cast

from failpath_otel.report import exception_once
from failpath_otel.runtime.signals import pass_on
from failpath_otel.steps.finalizer_errors import raise_later
from failpath_otel.steps.open_step import AnyStep
from failpath_otel.steps.outcome import CoroutineClosed, NeverAwaited

T = TypeVar("T")

VALUES: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})
"""Types that certainly do not go on; asking a type for an attribute that it does not have takes a while."""


class InStep(Generic[T]):
    """Awaits something with the step's span as the current one in every slice, and only there.

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
        """Runs one slice; as for a coroutine."""
        try:
            self._step.resume()
            if value is None and not hasattr(self._inner, "send"):
                return next(self._inner)
            return self._inner.send(value)
        finally:
            self._step.pause()
            del self  # which has what was thrown into an asynchronous generator, whose traceback has this frame

    def throw(self, *error: Any) -> Any:
        """Runs one slice that begins with an exception; as for a coroutine, in both forms of the arguments."""
        try:
            self._step.resume()
            return self._inner.throw(*error)
        finally:
            del error  # or it and this frame, which is in its traceback, would keep each other alive
            self._step.pause()

    def close(self) -> None:
        """Ends it early; as for a coroutine."""
        try:
            self._step.resume()
            self._inner.close()
        finally:
            self._step.pause()


async def afail(step: AnyStep, error: BaseException) -> None:
    """Ends ``step`` with ``error``, and waits until that was sent where that is asked for."""
    if not hasattr(step, "waits_for_delivery"):
        return  # it has not begun
    step.finish(error)
    # A cancellation wants to go on at once, and where a coroutine is closed nothing can be awaited.
    if step.waits_for_delivery and isinstance(error, Exception):
        await step.await_delivered()


async def await_success(step: AnyStep) -> None:
    """Waits until the end of ``step`` was sent, and raises why it was not where that is asked for."""
    await step.await_delivered()
    step.raise_delivery_error()


def _sent_around(step: AnyStep, given: Any) -> Any:
    """A coroutine that runs ``given`` once the step's start was sent, and ends when its outcome was."""
    coroutine: Any = _run_between(step, given)
    coroutine.__name__ = getattr(given, "__name__", coroutine.__name__)
    coroutine.__qualname__ = getattr(given, "__qualname__", coroutine.__qualname__)
    return coroutine


async def _run_between(step: AnyStep, given: Any) -> Any:
    try:
        try:
            await step.await_delivered()
        except BaseException:
            given.close()  # or Python would say that nobody has awaited it
            raise
        result = await given
        step.finish(None)
    except BaseException as error:
        await afail(step, error)
        raise
    await await_success(step)
    return result


class StepCoroutine(InStep[T], Coroutine[Any, Any, T]):
    """A coroutine that application code made inside a step; the step ends with it, also if it is never awaited."""

    __slots__ = ("__weakref__", "_unended")

    def __init__(self, step: AnyStep, awaitable: Awaitable[T]) -> None:
        super().__init__(step, awaitable)
        self._unended: type[Exception] = NeverAwaited

    def send(self, value: Any) -> Any:
        """Runs one slice; the step ends with the last one."""
        return self._ending(super().send, value)

    def throw(self, *error: Any) -> Any:
        """Runs one slice that begins with an exception; the step ends with the last one."""
        try:
            return self._ending(super().throw, *error)
        finally:
            del error  # as above

    def _ending(self, advance: Callable[..., Any], *args: Any) -> Any:
        self._unended = CoroutineClosed
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
        """Ends it early, and the step with it."""
        try:
            super().close()
            self._step.finish(self._unended())
        except BaseException as error:
            self._step.finish(error)
            raise

    def __del__(self) -> None:
        if not hasattr(self, "_unended"):
            return  # an exception came as it was made, which has ended the step
        try:
            if self._step.ended:
                return
            if self._step.waits_for_delivery:
                # The one around it was never awaited either, and Python would say so as well.
                self._inner.close()
            # The coroutine inside is dropped with this object, and Python says itself that it was never awaited.
            self._step.finish(self._unended())
        except BaseException as error:  # noqa: BLE001 - here, Python would print it and go on
            self._step.finish(error)
            raise_later(error, StepCoroutine.__del__.__code__)

    def __getattr__(self, name: str) -> Any:
        # cr_frame, cr_code and their kin, for debuggers
        if not name.startswith("cr_"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def goes_on(result: object) -> bool:
    """Whether what a function returned, and is none of :data:`VALUES`, may be work that is not done yet."""
    kind = type(result)
    try:
        return hasattr(kind, "__await__") or hasattr(kind, "add_done_callback") or kind is GeneratorType
    except Exception as error:  # noqa: BLE001 - a metaclass of the user's may raise anything
        pass_on(error)
        return False


def follow(step: AnyStep, result: Any) -> Any:
    """Ends ``step`` with what a function returned: a coroutine, a Future or a Task; with anything else at once.

    Returns:
        What the application gets: a coroutine stands in for a coroutine, everything else is itself.
    """
    try:
        # What is also a context manager, as a request of aiohttp is, is used as one; a coroutine in its place is not.
        if (isinstance(result, Coroutine) and not hasattr(type(result), "__aenter__")) or _is_old_coroutine(result):
            return StepCoroutine(step, _sent_around(step, result) if step.waits_for_delivery else result)
        future: Any = result
        if hasattr(type(future), "add_done_callback"):
            future.add_done_callback(functools.partial(_end_with_future, step))
            return future
    except Exception:  # noqa: BLE001 - an awaitable of the user's that only looks like a Future
        exception_once("following a Future")
    step.finish(None)
    return result


def _is_old_coroutine(result: object) -> bool:
    """Whether a generator is a coroutine, by ``types.coroutine``."""
    return isinstance(result, GeneratorType) and bool(result.gi_code.co_flags & CO_ITERABLE_COROUTINE)


def _end_with_future(step: AnyStep, future: Any) -> None:
    try:
        try:
            error = _future_error(future)
        except Exception:  # noqa: BLE001 - an object of the user's that only looks like a Future
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
    # `exception()` would tell asyncio that somebody has seen the error, and silence its warning about an error that
    # nobody retrieved. The attribute is there on both kinds of Future and on both implementations of asyncio's.
    if hasattr(future, "_exception"):
        return cast("BaseException | None", future._exception)  # noqa: SLF001
    return cast("BaseException | None", future.exception())
