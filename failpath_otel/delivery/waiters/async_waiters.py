"""Waiting for a pipeline in asynchronous code, without blocking the event loop and without another thread."""

import asyncio
import contextlib
from typing import Any, Final

from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.errors import DeliveryError
from failpath_otel.runtime.trio_loop import running_trio

_TIMED_OUT = DeliveryError("timed out")


async def settled(pipeline: Pipeline, timeout: float) -> bool:
    """Wait as ``pipeline.flush(timeout)`` does."""
    return await _watched(pipeline, timeout, of_attempt=False) is None and pipeline.ledger.is_lossless


async def attempted(pipeline: Pipeline, timeout: float, tickets: tuple[int, int] | None = None) -> DeliveryError | None:
    """Wait as ``pipeline.await_attempt(timeout, tickets)`` does."""
    error = await _watched(pipeline, timeout, of_attempt=True, tickets=tickets)
    return None if error is _TIMED_OUT else error


async def _watched(
    pipeline: Pipeline, timeout: float, *, of_attempt: bool, tickets: tuple[int, int] | None = None
) -> DeliveryError | None:
    trio = running_trio()
    wait = AsyncioWait() if trio is None else TrioWait(trio)
    if not of_attempt and pipeline.flusher.would_wait_in_vain(timeout):
        return _TIMED_OUT
    tickets = pipeline.flusher.numbers_of(tickets)
    cancel = pipeline.flusher.watch(wait.notify, of_attempt=of_attempt, tickets=tickets)
    if cancel is None:
        return pipeline.flusher.outcome(tickets)[1]
    try:
        return await wait.outcome(timeout)
    finally:
        cancel()


class AsyncioWait:
    """A wait on asyncio's loop; raises ``RuntimeError`` where none runs."""

    def __init__(self) -> None:
        try:
            self._loop: Final = asyncio.get_running_loop()
        except RuntimeError:
            msg = "this waits on the event loop of asyncio or of trio, and neither runs here; call flush() on a thread"
            raise RuntimeError(msg) from None
        self._outcome: Final[asyncio.Future[DeliveryError | None]] = self._loop.create_future()

    def notify(self, error: DeliveryError | None) -> None:
        """End the wait, from any thread."""
        # A closed loop raises; nothing waits there any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: DeliveryError | None) -> None:
        if not self._outcome.done():
            self._outcome.set_result(error)

    async def outcome(self, timeout: float) -> DeliveryError | None:
        """Wait at most ``timeout`` seconds; return the error, if there is one."""
        # Not `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes at the wrong moment.
        timer = self._loop.call_later(timeout, self._end, _TIMED_OUT)
        try:
            return await self._outcome
        finally:
            timer.cancel()


class TrioWait:
    """The same on trio's."""

    def __init__(self, trio: Any) -> None:  # noqa: ANN401 - has types only where it is installed
        self._trio: Final = trio
        self._loop: Final = trio.lowlevel.current_trio_token()
        self._outcome: Final = trio.Event()
        self._error: DeliveryError | None = _TIMED_OUT

    def notify(self, error: DeliveryError | None) -> None:
        """End the wait, from any thread."""
        with contextlib.suppress(self._trio.RunFinishedError):  # as above
            self._loop.run_sync_soon(self._end, error)

    def _end(self, error: DeliveryError | None) -> None:
        self._error = error
        self._outcome.set()

    async def outcome(self, timeout: float) -> DeliveryError | None:
        """Wait at most ``timeout`` seconds; return the error, if there is one."""
        with self._trio.move_on_after(timeout):
            await self._outcome.wait()
        return self._error
