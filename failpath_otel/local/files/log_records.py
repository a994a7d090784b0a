"""The logs in the file of a run: written from a store, redacted again, and read."""

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from failpath_otel.local.files.homes import without_homes
from failpath_otel.local.files.run_file import MAX_FILE_LOGS, FileError, LogFile, Part
from failpath_otel.local.logs.line import Details, Line, new_log
from failpath_otel.local.runs.event import check_depth
from failpath_otel.local.runs.times import parse_rfc3339, to_rfc3339
from failpath_otel.local.store.logs import LogDetails, NewLog, StoredLog
from failpath_otel.otlp.logs.record import MAX_LOG_BYTES, OtlpLog
from failpath_otel.records.record import ErrorInfo
from failpath_otel.semconv import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE

_decode_line: Final = msgspec.json.Decoder(Line).decode
_decode_details: Final = msgspec.json.Decoder(Details).decode
_decode_attributes: Final = msgspec.json.Decoder(dict[str, Any]).decode
_SPAN_ID: Final = re.compile("(?:[0-9a-f]{16})?")
_encode: Final = msgspec.json.Encoder().encode


def log_of_file(log: StoredLog, details: LogDetails | None, without: Collection[Part]) -> LogFile:
    """Return a log record as a file has it."""
    line = _decode_line(log.line)
    stored = None if details is None else details.details
    its = Details() if stored is None else _decode_details(stored)
    word, body, logger, service = map(without_homes, (line.severity_text, line.body, line.logger, line.service))
    error = None if its.error is None else _error(its.error, keep="errors" not in without)
    attributes = {} if "metadata" in without else without_homes(its.attributes)
    record = OtlpLog(
        log.trace_id,
        log.span_id,
        log.at * 1000,
        log.severity,
        word,
        body,
        {**attributes, **_attributes_of(error)},
        logger,
        service,
    )
    clean = new_log(record, log.at)
    line = _decode_line(clean.line)
    its = Details() if clean.details is None else _decode_details(clean.details)
    return LogFile(
        to_rfc3339(clean.at),
        clean.trace_id,
        msgspec.Raw(_encode(its.attributes)),
        clean.span_id,
        clean.severity,
        line.severity_text,
        line.body,
        line.logger,
        line.service,
        its.error,
    )


def read_logs(logs: Sequence[LogFile], traces: Collection[str]) -> list[NewLog]:
    """Return log records of a file to store, cleaned as those are that come by OTLP.

    Raises :class:`FileError` for too many, and for one that is invalid or in none of the traces.
    """
    if len(logs) > MAX_FILE_LOGS:
        raise FileError(f"the file has more than {MAX_FILE_LOGS:,} log records")
    found: list[NewLog] = []
    for number, log in enumerate(logs, 1):
        if log.trace_id not in traces:
            raise FileError(f"log record {number} of the file is in a trace that the run does not have")
        try:
            at = parse_rfc3339(log.timestamp)
            record = OtlpLog(
                log.trace_id,
                log.span_id,
                at * 1000,
                log.severity,
                log.severity_text,
                log.body,
                {**_attributes(log), **_attributes_of(log.error)},
                log.logger,
                log.service,
            )
            found.append(new_log(record, at))
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            raise FileError(f"log record {number} of the file is invalid: {str(error)[:200]}") from None
    return found


def _attributes(log: LogFile) -> dict[str, Any]:
    if _SPAN_ID.fullmatch(log.span_id) is None:
        raise ValueError("its span id is none")
    payload = bytes(log.attributes).decode()
    if len(payload) > MAX_LOG_BYTES:
        raise ValueError(f"its attributes are larger than {MAX_LOG_BYTES:,} bytes")
    check_depth(payload)
    return _decode_attributes(payload)


def _attributes_of(error: ErrorInfo | None) -> dict[str, Any]:
    """Return the attributes that describe an exception, by the semantic conventions."""
    if error is None:
        return {}
    return {EXCEPTION_TYPE: error.name, EXCEPTION_MESSAGE: error.message, EXCEPTION_STACKTRACE: error.stack}


def _error(error: ErrorInfo, *, keep: bool) -> ErrorInfo:
    name, message, stack = map(without_homes, (error.name, error.message, error.stack))
    return replace(error, name=name, message=message, stack=stack) if keep else ErrorInfo(name, "")
