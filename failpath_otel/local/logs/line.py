"""A log record as it is stored: clean, without secrets, and bounded."""

from typing import Any, Final

import msgspec

from failpath_otel import limits
from failpath_otel.local.store.logs import NewLog
from failpath_otel.otlp.logs.record import OtlpLog
from failpath_otel.records.record import ErrorInfo
from failpath_otel.scrubbing.values import DROPPED_KEYS, Json, clean_metadata, error_text
from failpath_otel.semconv import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE

MAX_BODY_CHARS: Final = limits.MAX_METADATA_TEXT_CHARS
"""Characters of a body that are kept."""

MAX_ATTRIBUTES_BYTES: Final = 8_192
"""Bytes of attributes that are kept, as JSON."""

MAX_SEVERITY: Final = 24
_MAX_SEVERITY_CHARS: Final = 32

_EXCEPTION: Final = frozenset({EXCEPTION_TYPE, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE})


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a list shows of a log record; ``error`` is the name of its exception."""

    body: str
    logger: str = ""
    service: str = ""
    severity_text: str = ""
    error: str = ""


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a list does not show of a log record."""

    attributes: dict[str, Any] = {}
    error: ErrorInfo | None = None


_encode: Final = msgspec.json.Encoder().encode


def new_log(log: OtlpLog, now: int) -> NewLog:
    """Return a record as it is stored; *now*, in microseconds since the epoch, is its time if it states none.

    Texts and attributes are cleaned as those of a step are: their senders do not redact.
    """
    at = log.time_ns // 1000  # of 64 bits, so that it can be shown
    error = _error(log.attributes)
    own = {key: value for key, value in log.attributes.items() if key not in _EXCEPTION}
    attributes = _attributes(own) if own else {}
    line = Line(
        _body(log.body),
        _name(log.scope),
        _name(log.service),
        error_text(log.severity_text, _MAX_SEVERITY_CHARS),
        "" if error is None else error.name,
    )
    details = _encode(Details(attributes, error)) if attributes or error is not None else None
    severity = log.severity if 0 <= log.severity <= MAX_SEVERITY else 0
    return NewLog(log.trace_id, log.span_id, at or now, severity, _encode(line), details)


def _body(body: object) -> str:
    if body is None:
        return ""
    if isinstance(body, (dict, list, tuple, bytes)):
        # Mappings have keys, whose names say what is secret.
        cleaned = clean_metadata({"body": body})["body"]
        text = cleaned if isinstance(cleaned, str) else _encode(cleaned).decode()
        return error_text(text, MAX_BODY_CHARS)
    return error_text(body, MAX_BODY_CHARS)


def _name(name: object) -> str:
    return "" if name is None else error_text(name, limits.MAX_ERROR_NAME_CHARS)


def _error(attributes: dict[str, Any]) -> ErrorInfo | None:
    """Return the exception that attributes describe, by the semantic conventions."""
    name, message = attributes.get(EXCEPTION_TYPE), attributes.get(EXCEPTION_MESSAGE)
    stack = attributes.get(EXCEPTION_STACKTRACE)
    if not (name or message or stack):
        return None
    return ErrorInfo(
        error_text(name or "Error", limits.MAX_ERROR_NAME_CHARS),
        error_text("" if message is None else message, limits.MAX_ERROR_MESSAGE_CHARS),
        None if not stack else error_text(stack, limits.MAX_STACK_CHARS),
    )


def _attributes(attributes: dict[str, Any]) -> dict[str, Json]:
    """Return clean attributes, as many of the first of them as there is room for."""
    cleaned = clean_metadata(attributes)
    if len(_encode(cleaned)) <= MAX_ATTRIBUTES_BYTES:
        return cleaned
    dropped = cleaned.pop(DROPPED_KEYS, 0)
    kept: dict[str, Json] = {}
    room = MAX_ATTRIBUTES_BYTES
    for key, value in cleaned.items():
        room -= len(_encode({key: value}))
        if room < 0:
            break
        kept[key] = value
    missing = len(cleaned) - len(kept) + (dropped if isinstance(dropped, int) else 0)
    return {**kept, DROPPED_KEYS: missing}
