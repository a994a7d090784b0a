"""``delivery="await"`` on an event loop: async steps wait without blocking it, and what is not async does not wait."""

import asyncio
import gc
import threading
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from failpath_otel import Failpath, FailpathClient, Run
from failpath_otel.delivery.figures.stats import Stats
from tests.awaiting import FAILURES, Configure, awaiting_clients
from tests.fault_server import Behaviour, FaultServer, accepted, held

AsyncForm = Callable[[Run, Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def _coroutine_function(run: Run, work: Callable[[], Awaitable[Any]]) -> Any:
    async def body() -> Any:
        return await work()

    return await run.step("pack", body)


async def _returning_a_coroutine(run: Run, work: Callable[[], Awaitable[Any]]) -> Any:
    return await run.step("pack", lambda: work())  # noqa: PLW0108 - a function that is no coroutine function


async def _block(run: Run, work: Callable[[], Awaitable[Any]]) -> Any:
    async with run.step("pack"):
        return await work()


async def _decorated(run: Run, work: Callable[[], Awaitable[Any]]) -> Any:
    @run.step("pack")
    async def body() -> Any:
        return await work()

    return await body()


async def _generator(run: Run, work: Callable[[], Awaitable[Any]]) -> Any:
    @run.step("pack")
    async def body() -> AsyncGenerator[Any, None]:
        yield await work()

    items = [item async for item in body()]
    return items[0]


ASYNC_FORMS: dict[str, AsyncForm] = {
    "coroutine function": _coroutine_function,
    "returning a coroutine": _returning_a_coroutine,
    "async block": _block,
    "decorated coroutine function": _decorated,
    "decorated async generator": _generator,
}
each_form = pytest.mark.parametrize("form", ASYNC_FORMS.values(), ids=ASYNC_FORMS.keys())


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    with awaiting_clients(server, send_timeout=20) as call:
        yield call


@pytest.fixture
def client(configure: Configure) -> FailpathClient:
    return configure()


@pytest.fixture
def run(client: FailpathClient) -> Run:
    return client.run("checkout")


async def seven() -> int:
    await asyncio.sleep(0)
    return 7


def of_loop(gate: threading.Event, then: Behaviour = accepted) -> Behaviour:
    """Answers only once a task of the loop has set ``gate``, and takes it back for the next request."""

    def behave(exchange: Any) -> bool:
        stays = held(gate, then)(exchange)
        gate.clear()
        return stays

    return behave


@each_form
def test_the_loop_goes_on_while_a_step_waits_and_the_answer_can_depend_on_it(
    run: Run, server: FaultServer, form: AsyncForm
) -> None:
    gate = threading.Event()
    server.answer_with(of_loop(gate))

    async def main() -> Any:
        waiting = asyncio.ensure_future(form(run, seven))
        for answered in range(1, 3):
            await asyncio.to_thread(server.wait_for_requests, answered)
            assert not waiting.done()
            gate.set()  # from the loop itself
        return await waiting

    assert asyncio.run(main()) == 7
    assert server.statuses == ["running", "success"]


@each_form
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_bad_input_a_server_that_takes_nothing_leaves_result_and_exception_alone_in_time(
    configure: Configure, server: FaultServer, form: AsyncForm, failure: Behaviour
) -> None:
    server.answer_with(failure)
    client = configure(send_timeout=0.15)
    error = ValueError("mine")

    async def fail() -> None:
        raise error

    began = monotonic()
    assert asyncio.run(_as_coroutine(form(client.run("checkout"), seven))) == 7
    with pytest.raises(ValueError, match="mine") as caught:
        asyncio.run(_as_coroutine(form(client.run("checkout"), fail)))
    assert caught.value is error
    assert monotonic() - began < 4 * 2 * 0.15 + 2
    assert client.stats().delivered == 0


async def _as_coroutine(given: Awaitable[Any]) -> Any:
    return await given


@each_form
def test_a_step_that_is_cancelled_while_it_waits_for_its_beginning_ends_at_once_and_its_body_never_runs(
    client: FailpathClient, server: FaultServer, form: AsyncForm
) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    calls: list[int] = []

    async def work() -> None:
        calls.append(1)

    async def main() -> None:
        waiting = asyncio.ensure_future(form(client.run("checkout"), work))
        await asyncio.to_thread(server.wait_for_requests, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with warnings.catch_warnings():
        # A coroutine that the function returned, and that never ran, is Python's to complain about.
        warnings.simplefilter("ignore", RuntimeWarning)
        asyncio.run(main())
        gc.collect()
    assert calls == []
    gate.set()
    assert client.flush(10)
    assert server.statuses == ["running", "error"]


@each_form
def test_a_step_that_is_cancelled_in_its_body_ends_without_a_wait(
    client: FailpathClient, server: FaultServer, form: AsyncForm
) -> None:
    gate, inside = threading.Event(), asyncio.Event()
    server.answer_with(accepted, held(gate, accepted))

    async def work() -> None:
        inside.set()
        await asyncio.sleep(60)

    async def main() -> None:
        waiting = asyncio.ensure_future(form(client.run("checkout"), work))
        await inside.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    began = monotonic()
    asyncio.run(main())
    assert monotonic() - began < 10
    gate.set()
    assert client.flush(10)
    assert server.statuses == ["running", "error"]


def test_what_is_not_async_only_queues_on_a_running_loop(client: FailpathClient, server: FaultServer) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    run = client.run("checkout")

    async def main() -> None:
        assert run.step("plain", lambda: 7) == 7
        with run.step("block"):
            pass
        run.skip("skipped")
        client.record_step(flow_key="checkout", run_id="r", step_key="by hand", status="success")
        task = asyncio.ensure_future(seven())
        assert await run.step("task", lambda: task) == 7

    began = monotonic()
    asyncio.run(main())
    assert monotonic() - began < 10
    assert client.stats().delivered == 0
    gate.set()
    assert client.flush(10)
    assert client.stats() == Stats(8, 8, 0, {})


@pytest.mark.parametrize("plain", [False, True], ids=["coroutine function", "returning a coroutine"])
def test_a_coroutine_that_is_never_awaited_is_one_warning_that_names_the_users_own(run: Run, plain: bool) -> None:
    async def charge_card() -> None: ...

    async def main() -> None:
        dropped: Any = run.step("pack", (lambda: charge_card()) if plain else charge_card)  # noqa: PLW0108
        del dropped

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    [warning] = [one for one in caught if one.category is RuntimeWarning]
    assert "charge_card' was never awaited" in str(warning.message)


@pytest.mark.parametrize("resumed", [False, True], ids=["unawaited", "half way"])
@pytest.mark.filterwarnings("ignore:coroutine 'seven' was never awaited")
def test_a_returned_coroutine_that_is_dropped_is_one_error(
    client: FailpathClient, server: FaultServer, resumed: bool
) -> None:
    async def main() -> None:
        dropped: Any = client.run("checkout").step("pack", lambda: seven())  # noqa: PLW0108
        if resumed:
            dropped.send(None)
        del dropped
        gc.collect()

    asyncio.run(main())
    assert client.flush(10)
    assert server.statuses == ["running", "error"]


def test_hundreds_of_tasks_that_wait_at_once_all_come_through(client: FailpathClient) -> None:
    run = client.run("checkout")

    async def main() -> list[int]:
        return await asyncio.gather(*[run.step(f"step-{number}", seven) for number in range(300)])

    assert asyncio.run(main()) == [7] * 300
    assert client.stats() == Stats(600, 600, 0, {})


def test_on_trio_steps_run_and_wait_for_nothing(client: FailpathClient, server: FaultServer) -> None:
    trio = pytest.importorskip("trio")
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    run = client.run("checkout")

    async def work() -> int:
        await trio.sleep(0)
        return 7

    async def main() -> None:
        assert await run.step("async", work) == 7
        assert await run.step("returning", lambda: work()) == 7  # noqa: PLW0108
        async with run.step("async block"):
            await trio.sleep(0)
        assert run.step("plain", lambda: 7) == 7
        run.skip("skipped")

    began = monotonic()
    trio.run(main)
    assert monotonic() - began < 10
    gate.set()
    assert client.flush(10)
    assert client.stats() == Stats(9, 9, 0, {})


def test_a_flush_on_trio_is_awaited(client: FailpathClient, server: FaultServer) -> None:
    trio = pytest.importorskip("trio")
    client.run("checkout").step("pack", lambda: 7)
    assert trio.run(client.aflush, 10) is True
    assert server.statuses == ["running", "success"]


def test_a_flush_of_a_client_without_delivery_is_awaited_on_trio() -> None:
    trio = pytest.importorskip("trio")

    class Provider(TracerProvider):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return timeout_millis == 2_000 and threading.current_thread() is not threading.main_thread()

    client = Failpath(tracer_provider=Provider(shutdown_on_exit=False))
    assert trio.run(client.aflush, 2.0) is True
