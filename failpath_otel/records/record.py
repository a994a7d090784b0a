"""The record and its JSON: one lifecycle event of one step, as the wire contract has it."""

from functools import lru_cache
from time import gmtime, strftime
from typing import Any, Final

import msgspec

from failpath_otel import limits
from failpath_otel.report import exception_once
from failpath_otel.scrubbing.values import clean_text
from failpath_otel.semconv import Status as Status


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The exception of an ``error`` record: ``name`` is the class of the exception, ``message`` its text.

    ``stack`` is set only with ``capture_stack``.

    Example:
        >>> from failpath_otel.testing import MockFailpath
        >>> failpath = MockFailpath()
        >>> try:
        ...     with failpath.run("checkout", run_id="order-17").step("charge-card"):
        ...         raise ValueError("card declined")
        ... except ValueError:
        ...     failpath.events[-1].error
        ErrorInfo(name='ValueError', message='card declined', stack=None)
    """

    name: str
    message: str
    stack: str | None = None


class ProcessInfo(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The process that made a record, so that a receiver on the same host can distinguish a dead one from a slow one.

    ``start_time`` (RFC 3339) distinguishes two processes with the same pid; it is missing without ``/proc``.
    """

    pid: int
    host: str
    start_time: str | None = None


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """One event of the wire contract. Field names become camelCase, times are RFC 3339 in UTC with microseconds.

    ``id`` is the event's own; ``flow_key``, ``run_id`` and ``step_key`` are the names of the step, ``trace_id`` and
    ``span_id`` its span in hexadecimal digits. ``status`` is that of the step at ``timestamp``. ``metadata`` has
    been scrubbed. ``started_at`` and ``duration_ms`` are set on a terminal record that had a start, ``error`` on an
    ``error`` record, ``process`` unless ``send_process`` is off, ``parent_span_id`` where the step ran inside another
    step of its run: the span of the nearest one.

    Example:
        >>> from failpath_otel.testing import MockFailpath
        >>> failpath = MockFailpath()
        >>> failpath.run("checkout", run_id="order-17", metadata={"items": 2}).skip("send-receipt-email")
        >>> [record] = failpath.events
        >>> record.flow_key, record.run_id, record.step_key, record.status, record.metadata
        ('checkout', 'order-17', 'send-receipt-email', 'skipped', {'items': 2})
    """

    id: str
    flow_key: str
    run_id: str
    step_key: str
    status: Status
    timestamp: str
    trace_id: str
    span_id: str
    metadata: dict[str, Any]
    started_at: str | None = None
    duration_ms: float | None = None
    error: ErrorInfo | None = None
    process: ProcessInfo | None = None
    parent_span_id: str | None = None

    def to_json(self) -> bytes:
        """Encode the record as one JSON object of the wire contract.

        Example:
            >>> import json
            >>> from failpath_otel.testing import MockFailpath
            >>> failpath = MockFailpath()
            >>> failpath.run("checkout", run_id="order-17").skip("send-receipt-email")
            >>> json.loads(failpath.events[0].to_json())["stepKey"]
            'send-receipt-email'
        """
        return encode_json(self)


_encode_into: Final = msgspec.json.Encoder().encode_into
"""Not `encode`, which crashes by SIGSEGV if memory runs out while its own buffer grows (decision 0016)."""

_BUFFER_BYTES: Final = 1_024
_buffers: Final = [bytearray(_BUFFER_BYTES)]
"""Buffers that no thread encodes into at the moment."""

_decode: Final = msgspec.json.Decoder(Record).decode


def encode_json(value: object) -> bytes:
    """Encode a record, or a part of one, as JSON."""
    try:
        buffer = _buffers.pop()
    except IndexError:  # in use by another thread, or by what a signal handler interrupted
        buffer = bytearray(_BUFFER_BYTES)
    try:
        _encode_into(value, buffer)
        return bytes(buffer)
    finally:
        _buffers.append(buffer)


def decode(data: bytes) -> Record | None:
    """Decode a record; return ``None`` for anything else."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def record_id(trace_id: str, span_id: str, status: str, timestamp_ns: int) -> str:
    """Return a record's identity, stable across resends: what identifies a lifecycle event, put together.

    Trace id and span id do not suffice: programs that call ``random.seed`` repeat them.
    """
    return f"{trace_id}{span_id}{timestamp_ns:x}{_LETTERS.get(status, status)}"


_LETTERS: Final = {"running": "r", "success": "s", "error": "e", "skipped": "k"}
"""What stands for a status at the end of an id."""


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def rfc3339(timestamp_ns: int) -> str:
    """Format nanoseconds since the epoch as RFC 3339 in UTC, with six digits of microseconds."""
    microseconds = timestamp_ns // 1000
    return "%s.%06dZ" % (_second(microseconds // 1_000_000), microseconds % 1_000_000)  # noqa: UP031 - a third faster


def encode(record: Record) -> bytes:
    """Encode a record as it is sent, within :data:`failpath_otel.limits.MAX_RECORD_BYTES`.

    Raises:
        MemoryError: there is no memory even for the minimal record.
    """
    try:
        data = encode_json(record)
        if len(data) <= limits.MAX_RECORD_BYTES:
            return data
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError, MemoryError):
        exception_once("encoding a record")
    return minimal_record(record).to_json()


def minimal_record(record: Record) -> Record:
    """Return the same event with its identity, status, times and error name, without metadata and long texts."""
    error = record.error
    return msgspec.structs.replace(
        record,
        metadata={"failpath.cut_down": "the record was too large"},
        error=None if error is None else ErrorInfo(error.name, clean_text(error.message, 200)),
    )
