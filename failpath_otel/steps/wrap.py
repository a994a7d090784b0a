"""Application code inside a step: called, awaited or iterated, with its value and its exception untouched."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from types import CodeType, FunctionType
from typing import Any, Final, Generic, TypeVar, cast

from failpath_otel.report import report_fault
from failpath_otel.steps.opened import NoStep, OpenStep

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
AnyStep = OpenStep | NoStep
Opener = Callable[[], AnyStep]

_NOT_PLAIN: Final = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether calling ``fn`` runs nothing yet, because it only makes a coroutine."""
    if type(fn) is FunctionType:
        code: CodeType = fn.__code__
        if code.co_flags & _NOT_PLAIN:
            return True
    return inspect.iscoroutinefunction(fn)


def call(step: AnyStep, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - passed through
    """Calls ``fn`` inside ``step``, which ends with it, or with the coroutine, Future or Task that it returned."""
    step.resume()
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        step.leave()
        step.finish(error)
        raise
    step.leave()
    kind = type(result)
    if hasattr(kind, "__await__") or hasattr(kind, "add_done_callback"):
        return cast("T", _follow(step, result))
    step.finish(None)
    return result


def run_coroutine(open_step: Opener, fn: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> Awaitable[T]:  # noqa: ANN401 - passed through
    """A coroutine that, when it is first resumed, opens the step and runs the coroutine of ``fn`` inside it."""
    coroutine = _run_coroutine(open_step, fn, *args, **kwargs)
    # Python's warning about a coroutine that was never awaited names the coroutine: the user's, then.
    coroutine.__name__ = getattr(fn, "__name__", coroutine.__name__)
    coroutine.__qualname__ = getattr(fn, "__qualname__", coroutine.__qualname__)
    return coroutine


async def _run_coroutine(open_step: Opener, fn: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
    step = open_step()
    try:
        result = await InStep(step, fn(*args, **kwargs))
    except BaseException as error:
        step.finish(error)
        raise
    step.finish(None)
    return result


def decorate(open_step: Opener, fn: F) -> F:
    """``fn`` with every call of it a step; a wrapper of the same kind, so that frameworks still recognise it.

    Raises:
        TypeError: ``fn`` cannot be called.
    """
    if not callable(fn):
        msg = f"a step decorates a function, got a {type(fn).__name__}"
        raise TypeError(msg)
    wrapper: Callable[..., Any]
    if inspect.isasyncgenfunction(fn):

        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            generator = fn(*args, **kwargs)
            step = open_step()
            try:
                pending = generator.asend(None)
                while True:
                    try:
                        item = await InStep(step, pending)
                    except StopAsyncIteration:
                        break
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await InStep(step, generator.aclose())
                        raise
                    except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                        pending = generator.athrow(thrown)
                    else:
                        pending = generator.asend(sent)
            except BaseException as error:
                step.finish(error)
                raise
            step.finish(None)

    elif is_coroutine_function(fn):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await _run_coroutine(open_step, fn, *args, **kwargs)

    elif inspect.isgeneratorfunction(fn):

        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _iterate(open_step(), fn(*args, **kwargs)))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return call(open_step(), fn, *args, **kwargs)

    return cast("F", functools.wraps(fn)(wrapper))


def _iterate(step: AnyStep, generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    advance: Callable[[Any], Any] = generator.send
    sent: Any = None
    while True:
        step.resume()
        try:
            item = advance(sent)
        except StopIteration as stop:
            step.leave()
            step.finish(None)
            return cast("T", stop.value)
        except BaseException as error:
            step.leave()
            step.finish(error)
            raise
        finally:
            sent = None  # or a thrown exception and this frame would keep each other alive
        step.pause()
        try:
            sent = yield item
        except GeneratorExit as exit_:
            advance, sent = _closer(generator), exit_
        except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
            advance, sent = generator.throw, thrown
        else:
            advance = generator.send


def _closer(generator: Generator[Any, Any, Any]) -> Callable[[BaseException], Any]:
    def close(exit_: BaseException) -> Any:  # noqa: ANN401 - never returns
        generator.close()
        raise exit_

    return close


class InStep(Generic[T]):
    """Awaits something with the step's span as the current one in every slice, and only there."""

    __slots__ = ("_inner", "_step")

    def __init__(self, step: AnyStep, awaitable: Awaitable[T]) -> None:
        self._step = step
        self._inner: Any = awaitable if hasattr(awaitable, "send") else iter(awaitable.__await__())

    def __await__(self) -> Generator[Any, Any, T]:
        return cast("Generator[Any, Any, T]", self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - whatever the event loop is told
        return self.send(None)

    def send(self, value: Any) -> Any:  # noqa: ANN401 - whatever the event loop says and is told
        self._step.resume()
        try:
            if value is None and not hasattr(self._inner, "send"):
                return next(self._inner)
            return self._inner.send(value)
        finally:
            self._step.pause()

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - both forms of generator.throw
        self._step.resume()
        try:
            return self._inner.throw(*error)
        finally:
            self._step.pause()

    def close(self) -> None:
        self._step.resume()
        try:
            self._inner.close()
        finally:
            self._step.pause()


class StepCoroutine(InStep[T], Coroutine[Any, Any, T]):
    """A coroutine that application code made inside a step; the step ends with it, also if nobody ever awaits it."""

    __slots__ = ("__weakref__",)

    def send(self, value: Any) -> Any:  # noqa: ANN401 - whatever the event loop says and is told
        return self._ending(super().send, value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - both forms of generator.throw
        return self._ending(super().throw, *error)

    def _ending(self, advance: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401
        try:
            return advance(*args)
        except StopIteration:
            self._step.finish(None)
            raise
        except BaseException as error:
            self._step.finish(error)
            raise

    def close(self) -> None:
        try:
            super().close()
        except BaseException as error:
            self._step.finish(error)
            raise
        self._step.finish(None)

    def __del__(self) -> None:
        # The coroutine inside is dropped with this object, and Python says itself that it was never awaited.
        self._step.finish(None)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - cr_frame, cr_code and their kin, for debuggers
        if not name.startswith("cr_"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def _follow(step: AnyStep, result: Any) -> Any:  # noqa: ANN401 - whatever the application returned
    if isinstance(result, Coroutine):
        return StepCoroutine(step, result)
    try:
        if hasattr(result, "add_done_callback"):
            result.add_done_callback(functools.partial(_end_with_future, step))
            return result
    except Exception:  # noqa: BLE001 - an awaitable of the user's that only looks like a Future
        report_fault("following a Future")
    step.finish(None)
    return result


def _end_with_future(step: AnyStep, future: Any) -> None:  # noqa: ANN401 - asyncio's or concurrent.futures'
    try:
        error = _future_error(future)
    except Exception:  # noqa: BLE001 - an object of the user's that only looks like a Future
        report_fault("reading a Future's outcome")
        error = None
    step.finish(error)


def _future_error(future: Any) -> BaseException | None:  # noqa: ANN401 - asyncio's or concurrent.futures'
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
