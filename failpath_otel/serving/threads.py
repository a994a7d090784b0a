"""Runs blocking work off the event loop."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T], limiter: anyio.CapacityLimiter | None = None) -> _T:
    """Run *work* on a thread of *limiter*, by default of those that all share; a server that ends does not wait."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
