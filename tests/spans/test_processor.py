"""The processor on an SDK provider that was wired by hand, with spans that carry the contract's attributes only."""

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.status import StatusCode

from failpath_otel import semconv
from failpath_otel.options.options import Options
from failpath_otel.spans.processor import FailpathSpanProcessor
from failpath_otel.step_state import STATE_KEY, RunIdentity, StepState
from tests.fault_server import FaultServer, accepted, fault_server, held, silent
from tests.keys import KEY
from tests.spans.foreign import IDENTITY, a_span, lifecycle, tracer_with

NewProcessor = Callable[..., FailpathSpanProcessor]
SKIPPED = {**IDENTITY, semconv.STEP_STATUS: "skipped"}


class _Holder:
    """What can still end a step; in production the object that runs its function."""


_HOLDER = _Holder()


def a_state(attributes: dict[str, str]) -> StepState:
    """Return the state that the code of a step passes on with the start of its span."""
    run = RunIdentity(attributes[semconv.FLOW_KEY], attributes[semconv.RUN_ID])
    return StepState(run, attributes[semconv.STEP_KEY], None, attributes, holder=_HOLDER)


def test_running_is_at_the_server_while_the_span_is_open(processor: FailpathSpanProcessor, server: FaultServer) -> None:
    span = tracer_with(processor).start_span("charge-card", attributes=IDENTITY)
    [running] = server.wait_for_events(1)
    assert (running["flowKey"], running["runId"], running["stepKey"], running["status"]) == (
        "checkout",
        "req-1",
        "charge-card",
        "running",
    )
    span.end()
    assert processor.flush()
    _, ended = server.events
    assert ended["status"] == "success"
    assert ended["startedAt"] == running["timestamp"]
    assert ended["spanId"] == running["spanId"] == f"{span.get_span_context().span_id:016x}"


def test_running_is_queued_before_on_start_returns(processor: FailpathSpanProcessor) -> None:
    tracer_with(processor).start_span("charge-card", attributes=IDENTITY)
    assert processor.stats().accepted == 1


def test_a_skip_is_not_announced_as_running(processor: FailpathSpanProcessor, server: FaultServer) -> None:
    span = tracer_with(processor).start_span("charge-card", attributes=SKIPPED)
    assert processor.stats().accepted == 0
    span.end()
    assert processor.flush()
    assert server.statuses == ["skipped"]


@pytest.mark.parametrize("status", semconv.STATUSES)
def test_a_manual_record_is_one_record_at_its_end(
    processor: FailpathSpanProcessor, server: FaultServer, status: str
) -> None:
    span = tracer_with(processor).start_span("charge-card", attributes={**IDENTITY, semconv.STEP_STATUS: status})
    assert processor.stats().accepted == 0
    span.add_event(semconv.EVENT_NAMES[status])
    span.end()
    assert processor.flush()
    assert server.statuses == [status]


def test_spans_that_are_no_steps_are_left_alone(processor: FailpathSpanProcessor, server: FaultServer) -> None:
    tracer = tracer_with(processor)
    for attributes in ({}, {semconv.FLOW_KEY: "checkout", semconv.RUN_ID: "req-1"}, {semconv.STEP_KEY: "x"}):
        tracer.start_span("other", attributes=attributes).end()
    assert processor.flush()
    assert processor.stats().accepted == 0
    assert server.requests == []


