"""Locks of OpenTelemetry that an exception of a signal handler cannot leave taken, on the one Python where it can.

In CPython 3.14 a handler may run once a lock is taken, and before ``with`` would release it (decision 0004). The locks
of this package are made for that. Those of OpenTelemetry's spans are not, so that a test which interrupts steps
anywhere would at some time wait for one forever, as may an application that has such handlers.
"""

import importlib
import sys
import threading
from types import SimpleNamespace
from typing import Any, Final

from failpath_otel.runtime.threads import RLock

_MODULES: Final = (
    "opentelemetry.attributes",
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk.trace.export.in_memory_span_exporter",
    "opentelemetry.sdk.util",
)


def put_in() -> None:
    """Have spans that are made from now on use the locks of this package."""
    if sys.version_info[:2] == (3, 14):
        for name in _MODULES:
            module: Any = importlib.import_module(name)
            module.threading = SimpleNamespace(**{**vars(threading), "Lock": RLock, "RLock": RLock})
