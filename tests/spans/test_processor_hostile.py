"""Nothing that a span does to the processor reaches the application."""

import logging
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN

from failpath_otel import report, semconv
from failpath_otel.spans.processor import FailpathSpanProcessor
from failpath_otel.step_state import STATE_KEY, RunIdentity, StepState
from tests.fault_server import FaultServer
from tests.spans.foreign import IDENTITY, tracer_with


@pytest.fixture(autouse=True)
def _faults_are_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


class Hostile:
    """An object on which everything fails."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class _Holder:
    """What can still end a step; in production the object that runs its function."""


_HOLDER = _Holder()


def a_state(attributes: Any) -> StepState:
    return StepState(RunIdentity("checkout", "req-1"), "charge-card", None, attributes, holder=_HOLDER)


@pytest.mark.parametrize(
    "span", [Hostile(), None, ReadableSpan("bare"), INVALID_SPAN], ids=lambda span: str(type(span))
)
def test_hostile_spans_raise_nothing_into_the_application(processor: FailpathSpanProcessor, span: Any) -> None:
    processor.on_start(span, None)
    processor.on_start(span, Context({STATE_KEY: a_state(IDENTITY)}))
    processor.on_end(span)


@pytest.mark.parametrize("given", [{}, None, "text", {semconv.FLOW_KEY: 1}], ids=repr)
def test_hostile_start_attributes_raise_nothing_into_the_application(
    processor: FailpathSpanProcessor, given: Any
) -> None:
    tracer = tracer_with(processor)
    tracer.start_span("charge-card", Context({STATE_KEY: a_state(given)}), attributes=IDENTITY).end()


def test_a_fault_of_ours_is_logged_once_and_not_raised(
    processor: FailpathSpanProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        processor.on_end(Hostile())  # type: ignore[arg-type]
    assert len([entry for entry in caplog.records if entry.levelno >= logging.ERROR]) == 1


def test_a_status_of_a_strange_type_costs_the_step_no_outcome(
    processor: FailpathSpanProcessor, server: FaultServer
) -> None:
    span: Any = tracer_with(processor).start_span("charge-card", attributes=IDENTITY)
    span.set_attribute(semconv.STEP_STATUS, {"a": "map"})  # dropped by older SDKs, kept by newer ones
    span.end()
    assert processor.flush()
    assert server.statuses == ["running", "success"]


def test_an_outcome_that_cannot_be_read_is_counted_and_makes_flush_false(processor: FailpathSpanProcessor) -> None:
    class Unreadable(Hostile):
        context = tracer_with(processor).start_span("charge-card", attributes=IDENTITY).get_span_context()

    processor.on_end(Unreadable())  # type: ignore[arg-type]
    assert processor.flush() is False
    assert processor.stats().dropped == {"invalid": 1}
