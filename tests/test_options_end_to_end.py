"""Each option through configure(), with steps of every form and a real server at the other end."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import (
    DeliveryError,
    FailpathClient,
    FailpathSpanExporter,
    FailpathSpanProcessor,
    QueueFullError,
    RecordsRejectedError,
    ShutdownError,
    Stats,
    limits,
)
from failpath_otel.scrubbing.values import DROPPED_KEYS
from tests.delivery.programs import succeed
from tests.fault_server import FaultServer, accepted, held, rejecting
from tests.receiver import wait_for
from tests.spans.foreign import IDENTITY, a_span, tracer_with

KEY = "fp_project_0123456789_secret"
Configure = Callable[..., FailpathClient]


@pytest.fixture
def configure(server: FaultServer) -> Iterator[Configure]:
    """failpath_otel.configure(), for a provider of the test's own unless it gives another."""
    made: list[FailpathClient] = []

    def call(**options: Any) -> FailpathClient:
        given = {"project_key": KEY, "endpoint": server.url, "tracer_provider": NoOpTracerProvider(), **options}
        made.append(failpath_otel.configure(**given))
        return made[-1]

    yield call
    for client in made:
        client.shutdown(0)


def failing() -> None:
    raise ValueError("card 4242")


# enabled


def test_disabled_functions_run_and_return_and_nothing_is_sent_and_no_key_is_needed(server: FaultServer) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    client = failpath_otel.configure(enabled=False, endpoint=server.url, tracer_provider=provider)
    run = client.run("checkout", run_id="req-1")
    assert run.step("pack", lambda: 7) == 7
    with pytest.raises(ValueError, match="card 4242"):
        run.step("pay", failing)
    run.skip("ship")
    assert [span.name for span in spans.get_finished_spans()] == ["pack", "pay", "ship"]
    assert client.flush() is True
    assert client.stats() == Stats(0, 0, 0)
    assert client.shutdown() is True
    assert server.requests == []


@pytest.mark.process
def test_disabled_in_a_fresh_process_nothing_that_sends_is_imported(server: FaultServer) -> None:
    ended = succeed(
        """
        import sys, failpath_otel
        client = failpath_otel.configure()
        print(client.run("checkout").step("pack", lambda: 7), client.flush(), flush=True)
        print([name for name in ("requests", "urllib3", "http.client") if name in sys.modules], flush=True)
        """,
        server.url,
        FAILPATH_ENABLED="false",
        FAILPATH_PROJECT_KEY="",
        NO_FORGE="1",  # what is imported is what this is about
    )
    assert ended.lines == ["7 True", "[]"]
    assert server.connections == 0


