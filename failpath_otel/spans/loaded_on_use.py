"""Public classes that are loaded when they are first named: they need OpenTelemetry's SDK (decision 0005)."""

import sys
from typing import Any, Final

_PACKAGE: Final = "failpath_otel"


def load(name: str) -> Any:  # noqa: ANN401 - as `__getattr__` of the package
    """Return a class of the package by its name. Raise ``AttributeError`` for any other name."""
    found: Any
    if name == "FailpathSpanExporter":
        from failpath_otel.spans import exporter  # noqa: PLC0415

        found = exporter.FailpathSpanExporter
    elif name == "FailpathSpanProcessor":
        from failpath_otel.spans import processor  # noqa: PLC0415

        found = processor.FailpathSpanProcessor
    else:
        msg = f"module {_PACKAGE!r} has no attribute {name!r}"
        raise AttributeError(msg, name=name)
    setattr(sys.modules[_PACKAGE], name, found)
    return found
