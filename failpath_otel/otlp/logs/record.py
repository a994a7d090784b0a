"""A log record of OTLP, as it came."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from failpath_otel import limits
from failpath_otel.otlp.span import SPAN_ID_BYTES, TRACE_ID_BYTES

LOG_RECORDS: Final = "log records"

MAX_LOG_BYTES: Final = 262_144
"""The largest log record that is read, in encoded bytes."""

_SERVICE_NAME: Final = "service.name"
_EXCEPTIONS: Final = 3
"""The attributes of an exception: a record has these beside its own."""

MAX_LOG_ATTRIBUTES: Final = 16 * limits.MAX_METADATA_KEYS + _EXCEPTIONS
"""The most attributes of a record that are read."""


class OtlpLog(msgspec.Struct, gc=False):
    """A log record of a trace; a ``problem`` says why it cannot be used. Ids are lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    time_ns: int = 0
    severity: int = 0
    severity_text: str = ""
    body: Any = None
    attributes: dict[str, Any] = {}
    scope: str = ""
    service: Any = None
    problem: str = ""


ReadLog = OtlpLog | int
"""A log record; or the number of records that belong to no trace, and were passed over."""


class LogReceipt(msgspec.Struct):
    """Counts the log records of a request; ``reason`` is about the first that was rejected, if any.

    ``dropped`` are those of ``rejected`` that nothing is wrong with, except that there are too many.
    """

    received: int = 0
    kept: int = 0
    ignored: int = 0
    rejected: int = 0
    dropped: int = 0
    reason: str = ""

    def reject(self, reason: str) -> None:
        """Count the record that was received last as unusable."""
        self.rejected += 1
        self.reason = self.reason or f"log record {self.received - 1}: {reason}"

    def drop(self, reason: str, records: int = 1) -> None:
        """Count records that there is no room for."""
        self.rejected += records
        self.dropped += records
        self.reason = self.reason or reason


def broken_log(problem: str) -> OtlpLog:
    """Return a record that could not be read."""
    return OtlpLog("", "", problem=problem)


def with_counts(found: Iterable[OtlpLog | None]) -> Iterator[ReadLog]:
    """Yield records, and instead of those that are ``None`` how many of them follow each other."""
    passed_over = 0
    for log in found:
        if log is None:
            passed_over += 1
            continue
        if passed_over:
            yield passed_over
            passed_over = 0
        yield log
    if passed_over:
        yield passed_over


def service_of(resource: dict[str, Any]) -> Any:  # noqa: ANN401 - what an attribute can be
    """Return the name of the service that a resource names."""
    return resource.get(_SERVICE_NAME)


def ids_of(trace_id: bytes, span_id: bytes) -> tuple[str, str, str]:
    """Return both ids as digits, and why the record cannot be used; empty if it can.

    A record may have a trace and no span.
    """
    if len(trace_id) != TRACE_ID_BYTES:
        return "", "", f"its trace id has {len(trace_id)} bytes, not {TRACE_ID_BYTES}"
    if span_id and len(span_id) != SPAN_ID_BYTES:
        return "", "", f"its span id has {len(span_id)} bytes, not {SPAN_ID_BYTES}"
    return trace_id.hex(), span_id.hex() if any(span_id) else "", ""
