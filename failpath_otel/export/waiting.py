"""Waiting for a pipeline in asynchronous code, without blocking the event loop and without another thread."""

import asyncio
import contextlib

from failpath_otel.errors import DeliveryError
from failpath_otel.export.pipeline import Pipeline

_TIMED_OUT = DeliveryError("timed out")


async def settled(pipeline: Pipeline, timeout: float) -> bool:
    """As ``pipeline.flush(timeout)``."""
    return await _watched(pipeline, timeout, of_attempt=False) is None and pipeline.lossless


async def attempted(pipeline: Pipeline, timeout: float, numbers: tuple[int, int] | None = None) -> DeliveryError | None:
    """As ``pipeline.await_attempt(timeout, numbers)``."""
    error = await _watched(pipeline, timeout, of_attempt=True, numbers=numbers)
    return None if error is _TIMED_OUT else error


async def _watched(
    pipeline: Pipeline, timeout: float, *, of_attempt: bool, numbers: tuple[int, int] | None = None
) -> DeliveryError | None:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[DeliveryError | None] = loop.create_future()

    def tell(error: DeliveryError | None) -> None:
        if not told.done():
            told.set_result(error)

    def notify(error: DeliveryError | None) -> None:
        # A loop that was closed meanwhile raises; nobody waits there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, error)

    if not of_attempt and pipeline.is_hopeless(timeout):
        return _TIMED_OUT
    cancel = pipeline.watch(notify, of_attempt=of_attempt, numbers=numbers)
    if cancel is None:
        return pipeline.already(numbers)[1]
    # Not `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes at the wrong moment.
    timer = loop.call_later(timeout, tell, _TIMED_OUT)
    try:
        return await told
    finally:
        timer.cancel()
        cancel()
