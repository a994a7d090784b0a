"""A function under ``@failpath.step`` that is called where there is no current run: one line, once a function."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import report
from failpath_otel.testing import MockFailpath
from tests.recording import Recording


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    monkeypatch.setattr(report, "_logged", set())
    with caplog.at_level(logging.WARNING, "failpath_otel"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_a_function_in_a_thread_pool_is_said_once_with_its_name_and_its_step(
    recording: Recording, said: Callable[[], list[str]]
) -> None:
    @recording.failpath.step("pack")
    def pack(number: int) -> int:
        return number

    with recording.run(), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(pack, range(20))) == list(range(20))
    [line] = said()
    name = f"{__name__}.{pack.__qualname__}"
    assert line.startswith(f"Failpath: {name}, the step 'pack' of the current run, was called without a run")


def test_each_function_has_a_line_of_its_own(recording: Recording, said: Callable[[], list[str]]) -> None:
    @recording.failpath.step("pack")
    def pack() -> None: ...

    @recording.failpath.step("pack")
    def pack_again() -> None: ...

    for _ in range(3):
        pack()
        pack_again()
    assert len(said()) == 2
    assert len(set(said())) == 2


def test_a_function_that_is_decorated_again_and_again_is_said_once(
    recording: Recording, said: Callable[[], list[str]]
) -> None:
    def call() -> None:
        @recording.failpath.step("pack")
        def pack() -> None: ...

        pack()

    for _ in range(5):
        call()
    assert len(said()) == 1


def test_functions_of_every_kind_are_said(recording: Recording, said: Callable[[], list[str]]) -> None:
    step = recording.failpath.step

    @step("coroutine")
    async def coroutine() -> None: ...

    @step("generator")
    def generator() -> Iterator[int]:
        yield 1

    @step("asynchronous generator")
    async def agenerator() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        await coroutine()
        assert list(generator()) == [1]
        assert [item async for item in agenerator()] == [1]

    asyncio.run(main())
    assert [line.split("'")[1] for line in said()] == ["coroutine", "generator", "asynchronous generator"]


def test_a_run_that_is_there_is_no_reason_to_say_anything(recording: Recording, said: Callable[[], list[str]]) -> None:
    @recording.failpath.step("pack")
    def pack() -> int:
        return 7

    with recording.run():
        assert pack() == 7
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(contextvars.copy_context().run, pack).result() == 7
    assert said() == []


def test_nothing_is_said_where_delivery_is_turned_off(said: Callable[[], list[str]]) -> None:
    client = failpath_otel.configure(enabled="if-key-present", tracer_provider=NoOpTracerProvider())
    assert client.step("pack")(lambda: 7)() == 7
    client.shutdown()
    assert said() == []


def test_the_client_of_tests_says_it_as_the_real_one_does(said: Callable[[], list[str]]) -> None:
    failpath = MockFailpath()
    assert failpath.step("pack")(lambda: 7)() == 7
    assert (len(said()), failpath.events) == (1, [])


def test_a_callable_without_a_name_runs_and_is_said_by_its_type(
    recording: Recording, said: Callable[[], list[str]]
) -> None:
    class Packer:
        def __call__(self) -> int:
            return 7

    assert recording.failpath.step("pack")(Packer())() == 7
    [line] = said()
    assert "Packer" in line
