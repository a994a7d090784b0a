"""Reads a file with a run, from whatever source, and refuses what is none."""

from typing import Any, Final

import msgspec

from failpath_otel.local.files.log_records import read_logs
from failpath_otel.local.files.run_file import FORMAT, MAX_FILE_BYTES, MAX_FILE_EVENTS, VERSION, FileError, RunFile
from failpath_otel.local.runs.event import check_depth, decode_event
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.store.marks.imports import FiledEvent, FiledRun
from failpath_otel.local.store.projector import Projector
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store

MAX_EVENT_BYTES: Final = 2 * 1_048_576
"""No request with events is larger."""


class _Head(msgspec.Struct):
    format: Any = None
    version: Any = None


_decode_head: Final = msgspec.json.Decoder(_Head).decode
_decode: Final = msgspec.json.Decoder(RunFile).decode


def read_run(text: bytes) -> FiledRun:
    """Return the run in a file. Raise :class:`FileError` for anything that :func:`export_run` would not have made."""
    if len(text) > MAX_FILE_BYTES:
        raise FileError(f"the file is larger than {MAX_FILE_BYTES:,} bytes")
    file = _decoded(text)
    if not file.flow_key or not file.run_id:
        raise FileError("the file names no run")
    if not file.events:
        raise FileError("the file has no events")
    if len(file.events) > MAX_FILE_EVENTS:
        raise FileError(f"the file has more than {MAX_FILE_EVENTS:,} events")
    key = RunKey(file.flow_key, file.run_id)
    events: dict[str, FiledEvent] = {}
    for number, received in enumerate(file.events, 1):
        try:
            filed = _event(bytes(received.event), received.received_at)
        except ValueError as error:
            raise FileError(f"event {number} of the file is invalid: {error}") from None
        if (filed.event.flow_key, filed.event.run_id) != key:
            raise FileError(f"event {number} of the file belongs to another run")
        if filed.event.id in events:
            raise FileError(f"event {number} of the file has the id of an earlier one")
        events[filed.event.id] = filed
    attempts = {(filed.event.step_key, filed.event.span_id) for filed in events.values()}
    stated = [(one, (one.step_key, one.span_id)) for one in file.attempts]
    return FiledRun(
        key,
        list(events.values()),
        max(filed.received_at for filed in events.values()),
        file.liveness,
        {attempt: one.liveness for one, attempt in stated if attempt in attempts},
        read_logs(file.logs, {filed.event.trace_id for filed in events.values()} - {""}),
        file.logs_left_out,
    )


def import_into(store: Store, text: bytes, now: int) -> tuple[RunKey, bool]:
    """Store the run in a file with its row, and return it and whether it is new.

    Raises :class:`FileError`, ``RunConflictError`` where that run is here with other events, or ``StoreError``.
    """
    run = read_run(text)
    is_new = store.imports.add(run, now)
    Projector(store).catch_up()
    return run.key, is_new


def _decoded(text: bytes) -> RunFile:
    try:
        text.decode()  # msgspec does not check the parts that it skips
        head = _decode_head(text)
        if head.format != FORMAT:
            raise FileError("the file is none with a run: its format is not 'failpath-run'")
        if head.version != VERSION:
            raise FileError(
                f"the file has version {str(head.version)[:20]}, this version of failpath-otel reads {VERSION}"
            )
        return _decode(text)
    except UnicodeDecodeError:
        raise FileError("the file is not UTF-8") from None
    except RecursionError:
        raise FileError("the file is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise FileError(f"the file is none with a run: {error}") from None


def _event(data: bytes, received_at: str) -> FiledEvent:
    if len(data) > MAX_EVENT_BYTES:
        raise ValueError(f"larger than {MAX_EVENT_BYTES:,} bytes")
    payload = data.decode()
    check_depth(payload)
    return FiledEvent(decode_event(payload), payload, parse_rfc3339(received_at))
