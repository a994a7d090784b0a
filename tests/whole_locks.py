"""Locks of OpenTelemetry that an exception of a signal handler cannot leave taken, on the one Python where it can.

In CPython 3.14 a handler may run once a lock is taken, and before ``with`` would release it (decision 0004). The locks
of this package are made for that. Those of OpenTelemetry's spans are not, so that a test which interrupts steps
anywhere would at some time wait for one forever, as may an application that has such handlers.
"""

import _thread
import importlib
import sys
import threading
from types import SimpleNamespace
from typing import Any, Final

_MODULES: Final = (
    "opentelemetry.attributes",
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk.trace.export.in_memory_span_exporter",
    "opentelemetry.sdk.util",
)


class _Lock(_thread.RLock):  # type: ignore[misc]  # as in the package, whose calls are counted by a test
    def __enter__(self) -> bool:  # type: ignore[override]
        (taken,) = map(self.acquire, (True,))
        return taken


def put_in() -> None:
    """Have spans that are made from now on use such locks."""
    if sys.version_info[:2] == (3, 14):
        for name in _MODULES:
            module: Any = importlib.import_module(name)
            module.threading = SimpleNamespace(**{**vars(threading), "Lock": _Lock, "RLock": _Lock})
