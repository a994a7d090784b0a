"""Whether trio's loop runs here."""

import sys
from typing import Any


def running_trio() -> Any:  # noqa: ANN401 - has types only where it is installed
    """The module ``trio``, if its loop runs the code that calls this."""
    trio: Any = sys.modules.get("trio")
    sniffio: Any = sys.modules.get("sniffio")
    if trio is None:
        return None
    try:
        if sniffio is not None:  # which tells tasks of trio from those of asyncio where both run on one thread
            return trio if sniffio.current_async_library() == "trio" else None
        trio.lowlevel.current_trio_token()
    except (RuntimeError, AttributeError):  # no loop; or another thread is importing it at this moment
        return None
    return trio
