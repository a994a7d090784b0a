"""Whether an event loop runs on this thread, which nobody may block."""

import sys
from typing import Any


def on_asyncio() -> bool:
    """Whether asyncio's loop runs on this thread."""
    # Where nobody has imported it, none runs; importing it takes longer than all of this package.
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except (RuntimeError, AttributeError):  # no loop; or another thread is importing asyncio at this moment
        return False
    return True


def on_event_loop() -> bool:
    """Whether a loop runs on this thread: asyncio's, or another one's that sniffio knows, as trio's."""
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
