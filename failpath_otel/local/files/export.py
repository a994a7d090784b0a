"""Writes a run as a file: redacted again, and the same text each time."""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from failpath_otel import limits
from failpath_otel.local.files.homes import without_homes
from failpath_otel.local.files.run_file import (
    FORMAT,
    MAX_FILE_BYTES,
    MAX_FILE_EVENTS,
    PARTS,
    VERSION,
    AttemptLiveness,
    FileError,
    LogFile,
    Part,
    ReceivedEventFile,
    RunFile,
)
from failpath_otel.local.liveness.monitor import RunLiveness
from failpath_otel.local.runs.times import to_rfc3339
from failpath_otel.local.runs.view import RunView
from failpath_otel.records.record import ErrorInfo, Record
from failpath_otel.scrubbing.values import clean_metadata, error_text


def export_run(
    view: RunView,
    liveness: RunLiveness,
    events: Collection[Record],
    received: Mapping[str, int],
    *,
    without: Collection[Part] = (),
    logs: Sequence[LogFile] = (),
    logs_left_out: int = 0,
) -> bytes:
    """Return a run as the text of a file.

    Args:
        view: the run.
        liveness: what is known of its processes, an attempt each.
        events: its events; of each, fields that the wire contract does not have are left out.
        received: when each of them was received, by its id.
        without: parts that are left out.
        logs: its logs, as :func:`~failpath_otel.local.files.log_records.log_of_file` returns them; the oldest are left
            out where there is no room for all.
        logs_left_out: how many more there are.

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
    text = _text_of(file)
    while len(text) <= MAX_FILE_BYTES and logs:
        with_logs = _text_of(replace(file, logs=list(logs), logs_left_out=logs_left_out))
        if len(with_logs) <= MAX_FILE_BYTES:
            return with_logs
        fewer = len(logs) // 2
        logs_left_out += len(logs) - fewer
        logs = logs[len(logs) - fewer :]
    if len(text) > MAX_FILE_BYTES:
        raise FileError(f"the run takes {len(text):,} bytes, and a file holds {MAX_FILE_BYTES:,}")
    return text


def _text_of(file: RunFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def _safe(event: Record, without: Collection[Part]) -> Record:
    return replace(
        event,
        metadata={} if "metadata" in without else clean_metadata(without_homes(event.metadata)),
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
    return error_text(without_homes(text), max_chars)