def test_a_step_that_raises_is_an_error_with_its_name_and_message(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer = tracer_with(processor)
    with pytest.raises(ValueError), tracer.start_as_current_span("charge-card", attributes=IDENTITY):  # noqa: PT011
        raise ValueError("declined")
    assert processor.flush()
    assert server.events[-1]["error"] == {"name": "ValueError", "message": "declined"}


def test_200_attributes_added_by_the_user_cost_neither_identity_nor_outcome(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    span = tracer_with(processor).start_span("charge-card", attributes={**IDENTITY, "failpath.metadata.a": 1})
    for number in range(200):
        span.set_attribute(f"mine.{number}", number)
    span.set_status(StatusCode.ERROR)
    span.end()
    assert processor.flush()
    running, ended = server.events
    assert ended["status"] == "error"
    for name in ("flowKey", "runId", "stepKey", "metadata"):
        assert ended[name] == running[name]


def test_200_events_added_by_the_user_cost_neither_identity_nor_outcome(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    span = tracer_with(processor).start_span("charge-card", attributes=IDENTITY)
    for number in range(200):
        span.add_event(f"mine {number}")
    span.set_attribute(semconv.STEP_STATUS, "error")
    span.end()
    assert processor.flush()
    assert server.statuses == ["running", "error"]


def test_value_length_limits_keep_the_identity_that_stands_in_the_context(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer = tracer_with(processor, span_limits=SpanLimits(max_span_attribute_length=3))
    attributes = {**IDENTITY, "failpath.metadata.note": "longer", "failpath.metadata_json.cart": '{"items":[1,null]}'}
    span = tracer.start_span("charge-card", Context({STATE_KEY: a_state(attributes)}), attributes=attributes)
    span.set_attribute(semconv.STEP_STATUS, "error")
    span.add_event(semconv.EVENT_NAMES["error"])
    span.end()
    assert processor.flush()
    assert server.statuses == ["running", "error"]
    for sent in server.events:
        assert (sent["flowKey"], sent["runId"], sent["stepKey"]) == ("checkout", "req-1", "charge-card")


def test_value_length_limits_leave_metadata_of_the_start_whole_in_the_outcome_too(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer = tracer_with(processor, span_limits=SpanLimits(max_span_attribute_length=3))
    attributes = {**IDENTITY, "failpath.metadata.note": "longer", "failpath.metadata_json.cart": '{"items":[1,null]}'}
    tracer.start_span("charge-card", Context({STATE_KEY: a_state(attributes)}), attributes=attributes).end()
    assert processor.flush()
    for sent in server.events:
        assert sent["metadata"] == {"note": "longer", "cart": {"items": [1, None]}}


def test_a_step_that_was_open_before_the_processor_came_is_reported_whole_at_its_end(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("any").start_span("charge-card", attributes=IDENTITY)
    provider.add_span_processor(processor)
    assert processor.stats().accepted == 0
    span.end()
    assert processor.flush()
    assert server.statuses == ["running", "success"]


def test_a_span_that_the_host_does_not_sample_is_not_reported(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer_with(processor, sampler=ALWAYS_OFF).start_span("charge-card", attributes=IDENTITY).end()
    assert processor.flush()
    assert server.requests == []


def test_two_processors_of_one_provider_report_each_step_each(server: FaultServer, new_processor: NewProcessor) -> None:
    with fault_server() as other:
        first, second = new_processor(server.url), new_processor(other.url)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(first)
        provider.add_span_processor(second)
        provider.get_tracer("any").start_span("charge-card", attributes=IDENTITY).end()
        assert first.flush()
        assert second.flush()
        assert server.events == other.events
        assert server.statuses == ["running", "success"]


def test_after_reconfiguring_new_steps_go_to_the_new_endpoint_and_open_ones_end_where_they_began(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer = tracer_with(processor)
    with fault_server() as other:
        first = tracer.start_span("first", attributes={**IDENTITY, semconv.STEP_KEY: "first"})
        processor._reporter.reconfigure(Options(KEY, other.url))
        second = tracer.start_span("second", attributes={**IDENTITY, semconv.STEP_KEY: "second"})
        first.end()
        second.end()
        assert processor.flush()
        assert [(sent["stepKey"], sent["status"]) for sent in server.events] == [
            ("first", "running"),
            ("first", "success"),
        ]
        assert [(sent["stepKey"], sent["status"]) for sent in other.events] == [
            ("second", "running"),
            ("second", "success"),
        ]
        assert processor.stats().delivered == 4


def test_a_step_that_began_without_capture_stack_ends_without_a_stack(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer = tracer_with(processor)
    with pytest.raises(ValueError), tracer.start_as_current_span("x", attributes=IDENTITY):  # noqa: PT011
        processor._reporter.reconfigure(Options(KEY, server.url, capture_stack=True))
        raise ValueError("declined")
    assert processor.flush()
    assert server.events[-1]["error"] == {"name": "ValueError", "message": "declined"}


def test_capture_stack_sends_the_stack(server: FaultServer, new_processor: NewProcessor) -> None:
    processor = new_processor(server.url, capture_stack=True)
    tracer = tracer_with(processor)
    with pytest.raises(ValueError), tracer.start_as_current_span("x", attributes=IDENTITY):  # noqa: PT011
        raise ValueError("declined")
    assert processor.flush()
    assert "test_capture_stack_sends_the_stack" in server.events[-1]["error"]["stack"]


def test_after_shutdown_steps_are_counted_as_lost_to_it_and_nothing_raises(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    tracer = tracer_with(processor)
    processor.shutdown()
    tracer.start_span("x", attributes=IDENTITY).end()
    assert processor.stats().dropped == {"shut_down": 2}
    assert processor.flush() is False
    assert server.requests == []


def test_an_open_step_does_not_end_with_the_shutdown(processor: FailpathSpanProcessor, server: FaultServer) -> None:
    span = tracer_with(processor).start_span("x", attributes=IDENTITY)
    processor.shutdown()
    assert server.statuses == ["running"]
    span.end()
    assert processor.stats().dropped == {"shut_down": 1}


def test_shutdown_of_a_processor_with_a_silent_server_is_bounded(new_processor: NewProcessor) -> None:
    with fault_server(silent) as server:
        processor = new_processor(server.url)
        tracer_with(processor).start_span("x", attributes=IDENTITY).end()
        ended = threading.Event()

        def close() -> None:
            assert processor._reporter.close(0.2) is False
            ended.set()

        threading.Thread(target=close).start()
        assert ended.wait(5)


def test_a_processor_that_is_shut_down_and_forgotten_is_collected(server: FaultServer) -> None:
    processor = FailpathSpanProcessor(project_key=KEY, endpoint=server.url)
    processor.on_end(a_span())
    processor.shutdown()
    forgotten = weakref.ref(processor)
    del processor
    gc.collect()
    assert forgotten() is None


def test_on_start_and_on_end_do_not_wait_for_the_network(new_processor: NewProcessor) -> None:
    gate = threading.Event()
    with fault_server(held(gate, accepted)) as server:
        processor = new_processor(server.url)
        tracer = tracer_with(processor)
        tracer.start_span("x", attributes=IDENTITY)
        server.wait_for_requests(1)
        for _ in range(100):
            tracer.start_span("x", attributes=IDENTITY).end()
        assert processor.stats().waiting == 201
        gate.set()
        assert processor.flush()


def test_an_ended_span_of_any_tracer_is_reported_with_its_own_times(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    processor.on_end(a_span(events=lifecycle("running", "success")))
    assert processor.flush()
    assert [sent["timestamp"] for sent in server.events] == [
        "2023-11-14T22:13:20.123456Z",
        "2023-11-14T22:13:21.358024Z",
    ]
