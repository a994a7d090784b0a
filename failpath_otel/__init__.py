"""The OpenTelemetry bridge to Failpath: every step of a backend flow, visible the moment it starts."""

import typing

from failpath_otel._version import __version__
from failpath_otel.configure import FailpathClient, configure
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.errors import (
    ConfigurationError,
    DeliveryError,
    FailpathError,
    InvalidRecordError,
    JournalError,
    QueueFullError,
    RecordsRejectedError,
    RejectedRecord,
    SendError,
    ShutdownError,
)
from failpath_otel.records.rules import StepRule
from failpath_otel.spans.loaded_on_use import load as __getattr__  # noqa: F401 - Python calls it for what is missing here
from failpath_otel.steps.client import Failpath
from failpath_otel.steps.run import Run
from failpath_otel.steps.step import Step

if typing.TYPE_CHECKING:
    from failpath_otel.spans.exporter import FailpathSpanExporter
    from failpath_otel.spans.processor import FailpathSpanProcessor

__all__ = [
    "ConfigurationError",
    "DeliveryError",
    "Failpath",
    "FailpathClient",
    "FailpathError",
    "FailpathSpanExporter",
    "FailpathSpanProcessor",
    "InvalidRecordError",
    "JournalError",
    "QueueFullError",
    "RecordsRejectedError",
    "RejectedRecord",
    "Run",
    "SendError",
    "ShutdownError",
    "Stats",
    "Step",
    "StepRule",
    "__version__",
    "configure",
]
