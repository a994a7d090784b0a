"""Application code inside a step: called, or wrapped for later calls; its value and its exception stay untouched."""

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, Final, TypeVar, cast

from failpath_otel.handler_exceptions import reraise_if_from_handler
from failpath_otel.scrubbing.values import type_name
from failpath_otel.steps.awaitables import (
    FINISHED_TYPES,
    AwaitableInStep,
    await_success,
    fail_async,
    follow,
    may_be_unfinished,
)
from failpath_otel.steps.open_step import AnyStep
from failpath_otel.steps.outcome import CoroutineClosed

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
NewStep = tuple[AnyStep, Any, Any]
"""A step that has not begun, with the arguments of its ``begin``."""
StepFactory = Callable[[], NewStep]

_MAKES_COROUTINE: Final = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE
_DEFERRED: Final = _MAKES_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_NO_GENERATORS: Final = frozenset({type, BuiltinFunctionType, FunctionType})
"""Kinds of callables that are generator functions by the flags of their code, or not at all."""


def deferred_kind(fn: Callable[..., Any]) -> int:
    """Return which kind of deferred code a call of ``fn`` makes: the flags of a coroutine or of a generator.

    Returns:
        0: ``fn`` is any other function, and runs when it is called.
    """
    given: Any = fn
    while (kind := type(given)) is functools.partial or kind is MethodType:
        given = given.func if kind is functools.partial else given.__func__
    if kind is FunctionType:
        code: CodeType = given.__code__
        flags = code.co_flags & _DEFERRED
        if flags or not given.__dict__:  # which `inspect.markcoroutinefunction` would fill
            return flags
    try:
        if inspect.iscoroutinefunction(fn):
            return inspect.CO_COROUTINE
        if kind in _NO_GENERATORS:  # functions of other compilers may have such flags
            return 0
        if inspect.isgeneratorfunction(fn):
            return inspect.CO_GENERATOR
        return inspect.CO_ASYNC_GENERATOR if inspect.isasyncgenfunction(fn) else 0
    except Exception as error:  # noqa: BLE001 - it reads attributes, where a callable of the application may raise anything
        reraise_if_from_handler(error)
        return 0


