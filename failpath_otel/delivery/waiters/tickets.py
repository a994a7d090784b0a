"""Waiting for the last record of a step, which its handoff names."""

from typing import TYPE_CHECKING

from failpath_otel.errors import DeliveryError
from failpath_otel.handoff import StepHandoff

if TYPE_CHECKING:
    from failpath_otel.delivery.pipeline import Pipeline


def _last_record(handoff: StepHandoff) -> "tuple[Pipeline, int]":
    """Where the last record of a step went, and its number there; 0 if it was refused."""
    last_record: tuple[Pipeline, int] = handoff.last_record
    return last_record


def await_attempt(handoff: StepHandoff, patience: float) -> DeliveryError | None:
    """Waits until the last record of a step was sent, or an attempt to send it has failed, for ``patience`` seconds.

    Returns:
        Why that record is not delivered, if it is not.
    """
    if handoff.last_record is None:
        return None
    pipeline, number = _last_record(handoff)
    return pipeline.await_attempt(patience, (number, number))[1] if number else pipeline.admission.refusal()


async def aawait_attempt(handoff: StepHandoff, patience: float) -> DeliveryError | None:
    """:func:`await_attempt` for async code: waits without blocking the event loop."""
    if handoff.last_record is None:
        return None
    pipeline, number = _last_record(handoff)
    if not number:
        return pipeline.admission.refusal()
    # Here, because importing it takes longer than all of this package; who awaits this has done so.
    from failpath_otel.delivery.waiters.async_waiters import attempted  # noqa: PLC0415

    return await attempted(pipeline, patience, (number, number))
