"""Steps that begin and end in any order, on any thread, in any form, while the client is configured anew."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule
from opentelemetry.sdk.trace import TracerProvider

from failpath_otel import FailpathClient, Run, Step, configure
from failpath_otel.records.record import Record
from tests.fault_server import FaultServer
from tests.properties.hostile import Given, metadata
from tests.properties.hostile_errors import Made, exceptions
from tests.properties.tape import Tape, check_order, properties
from tests.schema import records_of

threads = st.integers(0, 2)


@dataclass
class Opened:
    """A step that is open, in the context in which it began."""

    key: str
    context: Context
    end: Callable[[BaseException | None], None]
    step: Step | None = None


class Steps(RuleBasedStateMachine):
    """One client; what its steps have to leave is kept beside it."""

    opened: Bundle[Opened] = Bundle("opened")

    def __init__(self) -> None:
        super().__init__()
        self.pools = [ThreadPoolExecutor(1) for _ in range(3)]
        self.numbers = itertools.count()
        self.expected: dict[str, list[str]] = {}
        self.open: list[Opened] = []
        self.client, self.run = self.begin()

    def begin(self) -> tuple[FailpathClient, Run]:
        tape = Tape()
        return tape, tape.run("checkout")

    def records(self) -> list[Record]:
        assert isinstance(self.client, Tape)
        return self.client.records()

    def on(self, thread: int, context: Context, call: Callable[[], Any]) -> Any:
        """Calls on one of the threads; a failure there is one here."""
        return self.pools[thread].submit(context.run, call).result(30)

    def new_key(self, *statuses: str) -> str:
        key = f"step-{next(self.numbers)}"
        self.expected[key] = list(statuses)
        return key

    def keep(self, opened: Opened) -> Opened:
        self.open.append(opened)
        return opened

    @rule(target=opened, thread=threads, given=metadata)
    def begin_block(self, thread: int, given: Given) -> Opened:
        key = self.new_key("running")
        step: Step = self.run.step(key, metadata=given.value)
        context = copy_context()
        self.on(thread, context, step.__enter__)

        def end(error: BaseException | None) -> None:
            assert step.__exit__(None if error is None else type(error), error, None) is None  # type: ignore[func-returns-value]

        return self.keep(Opened(key, context, end, step))

    @rule(target=opened, thread=threads)
    def begin_coroutine(self, thread: int) -> Opened:
        key = self.new_key("running")

        async def work() -> str:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return key

        going: Coroutine[Any, Any, str] = self.run.step(key, work)
        return self.resumable(key, thread, going)

    @rule(target=opened, thread=threads)
    def begin_generator(self, thread: int) -> Opened:
        key = self.new_key("running")

        @self.run.step(key)
        def items() -> Generator[int, None, str]:
            yield 1
            yield 2
            return key

        return self.resumable(key, thread, items())

    def resumable(self, key: str, thread: int, going: Any) -> Opened:
        context = copy_context()
        self.on(thread, context, lambda: going.send(None))

        def end(error: BaseException | None) -> None:
            try:
                if error is not None:
                    going.throw(error)
                while True:
                    going.send(None)
            except StopIteration as stop:
                assert stop.value == key  # noqa: PT017 - the end of a coroutine
            except BaseException as raised:
                if raised is not error:
                    raise

        return self.keep(Opened(key, context, end))

    @rule(opened=consumes(opened), thread=threads, error=st.none() | exceptions, same=st.booleans())
    def end(self, opened: Opened, thread: int, error: Made | None, same: bool) -> None:
        self.open.remove(opened)
        self.expected[opened.key].append("success" if error is None else "error")
        context = opened.context if same else copy_context()
        self.on(thread, context, lambda: opened.end(None if error is None else error.error))

    @rule(opened=opened, thread=threads, given=metadata)
    def set_metadata(self, opened: Opened, thread: int, given: Given) -> None:
        step = opened.step
        if step is not None:
            self.on(thread, opened.context, lambda: step.set_metadata(given.value))

    @rule(thread=threads, given=metadata)
    def skip(self, thread: int, given: Given) -> None:
        key = self.new_key("skipped")
        self.on(thread, copy_context(), lambda: self.run.skip(key, metadata=given.value))

    @rule(thread=threads, status=st.sampled_from(["running", "success", "error", "skipped"]), given=metadata)
    def record(self, thread: int, status: Any, given: Given) -> None:
        key = self.new_key(status)

        def call() -> None:
            self.client.record_step(flow_key="x", run_id=7, step_key=key, status=status, metadata=given.value)

        self.on(thread, copy_context(), call)

    @rule(thread=threads, depth=st.integers(1, 4), error=st.none() | exceptions)
    def nest(self, thread: int, depth: int, error: Made | None) -> None:
        keys = [self.new_key("running", "success" if error is None else "error") for _ in range(depth)]
        value = object()

        def call(at: int = 0) -> object:
            if at < depth:
                return self.run.step(keys[at], lambda: call(at + 1))
            if error is not None:
                raise error.error
            return value

        def outermost() -> bool:
            with self.run:
                try:
                    return call() is value
                except Exception as raised:
                    return error is not None and raised is error.error

        assert self.on(thread, copy_context(), outermost)

    def teardown(self) -> None:
        try:
            records = self.records()
        finally:
            for opened in self.open:  # nothing is expected of them any more, but of a coroutine that it is closed
                self.on(0, opened.context, partial(opened.end, None))
            for pool in self.pools:
                pool.shutdown()
        found: dict[str, list[str]] = {}
        for record in records:
            found.setdefault(record.step_key, []).append(record.status)
        assert found == self.expected


class SentSteps(Steps):
    """The same by real servers, between which the client changes while steps are open."""

    def begin(self) -> tuple[FailpathClient, Run]:
        self.servers = [FaultServer(), FaultServer()]
        self.provider = TracerProvider(shutdown_on_exit=False)
        client = self.configured(0, "none")
        return client, client.run("checkout")

    def configured(self, server: int, compression: Any) -> FailpathClient:
        self.now = server
        return configure(
            project_key="fp_project_any_order",
            endpoint=self.servers[server].url,
            send_timeout=20,
            compression=compression,
            tracer_provider=self.provider,
        )

    @initialize()
    def nothing(self) -> None:
        self.went: dict[str, int] = {}

    def new_key(self, *statuses: str) -> str:
        key = super().new_key(*statuses)
        self.went[key] = self.now
        return key

    @rule(server=st.integers(0, 1), compression=st.sampled_from(["none", "gzip"]))
    def configure_anew(self, server: int, compression: str) -> None:
        self.client = self.configured(server, compression)

    @rule(thread=threads)
    def flush(self, thread: int) -> None:
        assert self.on(thread, copy_context(), lambda: self.client.flush(20))

    @rule(count=st.integers(100, 700), given=metadata)
    def burst(self, count: int, given: Given) -> None:
        for _ in range(count):
            self.run.skip(self.new_key("skipped"), metadata=given.value)

    def records(self) -> list[Record]:
        try:
            assert self.client.flush(30)
            stats = self.client.stats()
            assert (stats.delivered, stats.waiting, stats.dropped) == (sum(map(len, self.expected.values())), 0, {})
            found: list[Record] = []
            for number, server in enumerate(self.servers):
                records = [record for request in server.requests for record in records_of(request.plain)]
                check_order(records)
                assert {self.went[record.step_key] for record in records} <= {number}
                found += records
            return found
        finally:
            self.client.shutdown(0)
            self.provider.shutdown()
            for server in self.servers:
                server.close()


TestSteps = Steps.TestCase
TestSteps.settings = properties(30, steps=30)

TestSentSteps = SentSteps.TestCase
TestSentSteps.settings = properties(8, steps=20)