def call(step: AnyStep, tracer: Any, definition: Any, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call ``fn`` inside ``step``, which ends with it, or with the coroutine, Future or Task that it returns."""
    try:
        step.begin(tracer, definition)
        if step.waits_for_delivery:
            step.wait_delivered()
        step.enter()
        result = fn(*args, **kwargs)
        step.leave()
        if type(result) not in FINISHED_TYPES and may_be_unfinished(result):
            return cast("T", follow(step, result))
        step.finish(None)
    except BaseException as error:
        try:
            _fail(step, error)
        except BaseException as interruption:
            _fail(step, interruption)  # it may have come before the first call
            raise
        raise
    if step.waits_for_delivery:
        _await_success(step)
    return result


def _fail(step: AnyStep, error: BaseException) -> None:
    if not hasattr(step, "waits_for_delivery"):
        return  # it has not begun
    try:
        step.finish(error)
    except BaseException as interruption:
        step.finish(interruption)  # it may have come before the first call
        raise
    # Ctrl-C and its kind must not wait.
    if step.waits_for_delivery and isinstance(error, Exception):
        step.wait_delivered()


def _await_success(step: AnyStep) -> None:
    step.wait_delivered()
    step.raise_delivery_error()


def run_deferred(new_step: StepFactory, fn: Callable[[], T], kind: int) -> T:
    """Return the coroutine or generator of ``fn``, which opens the step when it is first resumed."""
    given: Any = fn
    made: Any
    if kind & _MAKES_COROUTINE:
        made = _run_coroutine(new_step, given)
    elif kind & inspect.CO_GENERATOR:
        made = _around_generator(new_step, given)()
    else:
        made = _around_async_generator(new_step, given)()
    # Python's warning about a coroutine that was never awaited then shows the name of the application's.
    made.__name__ = getattr(fn, "__name__", made.__name__)
    made.__qualname__ = getattr(fn, "__qualname__", made.__qualname__)
    return cast("T", made)


async def _run_coroutine(new_step: StepFactory, fn: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    step, tracer, definition = new_step()
    try:
        step.begin(tracer, definition)
        if step.waits_for_delivery:
            await step.await_delivered()
        result = await AwaitableInStep(step, fn(*args, **kwargs))
        step.finish(None)
    except BaseException as error:
        await fail_async(step, error)
        raise
    if step.waits_for_delivery:
        await await_success(step)
    return result


def decorate(new_step: StepFactory, fn: F) -> F:
    """Return ``fn`` with every call of it a step: a wrapper of the same kind, so that frameworks still recognise it.

    Raises:
        TypeError: ``fn`` is no function, but a class, a static or class method, or cannot be called.
    """
    given: object = fn
    if not callable(given) or isinstance(given, (type, staticmethod, classmethod)):
        raise TypeError(f"a step decorates a function, got {type_name(fn)}; @staticmethod and @classmethod go above it")
    kind = deferred_kind(fn)
    if kind & _MAKES_COROUTINE:
        wrapper = _around_coroutine(new_step, fn)
    elif kind & inspect.CO_GENERATOR:
        wrapper = _around_generator(new_step, fn)
    elif kind:
        wrapper = _around_async_generator(new_step, fn)
    else:
        wrapper = _around_function(new_step, fn)
    return cast("F", functools.wraps(fn)(wrapper))


def _around_function(new_step: StepFactory, fn: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return call(*new_step(), fn, *args, **kwargs)

    return wrapper


def _around_coroutine(new_step: StepFactory, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await _run_coroutine(new_step, fn, *args, **kwargs)

    return wrapper


def _around_generator(new_step: StepFactory, fn: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        # Not `yield from`, which keeps the context attached between the items (decision 0008).
        generator = fn(*args, **kwargs)
        step, tracer, definition = new_step()
        try:
            step.begin(tracer, definition)
            if step.waits_for_delivery:
                step.wait_delivered()
            advance: Callable[[Any], Any] = generator.send
            sent: Any = None
            while True:
                step.resume()
                try:
                    item = advance(sent)
                except StopIteration as stop:
                    result = stop.value
                    break
                finally:
                    sent = None  # else a thrown exception and this frame keep each other alive
                step.pause()
                try:
                    sent = yield item
                except BaseException as thrown:  # noqa: BLE001 - passed to the generator, GeneratorExit as well
                    advance, sent = generator.throw, thrown
                else:
                    advance = generator.send
            step.finish(None)
        except BaseException as error:
            _fail(step, error)
            raise
        if step.waits_for_delivery:
            _await_success(step)
        return result

    return wrapper


def _around_async_generator(new_step: StepFactory, fn: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = fn(*args, **kwargs)
        step, tracer, definition = new_step()
        closing = False
        try:
            step.begin(tracer, definition)
            if step.waits_for_delivery:
                await step.await_delivered()
            # The loop finalises this generator, which closes the inner one: the loop must not finalise that as well.
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(None, None)
            try:
                pending = generator.asend(None)
            finally:
                sys.set_asyncgen_hooks(*hooks)
            while True:
                try:
                    item = await AwaitableInStep(step, pending)
                except StopAsyncIteration:
                    break
                finally:
                    del pending  # else a thrown exception and this frame keep each other alive
                try:
                    sent = yield item
                except BaseException as thrown:  # noqa: BLE001 - passed to the generator, GeneratorExit as well
                    closing = isinstance(thrown, GeneratorExit)
                    pending = generator.athrow(thrown)
                else:
                    pending = generator.asend(sent)
            step.finish(None)
        except GeneratorExit as error:
            # At a yield, the consumer takes no more; while an item is awaited, the consumer's coroutine was closed.
            step.finish(error if closing else CoroutineClosed())
            raise
        except BaseException as error:
            await fail_async(step, error)
            raise
        if step.waits_for_delivery:
            await await_success(step)

    return wrapper
