"""What type checkers make of the public surface; checked by them, never run."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from email.message import Message
from functools import partial
from typing import Literal

from opentelemetry.trace import TracerProvider
from typing_extensions import assert_type

import failpath_otel
from failpath_otel import Failpath, FailpathClient, Run, Stats, Step

failpath = failpath_otel.configure(project_key="fp_project_xxx")
run = failpath.run("checkout")


class Cart:
    def validate(self) -> bool:
        return True

    async def load(self) -> str:
        return ""


def cart() -> Cart:
    return Cart()


async def charge() -> int:
    return 1


def deferred() -> Coroutine[None, None, int]:
    return charge()


def nothing() -> None:
    pass


def clients(provider: TracerProvider) -> None:
    assert_type(failpath, FailpathClient)
    assert_type(Failpath(tracer_provider=provider), Failpath)
    assert_type(failpath_otel.configure(tracer_provider=provider), FailpathClient)
    assert_type(run, Run)
    assert_type(failpath.current_run(), Run | None)
    assert_type(failpath.flush(timeout=1.0), bool)
    assert_type(failpath.shutdown(), bool)
    assert_type(failpath.stats(), Stats)
    assert_type(run.run_id, str)
    assert_type(run.flow_key, str)


def some_steps(packing: Run[Literal["pack"]], shipping: Run[Literal["pack", "ship"]]) -> None:
    assert_type(run, Run[str])
    assert_type(packing.step("pack", cart), Cart)
    shipping.skip("ship")
    with shipping as entered:
        assert_type(entered, Run[Literal["pack", "ship"]])
    packing = shipping
    shipping = run
    del packing, shipping


def other_services(environ: dict[str, object], message: Message, pairs: list[tuple[bytes, bytes]]) -> None:
    assert_type(failpath.run("checkout", propagate=True), Run)
    assert_type(run.headers(), dict[str, str])
    assert_type(failpath.run_from_headers(run.headers()), Run)
    assert_type(failpath.run_from_headers(None, flow="shipping", metadata={"a": 1}), Run)
    assert_type(failpath.run_from_headers({}, flow="shop", run_id=17, run_id_header="X-Request-Id"), Run)
    for headers in (environ, message, pairs):
        failpath.run_from_headers(headers)


def functions() -> None:
    assert_type(run.step("cart", cart), Cart)
    assert_type(run.step("cart", cart, metadata={"a": 1}), Cart)
    assert_type(run.step("cart", Cart), Cart)
    assert_type(run.step("validate", Cart().validate), bool)
    assert_type(run.step("lambda", lambda: cart().validate()), bool)
    assert_type(run.step("partial", partial(int, "1")), int)
    run.step("nothing", nothing)


def deferred_values(future: Future[int]) -> None:
    assert_type(run.step("future", lambda: future), Future[int])
    kept = assert_type(run.step("deferred", deferred), Coroutine[None, None, int])
    kept.close()


async def awaitables() -> None:
    assert_type(await run.step("charge", charge), int)
    assert_type(await run.step("charge", lambda: Cart().load()), str)
    assert_type(await run.step("load", Cart().load), str)
    assert_type(await run.step("task", lambda: asyncio.ensure_future(charge())), int)
    assert_type(await asyncio.create_task(run.step("charge", charge)), int)
    assert_type(await asyncio.gather(run.step("a", charge), run.step("b", Cart().load)), tuple[int, str])
    assert_type(await failpath.aflush(), bool)


def blocks() -> None:
    assert_type(run.step("block"), Step)
    assert_type(run.step("block", metadata={"cart": 1}), Step)
    with run.step("block") as step:
        assert_type(step, Step)
        step.set_metadata({"a": 1}, b=[1])
    with failpath.run("checkout", run_id=7, metadata={"route": "/"}) as entered:
        assert_type(entered, Run)
    managers: list[AbstractContextManager[object]] = [run, run.step("block")]
    del managers


async def async_blocks() -> None:
    async with run.step("block") as step:
        assert_type(step, Step)
    async with failpath.run("checkout") as entered:
        assert_type(entered, Run)
    managers: list[AbstractAsyncContextManager[object]] = [run, run.step("block")]
    del managers


def a_block_may_raise() -> int:
    with run.step("block"), run:
        return 1


@run.step("plain")
def plain(number: int, *, word: str = "") -> str:
    return word * number


@run.step("coroutine")
async def coroutine(number: int) -> str:
    return str(number)


@run.step("generator")
def generator(number: int) -> Generator[int, str, bool]:
    yield number
    return True


@run.step("iterator")
def iterator() -> Iterator[int]:
    yield 1


@run.step("async_generator")
async def async_generator(number: int) -> AsyncGenerator[int, str]:
    yield number


@failpath.step("of_current", metadata={"a": 1})
def of_current(number: int) -> str:
    return str(number)


@failpath.step("async_of_current")
async def async_of_current(number: int) -> str:
    return str(number)


@failpath.step("items_of_current")
async def items_of_current() -> AsyncIterator[int]:
    yield 1


class Service:
    @run.step("method")
    def method(self, number: int) -> str:
        return str(number)

    @failpath.step("async_method")
    async def async_method(self) -> int:
        return 1


async def decorated() -> None:
    assert_type(plain(1, word="a"), str)
    assert_type(await coroutine(1), str)
    assert_type(generator(1), Generator[int, str, bool])
    assert_type(iterator(), Iterator[int])
    assert_type(async_generator(1), AsyncGenerator[int, str])
    assert_type(of_current(1), str)
    assert_type(await async_of_current(1), str)
    assert_type(items_of_current(), AsyncIterator[int])
    assert_type(Service().method(1), str)
    assert_type(await Service().async_method(), int)
    kept: Callable[[int], str] = of_current
    del kept


def by_hand() -> None:
    run.skip("receipt", metadata={"why": None})
    failpath.record_step(
        flow_key="checkout",
        run_id=1,
        step_key="ship",
        status="error",
        metadata={"a": 1},
        error=ValueError("lost"),
        started_at=1.5,
        timestamp=2,
    )
