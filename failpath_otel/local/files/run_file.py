"""The form of a file with a run: ``<run>.failpath-run.json``."""

import re
from typing import Annotated, Final, Literal

import msgspec

from failpath_otel.local.runs.view import Liveness
from failpath_otel.records.record import ErrorInfo

FORMAT: Final = "failpath-run"
VERSION: Final = 1

ENDING: Final = ".failpath-run.json"

MAX_FILE_BYTES: Final = 32 * 1_048_576
MAX_FILE_EVENTS: Final = 50_000
"""The largest file that is read; a larger run is not written."""

MAX_FILE_LOGS: Final = 2_000
"""The most log records of a file, the newest of the run."""

Part = Literal["metadata", "errors", "process", "logs"]
PARTS: Final[tuple[Part, ...]] = ("metadata", "errors", "process", "logs")
"""What a file can be made without.

Metadata, and attributes of logs; messages and stacks of errors; hosts, process ids and their starts; logs.
"""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._@+-]+")
_MAX_NAME: Final = 80


class FileError(Exception):
    """A file is none with a run, or a run makes none; the text is one line that says why."""


class AttemptLiveness(msgspec.Struct, frozen=True, rename="camel"):
    """What was known of a running attempt where the file was made."""

    step_key: str
    span_id: str
    liveness: Liveness


class ReceivedEventFile(msgspec.Struct, frozen=True, rename="camel"):
    """An event of the wire contract, and when it was received."""

    received_at: str
    event: msgspec.Raw


class LogFile(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A log record of the run; ``severity`` is a number as OTLP has them, 0 where it is not known."""

    timestamp: str
    trace_id: str
    attributes: msgspec.Raw
    span_id: str = ""
    severity: Annotated[int, msgspec.Meta(ge=0, le=24)] = 0
    severity_text: str = ""
    body: str = ""
    logger: str = ""
    service: str = ""
    error: ErrorInfo | None = None


class RunFile(msgspec.Struct, frozen=True, rename="camel"):
    """A run with all that is known of it. Events are in the order of time.

    ``without`` are the parts that it was made without. ``logs`` are its newest log records, in the order of time, and
    ``logs_left_out`` is how many more there were.
    """

    format: Literal["failpath-run"]
    version: int
    flow_key: str
    run_id: str
    status: str
    liveness: Liveness | None
    attempts: list[AttemptLiveness]
    without: list[Part]
    events: list[ReceivedEventFile]
    logs: list[LogFile] = []
    logs_left_out: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0


def file_name(run_id: str) -> str:
    """Return the name of the file of a run, which any system takes."""
    return f"{_UNSAFE.sub('_', run_id)[:_MAX_NAME].strip('.') or 'run'}{ENDING}"
