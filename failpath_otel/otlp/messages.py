"""OTLP/HTTP for traces: the spans of a request in either encoding, and the answers."""

from collections.abc import Iterator
from typing import Final

import msgspec

from failpath_otel.otlp.span import OtlpSpan
from failpath_otel.otlp.span import TooManySpans as TooManySpans

ROUTE: Final = "/v1/traces"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MEDIA_TYPES: Final = (PROTOBUF, JSON)

_SEVEN_BITS: Final = 0x7F
_INVALID_ARGUMENT: Final = 3
_RESOURCE_EXHAUSTED: Final = 8
_INTERNAL: Final = 13
_UNAVAILABLE: Final = 14
_CODES: Final = {413: _RESOURCE_EXHAUSTED, 500: _INTERNAL, 503: _UNAVAILABLE}


def spans_in(body: bytes, media_type: str, *, every: bool = False) -> Iterator[OtlpSpan | None]:
    """The spans of a request in their order; ``None`` for one without a step key, unless ``every`` is asked for.

    Raises ``ValueError``, at once and not while the spans are taken, where the body holds none, and
    :class:`TooManySpans`.
    """
    if media_type == JSON:
        # Here and below, because it takes a while to import, and most senders speak one of the two.
        from failpath_otel.otlp import json as otlp_json  # noqa: PLC0415

        return otlp_json.spans_in(body, every=every)
    from failpath_otel.otlp import protobuf  # noqa: PLC0415

    return protobuf.spans_in(body, every=every)


class _PartialSuccess(msgspec.Struct, rename="camel", omit_defaults=True):
    rejected_spans: str
    error_message: str


class _Response(msgspec.Struct, rename="camel", omit_defaults=True):
    partial_success: _PartialSuccess | None = None


class _Status(msgspec.Struct):
    code: int
    message: str


def response(media_type: str, rejected: int = 0, reason: str = "") -> bytes:
    """An ``ExportTraceServiceResponse``; with a number of rejected spans, or a reason alone, which is a warning."""
    if not (rejected or reason):
        return b"{}" if media_type == JSON else b""
    if media_type == JSON:
        return msgspec.json.encode(_Response(_PartialSuccess(str(rejected), reason)))
    counted = b"\x08" + _varint(rejected) if rejected else b""
    return _text(1, counted + _text(2, reason.encode()))


def refusal(media_type: str, status_code: int, reason: str) -> bytes:
    """A ``google.rpc.Status``, as the specification asks of every answer that is no success."""
    code = _CODES.get(status_code, _INVALID_ARGUMENT)
    if media_type == PROTOBUF:
        return b"\x08" + _varint(code) + _text(2, reason.encode())
    return msgspec.json.encode(_Status(code, reason))


def _text(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > _SEVEN_BITS:
        encoded.append(number & _SEVEN_BITS | _SEVEN_BITS + 1)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
