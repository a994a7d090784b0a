"""The compact record: what the caller stores of a plain step; its JSON is made where it is sent (decision 0036).

Ten bytes that differ between the two records of a step, then what is the same in both: the lengths of the pieces, the
ids, the start, and three pieces of JSON: the process (may be empty), the names, the metadata. All that makes the JSON
is in the record or fixed by its kind, never by the options of the process that reads it.
"""

from binascii import hexlify
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - the name of an exception
from time import gmtime, strftime
from typing import Any, Final

from failpath_otel import limits
from failpath_otel.records.record import decode, encode_json, minimal_record

_HEAD: Final = Struct("<BBQHH32sQ")
"""The mark, the kind, and the end in nanoseconds since the epoch (zero while the step runs); then what is the same in
both records of a step: the bytes of process and names, trace id and span id and parent, and the start.
"""

_FRONT: Final = Struct("<BBQ")
"""The first part of it, in which the two records of a step differ."""

_MARK: Final = 0xF5
"""The first byte: neither the beginning nor any part of JSON, because UTF-8 has no such byte."""

_MARK_BYTE: Final = bytes((_MARK,))
_RUNNING: Final = 1
_SUCCESS: Final = 2

HEAD_BYTES: Final = _HEAD.size
"""The bytes before the pieces of JSON; numbers, so that any of them may be zero."""

MAX_COMPACT_BYTES: Final = limits.MAX_RECORD_BYTES - 1_024
"""The longest compact record: with a longer one, the JSON might be larger than a record may be."""

_NO_PARENT_DIGITS: Final = b"0" * 16
_RUNNING_JSON: Final = (
    b'{"id":"%b%xr",%b,"status":"running","timestamp":"%b.%06dZ","traceId":"%b","spanId":"%b","metadata":%b'
)
_SUCCESS_JSON: Final = (
    b'{"id":"%b%xs",%b,"status":"success","timestamp":"%b.%06dZ","traceId":"%b","spanId":"%b","metadata":%b'
    b',"startedAt":"%b.%06dZ","durationMs":%d.%03d'
)


class UnknownRecordError(ValueError):
    """A stored record of a kind that this version does not know; another one may."""


_pack_head: Final = _HEAD.pack
_pack_front: Final = _FRONT.pack


def running_of(  # noqa: PLR0917 - on the hot path, where a keyword costs
    process: bytes, of_run: bytes, of_step: bytes, metadata: bytes, ids: bytes, start_ns: int
) -> bytes:
    """Return the ``running`` record of a step.

    Args:
        process: JSON of the process, or nothing.
        of_run: the result of :func:`run_names`.
        of_step: the result of :func:`step_name`.
        metadata: JSON of the metadata.
        ids: trace id, span id and span id of the parent: 32 bytes.
        start_ns: when the step began, in nanoseconds since the epoch.
    """
    head = _pack_head(_MARK, _RUNNING, 0, len(process), len(of_run) + len(of_step), ids, start_ns)
    return b"".join((head, process, of_run, of_step, metadata))  # a sum would copy it four times


def success_of(running: bytes, end_ns: int) -> bytes:
    """Return the ``success`` record of the step with this ``running`` record that ended at ``end_ns``."""
    return _pack_front(_MARK, _SUCCESS, end_ns) + running[10:]


def run_names(flow_key: str, run_id: str) -> bytes:
    """Return the JSON members that name a run, and the name of the member with the step key."""
    return b'"flowKey":%b,"runId":%b,"stepKey":' % (encode_json(flow_key), encode_json(run_id))


@lru_cache(maxsize=4_096)
def step_name(step_key: str) -> bytes:
    """Return a step key as JSON."""
    return encode_json(step_key)


def is_compact(record: bytes) -> bool:
    """Return whether a stored record is a compact one, of whatever kind."""
    return record[:1] == _MARK_BYTE


def is_known(record: bytes) -> bool:
    """Return whether this version knows the kind of a stored record."""
    return not is_compact(record) or (len(record) >= HEAD_BYTES and record[1] in {_RUNNING, _SUCCESS})


def json_of(record: bytes) -> bytes:
    """Return the JSON of a compact record, and any other record as it stands.

    Raises:
        UnknownRecordError: it is a compact one of a kind that this version does not know.
    """
    if not is_compact(record):
        return record
    try:
        _, kind, end_ns, process_bytes, names_bytes, ids, start_ns = _HEAD.unpack_from(record)
    except StructError:
        raise UnknownRecordError from None
    names_at = HEAD_BYTES + process_bytes
    metadata_at = names_at + names_bytes
    digits = hexlify(ids)
    microseconds = start_ns // 1000
    seconds, fraction = divmod(microseconds, 1_000_000)
    start: tuple[Any, ...] = _second(seconds), fraction
    fixed = digits[:32], digits[32:48], record[metadata_at:]
    names = record[names_at:metadata_at]
    if kind == _RUNNING:
        text = _RUNNING_JSON % (digits[:48], start_ns, names, *start, *fixed)
    elif kind == _SUCCESS:
        end = divmod(end_ns // 1000, 1_000_000)
        duration = divmod((end_ns - start_ns) // 1000, 1000)
        text = _SUCCESS_JSON % (digits[:48], end_ns, names, _second(end[0]), end[1], *fixed, *start, *duration)
    else:
        raise UnknownRecordError
    process = record[HEAD_BYTES:names_at]
    if process:
        text += b',"process":' + process
    if digits[48:] != _NO_PARENT_DIGITS:
        text += b',"parentSpanId":"%b"' % digits[48:]
    return text + b"}"


@lru_cache(maxsize=16)
def _second(seconds: int) -> bytes:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds)).encode()


def cut_down(record: bytes) -> bytes:
    """Return a stored record as its identity, its status and its times; unchanged where it cannot be read."""
    decoded = decode(json_of(record))
    return record if decoded is None else encode_json(minimal_record(decoded))
