"""Failpath's own SDK, row by row of its reference: what each of its functions does, it does here under its name."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracerProvider

import failpath_otel
from failpath_otel import ConfigurationError, FailpathClient, SendError
from tests.fault_server import FaultServer, status

KEY = "fp_project_0123456789_secret"


@pytest.fixture
def failpath(server: FaultServer) -> Iterator[FailpathClient]:
    client = failpath_otel.configure(
        project_key=KEY,
        endpoint=server.url,
        tracer_provider=NoOpTracerProvider(),
        default_metadata={"level": "client", "client": 1},
    )
    yield client
    client.shutdown(0)


def delivered(failpath: FailpathClient, server: FaultServer) -> list[dict[str, Any]]:
    assert failpath.flush()
    return server.events


def test_create_failpath_client_is_configure_and_requires_a_project_key(failpath: FailpathClient) -> None:
    assert isinstance(failpath, FailpathClient)
    with pytest.raises(ConfigurationError, match="project key"):
        failpath_otel.configure()


def test_run_groups_the_steps_of_one_execution_by_its_run_id(failpath: FailpathClient, server: FaultServer) -> None:
    run = failpath.run("checkout", run_id="req-1", metadata={"level": "run"})
    run.step("validate-cart", lambda: None)
    failpath.run("checkout", run_id="req-1").step("charge-card", lambda: None)
    assert {(event["flowKey"], event["runId"]) for event in delivered(failpath, server)} == {("checkout", "req-1")}


def test_run_generates_a_run_id_where_none_is_given(failpath: FailpathClient, server: FaultServer) -> None:
    first, second = failpath.run("checkout"), failpath.run("checkout")
    first.skip("ship")
    second.skip("ship")
    assert [event["runId"] for event in delivered(failpath, server)] == [first.run_id, second.run_id]
    assert first.run_id != second.run_id


def test_creating_a_run_sends_nothing(failpath: FailpathClient, server: FaultServer) -> None:
    with failpath.run("checkout"):
        pass
    assert delivered(failpath, server) == []
    assert server.requests == []


def test_step_sends_running_then_calls_the_function_and_returns_its_value(
    failpath: FailpathClient, server: FaultServer
) -> None:
    seen: list[list[str]] = []

    def charge() -> str:
        server.wait_for_events(1)
        seen.append(server.statuses)
        return "ch_1"

    assert failpath.run("checkout").step("charge-card", charge) == "ch_1"
    events = delivered(failpath, server)
    assert seen == [["running"]]
    assert [event["status"] for event in events] == ["running", "success"]
    assert events[1]["durationMs"] > 0
    assert events[1]["startedAt"] == events[0]["timestamp"]


def test_step_raises_the_functions_own_error_again_and_sends_its_message_and_name(
    failpath: FailpathClient, server: FaultServer
) -> None:
    declined = PermissionError("the bank declined the card")

    def charge() -> None:
        raise declined

    with pytest.raises(PermissionError) as raised:
        failpath.run("checkout").step("charge-card", charge)
    assert raised.value is declined
    assert delivered(failpath, server)[1]["error"] == {
        "name": "PermissionError",
        "message": "the bank declined the card",
    }


def test_skip_sends_one_skipped_event(failpath: FailpathClient, server: FaultServer) -> None:
    failpath.run("checkout").skip("send-receipt-email")
    assert [(event["stepKey"], event["status"]) for event in delivered(failpath, server)] == [
        ("send-receipt-email", "skipped")
    ]


@pytest.mark.parametrize("word", ["running", "success", "error", "skipped"])
def test_record_step_sends_one_event_of_any_status_by_hand(
    failpath: FailpathClient, server: FaultServer, word: Any
) -> None:
    failpath.record_step(flow_key="delivery", run_id="parcel-4", step_key="ship", status=word)
    [event] = delivered(failpath, server)
    assert (event["flowKey"], event["runId"], event["stepKey"], event["status"]) == (
        "delivery",
        "parcel-4",
        "ship",
        word,
    )


def test_flush_returns_when_every_event_was_sent_or_has_failed(failpath: FailpathClient, server: FaultServer) -> None:
    run = failpath.run("checkout")
    run.step("pack", lambda: None)
    assert failpath.flush() is True
    assert server.statuses == ["running", "success"]
    server.answer_with(status(400))
    run.skip("ship")
    assert failpath.flush() is False


def test_flush_raises_the_first_delivery_error_with_throw_on_send_error(server: FaultServer) -> None:
    server.answer_with(status(400))
    failpath = failpath_otel.configure(
        project_key=KEY, endpoint=server.url, tracer_provider=NoOpTracerProvider(), throw_on_send_error=True
    )
    failpath.run("checkout").skip("ship")
    with pytest.raises(SendError, match=re.escape("400")) as raised:
        failpath.flush()
    assert (raised.value.status, raised.value.records, raised.value.retrying) == (
        400,
        1,
        True,
    )  # nothing was ever taken
    with contextlib.suppress(SendError):  # if it was refused once more meanwhile
        failpath.shutdown(0)


def test_metadata_of_client_run_and_step_is_merged_on_every_event(
    failpath: FailpathClient, server: FaultServer
) -> None:
    run = failpath.run("checkout", metadata={"level": "run", "run": 2})
    run.step("pack", lambda: None, metadata={"level": "step", "step": 3})
    run.skip("ship")
    first, second, third = delivered(failpath, server)
    assert first["metadata"] == second["metadata"] == {"level": "step", "client": 1, "run": 2, "step": 3}
    assert third["metadata"] == {"level": "run", "client": 1, "run": 2}
