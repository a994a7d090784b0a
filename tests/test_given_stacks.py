"""The stack that a caller of ``record_step`` gives is sent; ``capture_stack`` is about those of exceptions."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import failpath_otel
from failpath_otel import Failpath, FailpathSpanExporter, FailpathSpanProcessor
from failpath_otel.testing import MockFailpath
from tests.fault_server import FaultServer

KEY = "fp_project_0123456789_secret"
STACK = "Error: no\n    at charge (shop.js:7:3)"
GIVEN = {"name": "Declined", "message": "no", "stack": STACK}


def record(failpath: Failpath, **given: Any) -> None:
    failpath.record_step(flow_key="checkout", run_id="r", step_key="charge", status="error", **given)


def _configured(server: FaultServer, **options: Any) -> tuple[Failpath, Callable[[], object]]:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider, **options)
    return client, client.shutdown


def _by_processor(server: FaultServer, **options: Any) -> tuple[Failpath, Callable[[], object]]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FailpathSpanProcessor(project_key=KEY, endpoint=server.url, **options))
    return Failpath(tracer_provider=provider), provider.shutdown


def _by_exporter(server: FaultServer, **options: Any) -> tuple[Failpath, Callable[[], object]]:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = FailpathSpanExporter(project_key=KEY, endpoint=server.url, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Failpath(tracer_provider=provider), provider.shutdown


every_way = pytest.mark.parametrize(
    "begin", [_configured, _by_processor, _by_exporter], ids=["configure", "processor", "exporter"]
)


def sent(begin: Callable[..., tuple[Failpath, Callable[[], object]]], server: FaultServer, error: object) -> Any:
    failpath, end = begin(server)
    record(failpath, error=error)
    end()
    [event] = server.events
    return event["error"]


@every_way
def test_a_stack_given_by_hand_is_sent_without_capture_stack(
    server: FaultServer, begin: Callable[..., tuple[Failpath, Callable[[], object]]]
) -> None:
    assert sent(begin, server, GIVEN) == GIVEN


@every_way
def test_the_stack_of_an_exception_recorded_by_hand_is_not(
    server: FaultServer, begin: Callable[..., tuple[Failpath, Callable[[], object]]]
) -> None:
    with pytest.raises(ValueError, match="no") as caught:
        raise ValueError("no")
    assert sent(begin, server, caught.value) == {"name": "ValueError", "message": "no"}


@every_way
@pytest.mark.parametrize("error", ["no", {"message": "no"}, {"message": "no", "stack": ""}], ids=repr)
def test_where_none_is_given_there_is_none(
    server: FaultServer, begin: Callable[..., tuple[Failpath, Callable[[], object]]], error: object
) -> None:
    assert sent(begin, server, error) == {"name": "Error", "message": "no"}


def test_redact_is_asked_about_a_given_stack_and_secrets_are_taken_out_of_it(server: FaultServer) -> None:
    seen: list[Any] = []

    def redact(key: str, value: Any) -> Any:
        if key == "error.stack":
            seen.append(value)
            return "hidden"
        return value

    failpath, end = _configured(server, redact=redact)
    record(failpath, error={**GIVEN, "stack": "at x password=hunter2"})
    end()
    assert server.events[0]["error"]["stack"] == "hidden"
    assert seen == ["at x password=[redacted]"]


def test_the_mock_keeps_a_given_stack() -> None:
    failpath = MockFailpath()
    record(failpath, error=GIVEN)
    error = failpath.events[0].error
    assert error is not None
    assert error.stack == STACK
