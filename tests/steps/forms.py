"""Every form of a step, each as one function that runs a body in a step of that form and hands on what it does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from failpath_otel import Failpath, Run

T = TypeVar("T")
Body = Callable[[], Any]
Form = Callable[[Failpath, Run, str, Body], Any]
Decorator = Callable[[Any], Any]


def _await(make: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await make()

    return asyncio.run(main())


def _coroutine_function(body: Body) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def work() -> Any:
        await asyncio.sleep(0)
        return body()

    return work


def _function(_: Failpath, run: Run, key: str, body: Body) -> Any:
    return run.step(key, body)


def _async_function(_: Failpath, run: Run, key: str, body: Body) -> Any:
    return _await(lambda: run.step(key, _coroutine_function(body)))


def _returning_coroutine(_: Failpath, run: Run, key: str, body: Body) -> Any:
    work = _coroutine_function(body)
    return _await(lambda: run.step(key, lambda: work()))  # noqa: PLW0108 - a function that is no coroutine function


def _returning_task(_: Failpath, run: Run, key: str, body: Body) -> Any:
    work = _coroutine_function(body)
    return _await(lambda: run.step(key, lambda: asyncio.ensure_future(work())))


def _returning_future(_: Failpath, run: Run, key: str, body: Body) -> Any:
    return _await(lambda: run.step(key, lambda: asyncio.get_running_loop().run_in_executor(None, body)))


def _returning_concurrent_future(_: Failpath, run: Run, key: str, body: Body) -> Any:
    with ThreadPoolExecutor(1) as pool:
        future: Future[Any] = run.step(key, lambda: pool.submit(body))
        return future.result(30)


def _block(_: Failpath, run: Run, key: str, body: Body) -> Any:
    with run.step(key):
        return body()


def _async_block(_: Failpath, run: Run, key: str, body: Body) -> Any:
    async def main() -> Any:
        async with run.step(key):
            await asyncio.sleep(0)
            return body()

    return asyncio.run(main())


def _decorated(decorator: Decorator, body: Body) -> Any:
    def work() -> Any:
        return body()

    return decorator(work)()


def _decorated_coroutine_function(decorator: Decorator, body: Body) -> Any:
    return _await(decorator(_coroutine_function(body)))


def _decorated_generator(decorator: Decorator, body: Body) -> Any:
    def work() -> Generator[str, None, Any]:
        yield "item"
        return body()

    generator = decorator(work)()
    assert next(generator) == "item"
    try:
        next(generator)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the generator goes on")


def _decorated_async_generator(decorator: Decorator, body: Body) -> Any:
    async def work() -> AsyncGenerator[Any, None]:
        yield "item"
        yield body()

    async def main() -> Any:
        items = [item async for item in decorator(work)()]
        assert items[0] == "item"
        return items[1]

    return asyncio.run(main())


_DECORATED: Final[dict[str, Callable[[Decorator, Body], Any]]] = {
    "function": _decorated,
    "coroutine function": _decorated_coroutine_function,
    "generator": _decorated_generator,
    "async generator": _decorated_async_generator,
}


def _of_run(apply: Callable[[Decorator, Body], Any]) -> Form:
    return lambda _, run, key, body: apply(run.step(key), body)


def _called(apply: Callable[[Decorator, Body], Any]) -> Form:
    return lambda _, run, key, body: apply(lambda fn: lambda: run.step(key, fn), body)


def _of_current_run(apply: Callable[[Decorator, Body], Any]) -> Form:
    def form(failpath: Failpath, run: Run, key: str, body: Body) -> Any:
        with run:
            return apply(failpath.step(key), body)

    return form


SYNC_FORMS: Final[dict[str, Form]] = {
    "function": _function,
    "generator function": _called(_decorated_generator),
    "block": _block,
    "decorated function": _of_run(_decorated),
    "decorated generator": _of_run(_decorated_generator),
    "current run: function": _of_current_run(_decorated),
    "current run: generator": _of_current_run(_decorated_generator),
}
"""Those that run the body on the caller's own stack."""

IN_TASK_FORMS: Final[dict[str, Form]] = {
    "coroutine function": _async_function,
    "async generator function": _called(_decorated_async_generator),
    "returning a coroutine": _returning_coroutine,
    "async block": _async_block,
    "decorated coroutine function": _of_run(_decorated_coroutine_function),
    "decorated async generator": _of_run(_decorated_async_generator),
    "current run: coroutine function": _of_current_run(_decorated_coroutine_function),
    "current run: async generator": _of_current_run(_decorated_async_generator),
}
"""Those that run the body in the task that awaits the step."""

FUTURE_FORMS: Final[dict[str, Form]] = {
    "returning a task": _returning_task,
    "returning a future": _returning_future,
    "returning a concurrent future": _returning_concurrent_future,
}
"""Those that run the body somewhere else."""

FORMS: Final[dict[str, Form]] = {**SYNC_FORMS, **IN_TASK_FORMS, **FUTURE_FORMS}
"""All forms by their names."""
