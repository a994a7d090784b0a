"""Whether trio's event loop runs here."""

import sys
from typing import Any


def running_trio() -> Any:  # noqa: ANN401 - has types only where it is installed
    """Return the module ``trio`` if its loop runs the calling code."""
    trio: Any = sys.modules.get("trio")
    sniffio: Any = sys.modules.get("sniffio")
    if trio is None:
        return None
    try:
        if sniffio is not None:  # distinguishes trio from asyncio on one thread
            return trio if sniffio.current_async_library() == "trio" else None
        trio.lowlevel.current_trio_token()
    except (RuntimeError, AttributeError):  # no loop, or another thread is importing trio
        return None
    return trio