def test_delivery_can_be_turned_off_and_on_and_an_open_step_ends_as_it_began(
    configure: Configure, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = configure(tracer_provider=provider)
    run = client.run("checkout")
    with run.step("open while on"):
        configure(tracer_provider=provider, enabled=False)
        run.step("off", lambda: None)
        with run.step("open while off"):
            configure(tracer_provider=provider)
        run.step("on again", lambda: None)
    assert client.flush()
    assert sorted((sent["stepKey"], sent["status"]) for sent in server.events) == [
        ("on again", "running"),
        ("on again", "success"),
        ("open while on", "running"),
        ("open while on", "success"),
    ]


def test_a_disabled_processor_and_exporter_take_everything_and_send_nothing(server: FaultServer) -> None:
    processor = FailpathSpanProcessor(enabled=False, endpoint=server.url)
    tracer_with(processor).start_span("s", attributes=IDENTITY).end()
    assert processor.flush()
    exporter = FailpathSpanExporter(enabled=False, endpoint=server.url)
    assert exporter.export([a_span()]).name == "SUCCESS"
    assert exporter.force_flush()
    processor.shutdown()
    exporter.shutdown()
    assert server.requests == []


# default_metadata


def test_metadata_is_merged_on_every_event_client_under_run_under_step(
    configure: Configure, server: FaultServer
) -> None:
    client = configure(default_metadata={"a": "client", "b": "client", "c": "client", "d": {"of": "client"}})
    run = client.run("checkout", metadata={"b": "run", "c": "run"})
    with run.step("pack", metadata={"c": "step"}) as step:
        step.set_metadata(d="late")
    run.skip("ship", metadata={"c": "skip"})
    client.record_step(
        flow_key="checkout", run_id="r", step_key="ask", status="success", metadata={"a": {"by": "hand"}}
    )
    assert client.flush()
    whole: dict[str, Any] = {"a": "client", "b": "run", "c": "step", "d": {"of": "client"}}
    assert [sent["metadata"] for sent in server.events] == [
        whole,
        {**whole, "d": "late"},
        {**whole, "c": "skip"},
        {"a": {"by": "hand"}, "b": "client", "c": "client", "d": {"of": "client"}},
    ]


def test_default_metadata_is_on_the_foreign_spans_of_the_provider_too(
    configure: Configure, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = configure(tracer_provider=provider, default_metadata={"region": "eu"})
    provider.get_tracer("theirs").start_span("s", attributes={**IDENTITY, "failpath.metadata.own": 1}).end()
    assert client.flush()
    assert [sent["metadata"] for sent in server.events] == [{"region": "eu", "own": 1}] * 2


def test_beyond_the_limit_on_keys_the_steps_own_are_all_there(configure: Configure, server: FaultServer) -> None:
    client = configure(default_metadata={f"default-{number}": number for number in range(limits.MAX_METADATA_KEYS)})
    own = {f"own-{number}": number for number in range(40)}
    client.run("checkout").step("pack", lambda: None, metadata=own)
    assert client.flush()
    for sent in server.events:
        assert own.items() <= sent["metadata"].items()
        assert len(sent["metadata"].keys() - {DROPPED_KEYS}) == limits.MAX_METADATA_KEYS
        assert any(key.startswith("default-") for key in sent["metadata"])


@pytest.mark.parametrize("metadata", [{"self": object}, {b"\xff": b"\xff"}, {1: {2: {3, 4}}}, {"": None}])
def test_bad_input_default_metadata_of_any_kind_is_made_clean(
    configure: Configure, server: FaultServer, metadata: Any
) -> None:
    client = configure(default_metadata=metadata)
    client.run("checkout").skip("ship")
    assert client.flush()
    assert len(server.events[0]["metadata"]) == 1


# What is sent of a step


@pytest.mark.parametrize("captured", [False, True])
def test_capture_stack_decides_whether_the_stack_of_an_error_travels(
    configure: Configure, server: FaultServer, captured: bool
) -> None:
    client = configure(capture_stack=captured)
    with pytest.raises(ValueError, match="card"):
        client.run("checkout").step("pay", failing)
    assert client.flush()
    error = server.events[1]["error"]
    assert (error["name"], error["message"], "stack" in error) == ("ValueError", "card 4242", captured)
    assert not captured or "in failing" in error["stack"]


def test_redact_decides_what_is_sent_and_leaves_the_hosts_span_and_the_exception_alone(
    configure: Configure, server: FaultServer
) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    client = configure(
        tracer_provider=provider,
        capture_stack=True,
        default_metadata={"card": "4242"},
        redact=lambda key, value: value.replace("4242", "****") if isinstance(value, str) else value,
    )
    with pytest.raises(ValueError, match="card 4242"):
        client.run("checkout", metadata={"of": "4242", "n": 4242}).step("pay", failing)
    assert client.flush()
    assert [sent["metadata"] for sent in server.events] == [{"card": "****", "of": "****", "n": 4242}] * 2
    assert server.events[1]["error"]["message"] == "card ****"
    assert "4242" not in server.events[1]["error"]["stack"]
    assert (spans.get_finished_spans()[0].attributes or {})["failpath.metadata.of"] == "4242"


# The request


def test_options_of_the_request_work_together(configure: Configure, server: FaultServer) -> None:
    with requests.Session() as session:
        session.headers["X-Of-Session"] = "yes"
        client = configure(
            session=session,
            compression="gzip",
            route="/ingest",
            headers={"authorization": "Token other", "X-Tenant": "shop"},
            payload=lambda events: {"events": [{"status": sent["status"]} for sent in events]},
        )
        client.run("checkout").step("pack", lambda: None)
        assert client.shutdown()
        assert session.post(server.url, data=b'{"events": []}').ok
    request = server.requests[0]
    assert json.loads(gzip.decompress(request.body)) == {"events": [{"status": "running"}, {"status": "success"}]}
    assert request.path == "/ingest"
    assert [request.headers[name] for name in ("authorization", "x-tenant", "x-of-session")] == [
        *("Token other", "shop", "yes")
    ]


# max_queue_size and on_error


def test_a_full_queue_drops_new_steps_counts_them_and_calls_on_error(configure: Configure, server: FaultServer) -> None:
    gate = threading.Event()
    server.answer_with(held(gate, accepted))
    reported: list[DeliveryError] = []
    client = configure(on_error=reported.append, max_queue_size=2, journal=None)
    run = client.run("checkout")
    run.step("kept", lambda: None)
    for _ in range(5):
        assert run.step("dropped", lambda: 7) == 7
    wait_for(lambda: sum(error.records for error in reported) == 10)
    gate.set()
    assert not client.flush()
    assert client.stats() == Stats(2, 2, 0, {"queue_full": 10})
    assert {sent["stepKey"] for sent in server.events} == {"kept"}
    assert {type(error) for error in reported} == {QueueFullError}


def test_rejected_records_and_those_after_a_shutdown_reach_on_error(configure: Configure, server: FaultServer) -> None:
    server.answer_with(rejecting(1, 2, reason="unknown flow"))
    reported: list[DeliveryError] = []
    client = configure(on_error=reported.append)
    for key in "abc":
        client.run("checkout").skip(key)
    assert not client.shutdown()
    assert client.run("checkout").step("late", lambda: 7) == 7
    wait_for(lambda: sum(error.records for error in reported) == 4)
    assert [(type(error), error.records) for error in reported[:2]] == [(RecordsRejectedError, 1)] * 2
    assert all("unknown flow" in str(error) for error in reported[:2])
    assert {type(error) for error in reported[2:]} == {ShutdownError}
