"""Whether an event loop runs on this thread, which must not be blocked."""

import sys
from typing import Any


def on_asyncio() -> bool:
    """Return whether asyncio's loop runs on this thread."""
    # Not imported, no loop runs; importing it takes longer than all of this package (decision 0005).
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except (RuntimeError, AttributeError):  # no loop, or another thread is importing asyncio
        return False
    return True


def on_event_loop() -> bool:
    """Return whether a loop runs on this thread: asyncio's, or another one that sniffio knows, as trio's."""
    if on_asyncio():
        return True
    sniffio: Any = sys.modules.get("sniffio")
    if sniffio is None:
        return False
    try:
        sniffio.current_async_library()
    except (RuntimeError, AttributeError):
        return False
    return True
