"""Tracer providers that come and go: when the last one of a client is gone, everything is delivered, then closed."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import Failpath, FailpathClient, FailpathSpanExporter, FailpathSpanProcessor, limits
from failpath_otel.joined_providers import JOINS
from tests.delivery.programs import succeed
from tests.fault_server import FaultServer, accepted, status
from tests.receiver import wait_for

KEY: Final = "fp_project_0123456789_secret"
DELIVERY: Final = "failpath-delivery"


def configure(server: FaultServer, **options: Any) -> tuple[TracerProvider, FailpathClient]:
    provider = TracerProvider(shutdown_on_exit=False)
    return provider, failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, **options)


class Held:
    """What this process holds, beyond what it held at first."""

    def __init__(self) -> None:
        gc.collect()
        self._threads = set(threading.enumerate())
        self._descriptors = descriptors()
        self._journal = Path(os.environ["FAILPATH_JOURNAL"])

    def threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self._threads and thread.name == DELIVERY]

    def journals(self) -> list[str]:
        return [path.name for path in self._journal.iterdir()] if self._journal.exists() else []

    def in_journals(self) -> list[str]:
        """Descriptors of journals."""
        return [name for name in descriptors() if name.startswith(str(self._journal))]

    def sockets(self) -> int:
        """How many connections and event queues there are more."""
        return sum(name.startswith("socket:") for name in descriptors()) - sum(
            name.startswith("socket:") for name in self._descriptors
        )

    def nothing(self) -> bool:
        return not self.threads() and not self.in_journals() and not self.journals() and self.sockets() <= 0


def descriptors() -> list[str]:
    """What the descriptors of this process are open on; of Linux alone."""
    found: list[str] = []
    folder = Path("/proc/self/fd")
    for path in folder.iterdir() if folder.exists() else ():
        try:
            found.append(str(path.readlink()))
        except OSError:  # that of the directory itself, or of another thread
            continue
    return found


def taken(server: FaultServer) -> list[str]:
    """The statuses of what the server has made its own."""
    return [event["status"] for event in server.taken]


def shut_down(server: FaultServer) -> None:
    provider, client = configure(server)
    client.run("checkout").step("pack", str)
    provider.shutdown()


def drop(server: FaultServer) -> None:
    _, client = configure(server)
    client.run("checkout").step("pack", str)


def drop_with_an_open_step(server: FaultServer) -> None:
    _, client = configure(server)
    client.run("checkout").step("pack", str)
    client.run("checkout").step("wait", Future)


def drop_what_takes_no_processor(server: FaultServer) -> None:
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=NoOpTracerProvider())
    client.run("checkout").step("pack", str)


def drop_a_processor(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FailpathSpanProcessor(project_key=KEY, endpoint=server.url))
    Failpath(tracer_provider=provider).run("checkout").step("pack", str)


def shut_an_exporter_down(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(FailpathSpanExporter(project_key=KEY, endpoint=server.url)))
    Failpath(tracer_provider=provider).run("checkout").step("pack", str)
    provider.shutdown()


def drop_an_exporter(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    # Older SDKs keep each processor that exports batches for a fork, for ever.
    provider.add_span_processor(SimpleSpanProcessor(FailpathSpanExporter(project_key=KEY, endpoint=server.url)))
    Failpath(tracer_provider=provider).run("checkout").step("pack", str)


GOING: Final = {
    shut_down: 50,
    drop: 50,
    drop_with_an_open_step: 5,
    drop_what_takes_no_processor: 5,
    drop_a_processor: 5,
    shut_an_exporter_down: 5,
    drop_an_exporter: 5,
}


@pytest.mark.parametrize(("go", "times"), GOING.items(), ids=[go.__name__ for go in GOING])
def test_providers_that_come_and_go_leave_nothing_but_their_records(
    server: FaultServer, go: Callable[[FaultServer], None], times: int
) -> None:
    held = Held()
    for _ in range(times):
        go(server)
    gc.collect()
    wait_for(held.nothing, 30)
    wait_for(lambda: taken(server).count("success") == times)
    assert taken(server).count("running") == times * (2 if go is drop_with_an_open_step else 1)


@pytest.mark.parametrize("go", [drop, shut_down, drop_a_processor, shut_an_exporter_down], ids=lambda go: go.__name__)
def test_while_failpath_is_down_the_records_of_providers_that_go_wait_in_the_journal_and_nothing_else_is_left(
    server: FaultServer, go: Callable[[FaultServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ABANDON_SECONDS", 0.0)
    monkeypatch.setattr(limits, "FLUSH_TIMEOUT", 0.2)
    server.answer_with(status(503))
    held = Held()
    for _ in range(5):
        go(server)

    gc.collect()

    def let_go() -> bool:
        return not held.threads() and not held.in_journals() and held.sockets() <= 0

    wait_for(let_go, 30)
    assert len(held.journals()) == 5
    assert server.taken == []

    server.answer_with(accepted)
    # Not another process, but the next one that scans: this one.
    provider, client = configure(server)
    client.run("checkout").step("next", str)
    wait_for(lambda: taken(server).count("success") == 6, 30)
    assert taken(server).count("running") == 6
    wait_for(lambda: client.stats().adopted == 10)
    provider.shutdown()
    wait_for(held.nothing, 30)


def test_without_a_journal_records_of_a_provider_that_is_gone_are_kept_until_they_are_delivered(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ABANDON_SECONDS", 0.0)
    server.answer_with(status(503), status(503), accepted)
    held = Held()
    _, client = configure(server, journal=None)
    client.run("checkout").step("pack", str)
    del _, client
    gc.collect()
    wait_for(lambda: taken(server) == ["running", "success"])
    wait_for(held.nothing, 30)


def test_a_client_that_is_used_after_the_shutdown_of_its_provider_loses_no_step_and_leaves_nothing(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POLLING_SECONDS", 0.05)
    held = Held()
    provider, client = configure(server)
    client.run("checkout").step("before", str)
    provider.shutdown()
    wait_for(held.nothing, 30)
    for number in range(3):
        for _ in range(20):
            client.run("checkout").step("after", str)
        assert client.flush()
        assert len(server.events) == 2 + 40 * (number + 1)
        wait_for(held.nothing, 30)
    assert client.stats() == failpath_otel.Stats(122, 122, 0)


def test_a_step_that_is_open_when_its_provider_is_shut_down_has_its_outcome(server: FaultServer) -> None:
    held = Held()
    provider, client = configure(server)
    with client.run("checkout").step("pack"):
        provider.shutdown()
        wait_for(held.nothing, 30)
    assert client.flush()
    assert server.statuses == ["running", "success"]
    wait_for(held.nothing, 30)


def test_what_was_left_in_the_journal_still_waits_and_what_comes_later_is_delivered(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("failpath_otel.report._logged", set())
    monkeypatch.setattr(limits, "ABANDON_SECONDS", 0.0)
    monkeypatch.setattr(limits, "FLUSH_TIMEOUT", 0.2)
    server.answer_with(status(503))
    held = Held()
    provider, client = configure(server)
    with client.run("checkout").step("pack"):
        client.run("checkout").step("inside", str)
        provider.shutdown()
        wait_for(lambda: not held.threads(), 30)
        assert client.stats() == failpath_otel.Stats(3, 0, 3)
        assert client.flush(0) is False
        [journal] = held.journals()
        assert any(
            message.startswith(f"Failpath: 3 records wait in {held._journal} for another process")
            for message in caplog.messages
        )
        server.answer_with(accepted)
    wait_for(lambda: taken(server) == ["success"], 30)
    wait_for(lambda: client.stats() == failpath_otel.Stats(4, 1, 3))
    assert client.flush(5) is False  # three of them have never been delivered by this client
    wait_for(lambda: held.journals() == [journal], 30)


def test_of_two_providers_of_one_client_the_shutdown_of_the_first_closes_nothing(server: FaultServer) -> None:
    first, client = configure(server)
    second = TracerProvider(shutdown_on_exit=False)
    client._join.add_to(second)
    [pipeline] = client._join.reporter._pipelines
    client.run("checkout").step("pack", str)
    first.shutdown()
    assert not pipeline.worker._is_released
    second.shutdown()
    assert pipeline.worker._is_released


def test_a_provider_that_is_configured_again_after_its_shutdown_is_as_new(server: FaultServer) -> None:
    held = Held()
    provider, _ = configure(server)
    provider.shutdown()
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    client.run("checkout").step("pack", str)
    assert client.flush()
    [pipeline] = client._join.reporter._pipelines
    assert not pipeline.worker._is_released  # so that it looks for what gone processes have left
    provider.shutdown()
    wait_for(held.nothing, 30)
    assert server.statuses == ["running", "success"]


@pytest.mark.process
def test_at_the_end_of_the_interpreter_the_shutdown_of_the_provider_closes_nothing_too_early(
    server: FaultServer,
) -> None:
    held = Held()
    succeed(
        """
        import atexit
        import failpath_otel
        from opentelemetry.sdk.trace import TracerProvider

        atexit.register(lambda: run.step("after the shutdown", str))
        provider = TracerProvider()  # and its shutdown, which goes before what was registered before
        run = failpath_otel.configure(tracer_provider=provider).run("checkout")
        run.step("before", str)
        print("end", flush=True)
        """,
        server.url,
    )
    assert [event["stepKey"] for event in server.taken] == ["before"] * 2 + ["after the shutdown"] * 2
    assert held.journals() == []


@pytest.fixture
def locked() -> Iterator[Callable[[Any], None]]:
    """Holds locks on another thread until the end of the test."""
    done = threading.Event()
    holders: list[threading.Thread] = []

    def hold(lock: Any) -> None:
        has = threading.Event()

        def work() -> None:
            with lock:
                has.set()
                done.wait(30)

        holders.append(threading.Thread(target=work))
        holders[-1].start()
        assert has.wait(30)

    yield hold
    done.set()
    for holder in holders:
        holder.join(30)


def test_the_collection_of_a_provider_waits_for_no_lock_and_starts_no_thread(
    server: FaultServer, locked: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, client = configure(server)
    client.run("checkout").step("pack", str)
    assert client.flush()
    [pipeline] = client._join.reporter._pipelines
    for lock in (pipeline.queue.lock, JOINS.lock):
        locked(lock)

    def refuse(_: threading.Thread) -> None:
        raise AssertionError("a thread is started")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        del provider, client
        gc.collect()
    assert pipeline.worker._is_released
