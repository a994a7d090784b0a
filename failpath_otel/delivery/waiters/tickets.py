"""Waiting for the last record of a step, which its state names."""

from typing import TYPE_CHECKING

from failpath_otel.errors import DeliveryError
from failpath_otel.report import exception_once
from failpath_otel.step_state import StepState

if TYPE_CHECKING:
    from failpath_otel.delivery.pipeline import Pipeline


def await_attempt(state: StepState, patience: float) -> DeliveryError | None:
    """Wait at most ``patience`` seconds until the last record of a step was sent, or an attempt to send it has failed.

    Returns:
        Why that record is not delivered, if it is not.
    """
    pipeline: Pipeline | None = state.pipeline
    if pipeline is None:
        return None
    number = state.last_ticket
    return pipeline.await_attempt(patience, (number, number))[1] if number else pipeline.admission.refusal()


async def aawait_attempt(state: StepState, patience: float) -> DeliveryError | None:
    """Do the same as :func:`await_attempt` in async code, without blocking the event loop."""
    pipeline: Pipeline | None = state.pipeline
    if pipeline is None:
        return None
    number = state.last_ticket
    if not number:
        return pipeline.admission.refusal()
    try:
        # Here, because importing it takes longer than all of this package; who awaits this has done so.
        from failpath_otel.delivery.waiters.async_waiters import attempted  # noqa: PLC0415
    except ImportError:  # an upgrade has replaced the files of this process
        exception_once("waiting for a record")
        return DeliveryError("it is not known whether the record is delivered: what waits for it cannot be imported")

    return await attempted(pipeline, patience, (number, number))
