"""Logs of OTLP in protobuf: as with spans, each record is parsed on its own."""

from collections.abc import Iterator
from itertools import islice

from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from failpath_otel.otlp.budget import ReadingBudget, TooManyPartsError
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
from failpath_otel.otlp.protobuf import Group, Walk, attributes_in, resource_in, scope_in, value_of
from failpath_otel.otlp.span import TooManySpansError


def logs_in(body: bytes) -> Iterator[ReadLog]:
    """Yield the records of a request in their order, and the numbers of those between them that have no trace.

    Raises ``ValueError``, at once, where the body is no such message, and :class:`TooManySpansError`.
    """
    try:
        groups = Walk(body).groups()
    except TooManySpansError:
        raise TooManySpansError(LOG_RECORDS) from None
    except (ValueError, IndexError):
        raise ValueError("the body is no ExportLogsServiceRequest") from None
    return with_counts(_read(body, groups))


def _read(body: bytes, groups: list[Group]) -> Iterator[OtlpLog | None]:
    budget = ReadingBudget()
    for place, scopes in groups:
        service = service_of(resource_in(body, place, budget).attributes)
        for scope_place, records in scopes:
            scope = scope_in(body, scope_place).name
            for begin, end in records:
                found = _parse(body[begin:end], budget)
                if found is not None:
                    found.scope, found.service = scope, service
                yield found


def _parse(text: bytes, budget: ReadingBudget) -> OtlpLog | None:
    """Return a record; ``None`` for one that belongs to no trace."""
    if len(text) > MAX_LOG_BYTES:
        return broken_log(f"it is larger than {MAX_LOG_BYTES} bytes")
    try:
        record = LogRecord.FromString(text)
    except DecodeError:
        return broken_log("it is no log record")
    trace_id = record.trace_id
    if not any(trace_id):
        return None
    trace, span, problem = ids_of(trace_id, record.span_id)
    if problem:
        return broken_log(problem)
    try:
        attributes = record.attributes
        budget.begin(min(len(attributes), MAX_LOG_ATTRIBUTES))
        return OtlpLog(
            trace,
            span,
            record.time_unix_nano or record.observed_time_unix_nano,
            record.severity_number,
            record.severity_text,
            value_of(record.body, 0, budget),
            attributes_in(islice(attributes, MAX_LOG_ATTRIBUTES), budget),
        )
    except TooManyPartsError as error:
        return broken_log(str(error))
