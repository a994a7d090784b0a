"""Steps whose span other code ends, as Logfire does at exit with all that are open: the step itself decides."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import failpath_otel
from failpath_otel import FailpathClient, FailpathSpanProcessor
from tests.fault_server import FaultServer

KEY = "fp_project_0123456789_secret"


@pytest.fixture
def client(server: FaultServer) -> Iterator[FailpathClient]:
    provider = TracerProvider(shutdown_on_exit=False)
    made = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    yield made
    made.shutdown(0)


def test_a_step_whose_span_was_ended_by_others_goes_on_and_ends_as_it_ends(
    client: FailpathClient, server: FaultServer
) -> None:
    with client.run("checkout").step("charge-card", metadata={"cart": 1}) as step:
        trace.get_current_span().end()
        assert client.flush()
        assert server.statuses == ["running"]
        step.set_metadata(charge="ch_1")
    assert client.flush()
    running, success = server.events
    assert success["status"] == "success"
    assert success["spanId"] == running["spanId"]
    assert success["startedAt"] == running["timestamp"]
    assert success["durationMs"] > 0
    assert success["metadata"] == {"cart": 1, "charge": "ch_1"}


def test_a_step_whose_span_was_ended_by_others_can_still_fail(client: FailpathClient, server: FaultServer) -> None:
    def charge() -> None:
        trace.get_current_span().end()
        raise PermissionError("declined")

    with pytest.raises(PermissionError):
        client.run("checkout").step("charge-card", charge)
    assert client.flush()
    assert server.statuses == ["running", "error"]
    assert server.events[1]["error"] == {"name": "PermissionError", "message": "declined"}


def test_a_step_that_others_end_and_that_never_comes_back_stays_running(
    client: FailpathClient, server: FaultServer
) -> None:
    block = client.run("checkout").step("charge-card")
    block.__enter__()
    trace.get_current_span().end()
    assert client.flush()
    assert server.statuses == ["running"]
    assert client.stats().dropped == {}
    block.__exit__(None, None, None)
    assert client.flush()
    assert server.statuses == ["running", "success"]


def test_a_step_that_others_end_with_an_error_status_has_failed_once(
    client: FailpathClient, server: FaultServer
) -> None:
    with client.run("checkout").step("charge-card"):
        span = trace.get_current_span()
        span.set_status(trace.StatusCode.ERROR, "declined")
        span.end()
    assert client.flush()
    assert server.statuses == ["running", "error"]


def test_spans_in_whose_place_a_private_one_is_reported_leave_nothing_behind(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False, sampler=ALWAYS_OFF)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    provider.shutdown()
    run = client.run("checkout")
    for _ in range(20):
        run.step("pack", lambda: None)
        run.skip("ship")
    assert client.flush()
    assert len(server.events) == 60
    assert client._join.reporter._ignored == {}
    assert client._join.reporter._open == {}
    client.shutdown(0)


@pytest.mark.parametrize("error", [None, PermissionError("declined")], ids=["returns", "raises"])
def test_a_processor_by_hand_hears_of_the_end_too(server: FaultServer, error: Exception | None) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url)
    provider.add_span_processor(processor)
    run = failpath_otel.Failpath(tracer_provider=provider).run("checkout")
    with suppress(PermissionError), run.step("charge-card"):
        trace.get_current_span().end()
        if error is not None:
            raise error
    assert processor.flush()
    assert server.statuses == ["running", "success" if error is None else "error"]
    processor.shutdown()


def test_a_step_whose_outcome_cannot_be_written_on_its_span_has_one_all_the_same(
    client: FailpathClient, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise ZeroDivisionError

    with client.run("checkout").step("charge-card"):
        monkeypatch.setattr(trace.get_current_span(), "set_attribute", refuse)
    assert client.flush()
    assert server.statuses == ["running", "success"]


def test_a_step_whose_span_cannot_be_ended_has_an_outcome_all_the_same(
    client: FailpathClient, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise ZeroDivisionError

    with client.run("checkout").step("charge-card"):
        monkeypatch.setattr(trace.get_current_span(), "end", refuse)
    assert client.flush()
    assert server.statuses == ["running", "success"]


def test_an_end_that_comes_late_is_no_second_outcome(
    client: FailpathClient, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise ZeroDivisionError

    with client.run("checkout").step("charge-card"):
        span = trace.get_current_span()
        monkeypatch.setattr(span, "end", refuse)
    monkeypatch.undo()
    span.end()
    assert client.flush()
    assert server.statuses == ["running", "success"]
    assert client._join.reporter._open == {}


class SameIds(IdGenerator):
    """Ids as a program has them that seeds the generator of numbers in each of its threads."""

    def generate_span_id(self) -> int:
        return 7

    generate_trace_id = generate_span_id


def test_two_open_steps_with_the_same_ids_keep_their_own_outcomes(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False, id_generator=SameIds())
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    run = client.run("checkout")
    first, second = run.step("first"), run.step("second")
    with suppress(PermissionError), first:
        with second:
            pass
        raise PermissionError
    assert client.flush()
    reported = [(sent["stepKey"], sent["status"]) for sent in server.events]
    assert reported == [("first", "running"), ("second", "running"), ("second", "success"), ("first", "error")]
    client.shutdown(0)


def test_a_processor_added_by_hand_after_configure_reports_no_step_of_the_client_again(server: FaultServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    client = failpath_otel.configure(project_key=KEY, endpoint=server.url, tracer_provider=provider)
    by_hand = FailpathSpanProcessor(project_key=KEY, endpoint=server.url)
    provider.add_span_processor(by_hand)
    client.run("checkout").step("pack", lambda: None)
    assert client.flush()
    assert by_hand.flush()
    assert server.statuses == ["running", "success"]
    by_hand.shutdown()
    client.shutdown(0)
