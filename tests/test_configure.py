"""configure() in this process: providers are given by hand, so that no test sees another's."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import ConfigurationError, FailpathClient
from tests.fault_server import FaultServer, accepted, fault_server, held, silent, status

KEY = "fp_project_0123456789_secret"
Configure = Callable[..., FailpathClient]


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    """failpath_otel.configure(), for a provider of the test's own, and a shutdown of every client at the end."""
    made: list[FailpathClient] = []

    def call(provider: trace.TracerProvider, endpoint: str = server.url, **options: Any) -> FailpathClient:
        made.append(failpath_otel.configure(project_key=KEY, endpoint=endpoint, tracer_provider=provider, **options))
        return made[-1]

    yield call
    for client in made:
        client.shutdown(0)


class Counting(IdGenerator):
    """The same ids in the same order."""

    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    generate_trace_id = generate_span_id


class Host:
    """An application's own provider, with an exporter of its own."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False, id_generator=Counting())
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))


def traceparent() -> str | None:
    headers: dict[str, str] = {}
    inject(headers)
    return headers.get("traceparent")


def test_without_a_key_configure_says_which_argument_and_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"project_key=.*FAILPATH_PROJECT_KEY"):
        failpath_otel.configure()


def test_bad_input_no_key_adds_nothing_to_the_provider() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with pytest.raises(ConfigurationError):
        failpath_otel.configure(tracer_provider=provider)
    assert provider._active_span_processor._span_processors == ()


def test_with_a_provider_a_step_is_one_span_at_the_host_and_two_records_at_failpath(
    configure: Configure, server: FaultServer
) -> None:
    host = Host()
    client = configure(host.provider)
    assert client.run("checkout", run_id="req-1").step("pack", lambda: 7) == 7
    assert client.flush()
    [span] = host.exporter.get_finished_spans()
    assert span.context is not None
    assert server.statuses == ["running", "success"]
    assert {sent["spanId"] for sent in server.events} == {f"{span.context.span_id:016x}"}


def test_where_the_provider_makes_no_spans_steps_are_delivered_by_the_private_one(
    configure: Configure, server: FaultServer
) -> None:
    client = configure(NoOpTracerProvider())
    run = client.run("checkout", run_id="req-1", metadata={"a": 1})
    with run.step("pack") as step:
        step.set_metadata(b=2)
    run.skip("ship")
    assert client.flush()
    assert [(sent["stepKey"], sent["status"]) for sent in server.events] == [
        ("pack", "running"),
        ("pack", "success"),
        ("ship", "skipped"),
    ]
    assert server.events[1]["metadata"] == {"a": 1, "b": 2}


def test_a_host_that_samples_nothing_loses_no_step_and_gets_no_span(configure: Configure, server: FaultServer) -> None:
    host = Host(ALWAYS_OFF)
    client = configure(host.provider)
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    assert server.statuses == ["running", "success"]
    assert host.exporter.get_finished_spans() == ()


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ALWAYS_ON], ids=["off", "on"])
def test_outgoing_headers_in_a_step_are_what_they_would_be_without_delivery(
    configure: Configure, sampler: Sampler
) -> None:
    alone, joined = Host(sampler), Host(sampler)
    without = failpath_otel.Failpath(tracer_provider=alone.provider)
    client = configure(joined.provider)
    seen = [each.run("checkout").step("pack", traceparent) for each in (without, client)]
    assert seen[0] is not None
    assert seen[0] == seen[1]


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ALWAYS_ON], ids=["off", "on"])
def test_the_hosts_own_spans_inside_a_step_are_sampled_as_the_host_says(configure: Configure, sampler: Sampler) -> None:
    host = Host(sampler)
    client = configure(host.provider)
    tracer = host.provider.get_tracer("the host")

    def pack() -> None:
        with tracer.start_as_current_span("inside"):
            pass

    client.run("checkout").step("pack", pack)
    names = [span.name for span in host.exporter.get_finished_spans()]
    assert names == (["inside", "pack"] if sampler is ALWAYS_ON else [])


def test_a_provider_gets_the_processor_once_however_often_configure_is_called(
    configure: Configure, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    for _ in range(3):
        client = configure(provider)
    assert len(provider._active_span_processor._span_processors) == 1
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    assert server.statuses == ["running", "success"]


def test_configure_from_many_threads_at_once_adds_one_processor(configure: Configure) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    together = threading.Barrier(8)

    def join() -> None:
        together.wait(10)
        configure(provider)

    threads = [threading.Thread(target=join) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(provider._active_span_processor._span_processors) == 1


def test_after_a_second_configure_new_steps_go_to_the_new_endpoint_and_an_open_one_ends_where_it_began(
    configure: Configure, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with fault_server() as other:
        first = configure(provider)
        with first.run("checkout").step("open"):
            second = configure(provider, other.url)
            second.run("checkout").step("new", lambda: None)
            first.run("checkout").step("of the first client", lambda: None)
        assert second.flush()
        assert [sent["stepKey"] for sent in server.events] == ["open", "open"]
        assert {sent["stepKey"] for sent in other.events} == {"new", "of the first client"}


def test_configure_after_a_shutdown_delivers_again(configure: Configure, server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider).shutdown()
    client = configure(provider)
    client.run("checkout").step("pack", lambda: None)
    client.flush()
    assert server.statuses == ["running", "success"]


def test_after_a_shutdown_steps_still_run_and_are_still_spans(configure: Configure, server: FaultServer) -> None:
    host = Host()
    client = configure(host.provider)
    assert client.shutdown() is True
    assert client.run("checkout").step("pack", lambda: 7) == 7
    assert len(host.exporter.get_finished_spans()) == 1
    assert server.requests == []


def test_two_providers_are_two_pipelines(configure: Configure, server: FaultServer) -> None:
    with fault_server() as other:
        first = configure(TracerProvider(shutdown_on_exit=False))
        second = configure(TracerProvider(shutdown_on_exit=False), other.url)
        first.run("checkout").step("first", lambda: None)
        second.run("checkout").step("second", lambda: None)
        assert first.flush()
        assert second.flush()
        assert {sent["stepKey"] for sent in server.events} == {"first"}
        assert {sent["stepKey"] for sent in other.events} == {"second"}


def test_the_shutdown_of_the_hosts_provider_flushes(configure: Configure, server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider).run("checkout").step("pack", lambda: None)
    provider.shutdown()
    assert server.statuses == ["running", "success"]


class Slots:
    """A provider of another vendor: takes no processor, and no weak reference can point to it."""

    __slots__ = ()

    def get_tracer(self, *given: Any, **named: Any) -> trace.Tracer:
        return trace.NoOpTracer()

    def add_span_processor(self, processor: object) -> None:
        raise ZeroDivisionError


def test_a_provider_of_another_vendor_that_refuses_costs_no_step(configure: Configure, server: FaultServer) -> None:
    client = configure(Slots())
    assert client.run("checkout").step("pack", lambda: 7) == 7
    assert client.flush()
    assert server.statuses == ["running", "success"]


def test_the_global_provider_stays_what_it_was(configure: Configure) -> None:
    before = trace.get_tracer_provider()
    client = configure(NoOpTracerProvider())
    client.run("checkout").step("pack", lambda: None)
    assert trace.get_tracer_provider() is before


def test_flush_is_true_when_everything_was_delivered_and_false_after_a_loss(
    configure: Configure, server: FaultServer
) -> None:
    client = configure(NoOpTracerProvider())
    client.run("checkout").step("pack", lambda: None)
    assert client.flush() is True
    server.answer_with(status(400), accepted)
    client.run("checkout").skip("ship")
    assert client.flush() is False
    assert client.stats() == failpath_otel.Stats(3, 2, 0, {"send_failed": 1})


def test_flush_with_a_silent_server_comes_back_in_time(configure: Configure, server: FaultServer) -> None:
    server.answer_with(silent)
    client = configure(NoOpTracerProvider())
    client.run("checkout").step("pack", lambda: None)
    began = monotonic()
    assert client.flush(0.2) is False
    assert monotonic() - began < 1.5


@pytest.mark.parametrize("timeout", [-1, float("nan"), "2", None, True], ids=repr)
def test_a_timeout_that_makes_no_sense_is_refused(configure: Configure, timeout: Any) -> None:
    client = configure(NoOpTracerProvider())
    for wait in (client.flush, client.shutdown):
        with pytest.raises(ConfigurationError, match="timeout"):
            wait(timeout)


def test_aflush_lets_the_event_loop_run_and_returns_the_truth(configure: Configure, server: FaultServer) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted), status(503))
    client = configure(NoOpTracerProvider())

    async def main() -> list[bool]:
        client.run("checkout").step("pack", lambda: None)
        flushing = asyncio.create_task(client.aflush(10))
        # The loop turns while the flush waits, or this would never end.
        await asyncio.to_thread(server.wait_for_requests, 1)
        assert not flushing.done()
        gate.set()
        first = await flushing
        client.run("checkout").skip("ship")
        return [first, await client.aflush(0.3)]

    assert asyncio.run(main()) == [True, False]


def test_aflush_with_a_silent_server_comes_back_in_time(configure: Configure, server: FaultServer) -> None:
    server.answer_with(silent)
    client = configure(NoOpTracerProvider())
    client.run("checkout").step("pack", lambda: None)
    began = monotonic()
    assert asyncio.run(client.aflush(0.2)) is False
    assert monotonic() - began < 1.5


def test_a_provider_that_is_forgotten_is_collected(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    client.run("checkout").step("pack", lambda: None)
    client.shutdown()
    forgotten = weakref.ref(provider)
    del provider, client
    gc.collect()
    assert forgotten() is None


def test_many_configurations_leave_one_delivery_behind(configure: Configure, server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    for number in range(50):
        client = configure(provider, f"{server.url}/{number}")
        client.run("checkout").step("pack", lambda: None)
        assert client.flush()
    assert client.stats().delivered == 100
    assert len(client._join.reporter._pipelines) <= 2


def test_aflush_without_time_is_true_when_nothing_waits(configure: Configure) -> None:
    client = configure(TracerProvider(shutdown_on_exit=False))
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    assert asyncio.run(client.aflush(0)) is True
    assert client.flush(0) is True


def test_a_cancellation_of_aflush_is_never_swallowed(configure: Configure, server: FaultServer) -> None:
    client = configure(TracerProvider(shutdown_on_exit=False))

    async def cancelled_while_it_settles(before: int) -> bool:
        client.run("checkout").step("pack", lambda: None)
        task = asyncio.ensure_future(client.aflush(10))
        await asyncio.sleep(0)
        server.wait_for_events(2 * before + 1)  # blocks the loop: both come in the same turn
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert all(asyncio.run(cancelled_while_it_settles(number)) for number in range(20))


def test_two_clients_of_one_provider_report_each_step_once(configure: Configure, server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    clients = [configure(provider), configure(provider, capture_stack=True)]
    for client in clients:
        client.run("checkout").step("pack", lambda: None)
    assert all(client.flush() for client in clients)
    assert server.statuses == ["running", "success"] * 2


def test_clients_of_two_projects_report_to_their_own_also_where_one_has_joined_the_providers_of_the_other(
    configure: Configure, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with fault_server() as other:
        theirs = configure(provider, other.url)
        ours = configure(NoOpTracerProvider())
        ours._tracer = type(ours._tracer)(provider.get_tracer("shared"), ours._tracer.observer)
        ours.run("checkout").step("ours", lambda: None)
        theirs.run("checkout").step("theirs", lambda: None)
        assert ours.flush()
        assert theirs.flush()
        assert [(sent["stepKey"], sent["status"]) for sent in server.events] == [
            ("ours", "running"),
            ("ours", "success"),
        ]
        assert {sent["stepKey"] for sent in other.events} == {"theirs"}
        assert len(other.events) == 2


def test_a_processor_added_by_hand_beside_configure_reports_no_step_of_the_client_again(
    configure: Configure, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    by_hand = failpath_otel.FailpathSpanProcessor(project_key=KEY, endpoint=server.url)
    provider.add_span_processor(by_hand)
    client = configure(provider)
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    assert by_hand.flush()
    assert server.statuses == ["running", "success"]
    by_hand.shutdown()


def test_a_provider_that_refuses_the_processor_once_is_joined_the_next_time(
    configure: Configure, server: FaultServer
) -> None:
    class Moody(TracerProvider):
        refuses = True

        def add_span_processor(self, span_processor: Any) -> None:
            if self.refuses:
                raise RuntimeError("not now")
            super().add_span_processor(span_processor)

    provider = Moody(shutdown_on_exit=False)
    first = configure(provider)
    for _ in range(10):
        first.run("checkout").step("pack", lambda: None)
    assert not first._join.reporter._ignored
    provider.refuses = False
    second = configure(provider)
    second.run("checkout").step("pack", lambda: None)
    assert first.flush()
    assert second.flush()
    assert server.statuses == ["running", "success"] * 11


def test_two_clients_of_one_provider_share_the_current_run(configure: Configure, server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    first, second = configure(provider), configure(provider)

    @second.step("pack")
    def pack() -> int:
        return 7

    with first.run("checkout", run_id="req-1") as run:
        assert second.current_run() is run
        assert pack() == 7
    assert first.flush()
    assert [(sent["runId"], sent["stepKey"]) for sent in server.events] == [("req-1", "pack")] * 2
    assert configure(NoOpTracerProvider()).current_run() is None


@pytest.mark.parametrize("given", ["x", 7, TracerProvider, object()], ids=["text", "number", "class", "object"])
def test_bad_input_a_provider_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="tracer_provider must be an OpenTelemetry TracerProvider"):
        failpath_otel.configure(project_key=KEY, tracer_provider=given)
