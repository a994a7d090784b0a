"""Writes a run as a file: redacted again, and the same text each time."""

import re
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from failpath_otel import limits
from failpath_otel.local.files.run_file import (
    FORMAT,
    MAX_FILE_BYTES,
    MAX_FILE_EVENTS,
    PARTS,
    VERSION,
    AttemptLiveness,
    FileError,
    Part,
    ReceivedEventFile,
    RunFile,
)
from failpath_otel.local.liveness.monitor import RunLiveness
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.runs.view import RunView
from failpath_otel.records.record import ErrorInfo, Record
from failpath_otel.scrubbing.values import clean_metadata, error_text

_HOMES: Final = re.compile(r"(?:/home/|/Users/|\b[A-Za-z]:\\+Users\\+)[^/\\\s\"':]+")
"""A user's own directory, whose name is mostly that of a person."""


def export_run(
    view: RunView,
    liveness: RunLiveness,
    events: Collection[Record],
    received: Mapping[str, int],
    without: Collection[Part] = (),
) -> bytes:
    """Return a run as the text of a file.

    Args:
        view: the run.
        liveness: what is known of its processes, an attempt each.
        events: its events; of each, fields that the wire contract does not have are left out.
        received: when each of them was received, by its id.
        without: parts that are left out.

    Raises:
        FileError: the run is too large for a file.
    """
    if len(events) > MAX_FILE_EVENTS:
        raise FileError(f"the run has {len(events):,} events, and a file holds {MAX_FILE_EVENTS:,}")
    left_out: list[Part] = [part for part in PARTS if part in without]
    file = RunFile(
        format=FORMAT,
        version=VERSION,
        flow_key=view.flow_key,
        run_id=view.run_id,
        status=view.status,
        liveness=liveness.run,
        attempts=[
            AttemptLiveness(step.step_key, step.span_id, its)
            for step, its in zip(view.steps, liveness.attempts, strict=True)
            if its is not None
        ],
        without=left_out,
        events=[
            ReceivedEventFile(to_rfc3339(received[event.id]), msgspec.Raw(_safe(event, left_out).to_json()))
            for event in sorted(events, key=attrgetter("timestamp", "id"))
            if event.id in received
        ],
    )
    text = msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"
    if len(text) > MAX_FILE_BYTES:
        raise FileError(f"the run takes {len(text):,} bytes, and a file holds {MAX_FILE_BYTES:,}")
    return text


def _safe(event: Record, without: Collection[Part]) -> Record:
    return replace(
        event,
        metadata={} if "metadata" in without else clean_metadata(_without_homes(event.metadata)),
        error=None if event.error is None else _error(event.error, keep="errors" not in without),
        process=None if "process" in without else event.process,
    )


def _error(error: ErrorInfo, *, keep: bool) -> ErrorInfo:
    name = _text(error.name, limits.MAX_ERROR_NAME_CHARS)
    if not keep:
        return ErrorInfo(name, "")
    stack = None if error.stack is None else _text(error.stack, limits.MAX_STACK_CHARS)
    return ErrorInfo(name, _text(error.message, limits.MAX_ERROR_MESSAGE_CHARS), stack)


def _text(text: str, max_chars: int) -> str:
    return error_text(_HOMES.sub("~", text), max_chars)


def _without_homes(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    if isinstance(value, str):
        return _HOMES.sub("~", value)
    if isinstance(value, dict):
        return {name: _without_homes(inner) for name, inner in value.items()}
    return [_without_homes(inner) for inner in value] if isinstance(value, list) else value
