"""The bare span that a step is compared with, and what both sides have in common."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import time_ns
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from bench.sink import BenchError
from failpath_otel import Failpath, FailpathClient

PROJECT_KEY: Final = "fp_project_bench"
Action = Callable[[], object]
"""One step, or the span that it is compared with."""


class NullExporter(SpanExporter):
    """Drops spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - nothing is done with them
        """Report success."""
        return SpanExportResult.SUCCESS


def provider_to(exporter: SpanExporter, queue: int | None = None) -> TracerProvider:
    """Return a provider with one batch processor, as an application has it, or with room for so many spans."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=queue))
    return provider


def charge_card() -> str:
    """Do nothing, so that only the step or span is timed."""
    return "ch_1"


class CardDeclinedError(Exception):
    """What a failing step raises."""


def decline_card() -> str:
    """Fail at once."""
    raise CardDeclinedError


def step_of(client: Failpath) -> Action:
    """Return ``run.step()`` with two metadata values, in a run that exists already."""
    run = client.run("checkout", run_id="req_7f1d0c1b")
    return lambda: run.step("charge-card", charge_card, metadata={"cart_id": "cart_1842", "amount": 4999})


def failing_step_of(client: Failpath) -> Action:
    """Return the step whose function raises an exception, which the application catches."""
    run = client.run("checkout", run_id="req_7f1d0c1b")

    def fail() -> None:
        with suppress(CardDeclinedError):
            run.step("charge-card", decline_card, metadata={"cart_id": "cart_1842", "amount": 4999})

    return fail


def step_block_of(client: Failpath) -> Action:
    """Return the step as a ``with`` block."""
    run = client.run("checkout", run_id="req_7f1d0c1b")

    def block() -> None:
        with run.step("charge-card", metadata={"cart_id": "cart_1842", "amount": 4999}):
            charge_card()

    return block


def bare_span(provider: TracerProvider) -> Action:
    """Return a span with the attributes, events, times and status of a step's span."""
    tracer = provider.get_tracer("bench")

    def bare() -> str:
        start = time_ns()
        attributes: dict[str, str | int] = {
            "failpath.flow.key": "checkout",
            "failpath.run.id": "req_7f1d0c1b",
            "failpath.step.key": "charge-card",
            "failpath.metadata.cart_id": "cart_1842",
            "failpath.metadata.amount": 4999,
        }
        with tracer.start_as_current_span("charge-card", attributes=attributes, start_time=start) as span:
            span.add_event("failpath.step.running", timestamp=start)
            result = charge_card()
            span.set_attribute("failpath.step.status", "success")
            span.set_status(StatusCode.OK)
            span.add_event("failpath.step.success", timestamp=time_ns())
        return result

    return bare


def check_delivered(client: FailpathClient, steps: int, arrived: int, earlier: int = 0) -> None:
    """Check that both records of every step were delivered, beside the *earlier* records of the same provider.

    Raises:
        BenchError: they were not.
    """
    stats = client.stats()
    if not (stats.accepted - earlier == stats.delivered - earlier == arrived == 2 * steps) or stats.dropped:
        msg = f"records were lost: {2 * steps} expected, {arrived} arrived, {stats}"
        raise BenchError(msg)
