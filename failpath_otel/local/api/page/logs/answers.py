"""The JSON of logs in the page's API."""

from typing import Any, Literal

import msgspec

from failpath_otel.local.logs.attachment import Relation
from failpath_otel.local.runs.stack import Frame

Severity = Literal["trace", "debug", "info", "warn", "error", "fatal"]


class LogLine(msgspec.Struct, frozen=True, rename="camel"):
    """A log record of a run, as one line.

    ``severity`` is missing where the sender states none that is known; ``severity_text`` is its own word. ``cut`` says
    that the body is longer, and ``details`` that there is more: both are in the answer to ``log/{id}``. ``error`` is
    the name of its exception. ``relation`` says how it belongs to the attempt that ``step_key`` and ``attempt`` name:
    its span is that of the attempt (``span``) or lies ``below`` it, or is not known, and the attempt was the only one
    that it can be of (``during``); a record of the ``run`` only names none. ``events_before`` is the number of events
    of the run that are not later: where the record stands between these.
    """

    id: int
    timestamp: str
    severity: Severity | None
    severity_text: str
    body: str
    cut: bool
    logger: str
    service: str
    error: str | None
    details: bool
    relation: Relation
    step_key: str | None
    attempt: int | None
    span_id: str
    events_before: int


class RunLogs(msgspec.Struct, frozen=True, rename="camel"):
    """The newest log records of a run, in order of time; ``left_out`` counts those that are not kept or not shown.

    That number is of the traces of the run, which may have records that are not of the run.
    """

    revision: int
    now: str
    logs: list[LogLine]
    left_out: int


class LogError(msgspec.Struct, frozen=True, rename="camel"):
    """The exception of a log record, with its stack as ``frames`` too."""

    name: str
    message: str
    stack: str | None
    frames: list[Frame] | None


class LogDetailsAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What a line does not show of a log record: its whole body, its attributes, its exception."""

    id: int
    body: str
    attributes: dict[str, Any]
    error: LogError | None
