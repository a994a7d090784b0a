"""Logs of OTLP in JSON: as with spans, each record is parsed on its own."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
from failpath_otel.otlp.json import MAX_OBJECTS
from failpath_otel.otlp.logs.record import (
    LOG_RECORDS,
    MAX_LOG_ATTRIBUTES,
    MAX_LOG_BYTES,
    OtlpLog,
    ReadLog,
    broken_log,
    ids_of,
    service_of,
    with_counts,
)
from failpath_otel.otlp.span import MAX_SPANS, TooManySpansError
from failpath_otel.otlp.surrogates import whole_surrogates
from failpath_otel.otlp.values.json_values import (
    AnyValue,
    Integer,
    KeyValue,
    Message,
    ResourceMessage,
    ScopeMessage,
    attributes_in,
    resource_in,
    uint64_of,
    value_of,
)

_SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_NUMBERS: Final = {
    f"SEVERITY_NUMBER_{name}{'' if step == 0 else step + 1}": 4 * place + step + 1
    for place, name in enumerate(_SEVERITIES)
    for step in range(4)
}


class _Record(Message):
    time_unix_nano: Integer | None = None
    observed_time_unix_nano: Integer | None = None
    severity_number: Any = None  # whatever it is, it must not cost the record
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None
    trace_id: str | None = None
    span_id: str | None = None


class _ScopeLogs(Message):
    scope: ScopeMessage | None = None
    log_records: list[msgspec.Raw] | None = None


class _ResourceLogs(Message):
    resource: ResourceMessage | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _Request(Message):
    resource_logs: list[_ResourceLogs] | None = None


_decode: Final = msgspec.json.Decoder(_Request).decode
_decode_record: Final = msgspec.json.Decoder(_Record).decode


def logs_in(body: bytes) -> Iterator[ReadLog]:
    """Yield the records of a request in their order, and the numbers of those between them that have no trace.

    Raises ``ValueError``, at once, where the body is no such message, and :class:`TooManySpansError`.
    """
    # Each record that is no object is kept until it is read, and has a comma before it.
    if body.count(b"{") > MAX_OBJECTS or body.count(b",") > 2 * MAX_OBJECTS:
        raise TooManySpansError(LOG_RECORDS)
    try:
        try:
            groups = _decode(body).resource_logs or []
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            groups = _decode(whole_surrogates(body)).resource_logs or []
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"the body is no ExportLogsServiceRequest: {str(error)[:200]}") from None
    if sum(len(logs.log_records or ()) for group in groups for logs in group.scope_logs or ()) > MAX_SPANS:
        raise TooManySpansError(LOG_RECORDS)
    return with_counts(_read(groups))


def _read(groups: list[_ResourceLogs]) -> Iterator[OtlpLog | None]:
    budget = ReadingBudget()
    for group in groups:
        service = service_of(resource_in(group.resource, budget).attributes)
        for logs in group.scope_logs or ():
            scope = (logs.scope.name or "") if logs.scope else ""
            for raw in logs.log_records or ():
                found = _parse(bytes(raw), budget)
                if found is not None:
                    found.scope, found.service = scope, service
                yield found


def _parse(text: bytes, budget: ReadingBudget) -> OtlpLog | None:  # noqa: PLR0911 - a refusal each
    """Return a record; ``None`` for one that belongs to no trace."""
    if len(text) > MAX_LOG_BYTES:
        return broken_log(f"it is larger than {MAX_LOG_BYTES} bytes")
    try:
        record = _decode_record(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return broken_log(f"it is no log record: {str(error)[:200]}")
    if not (record.trace_id or "").strip("0"):
        return None
    try:
        ids = bytes.fromhex(record.trace_id or ""), bytes.fromhex(record.span_id or "")
    except ValueError:
        return broken_log("its trace id or its span id is no hexadecimal number")
    trace, span, problem = ids_of(*ids)
    if problem:
        return broken_log(problem)
    attributes = record.attributes or []
    try:
        budget.begin(min(len(attributes), MAX_LOG_ATTRIBUTES))
        return OtlpLog(
            trace,
            span,
            uint64_of(record.time_unix_nano) or uint64_of(record.observed_time_unix_nano),
            _severity(record.severity_number),
            record.severity_text or "",
            None if record.body is None else value_of(record.body, 0, budget),
            attributes_in(islice(attributes, MAX_LOG_ATTRIBUTES), budget),
        )
    except TooManyPartsError as error:
        return broken_log(str(error))


def _severity(value: object) -> int:
    """Return the number of a severity, which may be its name or a text; 0 for anything else."""
    if isinstance(value, str):
        return _NUMBERS.get(value) or uint64_of(value)
    return value if type(value) is int and value >= 0 else 0
