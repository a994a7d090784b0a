"""Refusals as gRPC has them: a code, a text, and the ``google.rpc.Status`` that says when a retry makes sense.

The messages are encoded here. The package with their classes has upper bounds on protobuf, and they are three fields.
"""

from typing import Final

from grpc import StatusCode
from starlette.exceptions import HTTPException

DETAILS: Final = "grpc-status-details-bin"
"""The trailing metadata that holds a ``google.rpc.Status``."""

_CODES: Final = {
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    413: StatusCode.RESOURCE_EXHAUSTED,
    500: StatusCode.INTERNAL,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
}
"""By the status of HTTP; of any other, that of an invalid argument."""

_RETRY_INFO: Final = b"type.googleapis.com/google.rpc.RetryInfo"


def code_of(refusal: HTTPException) -> StatusCode:
    """Return the code of a refusal."""
    return _CODES.get(refusal.status_code, StatusCode.INVALID_ARGUMENT)


def details_of(refusal: HTTPException) -> bytes:
    """Return the refusal as a ``google.rpc.Status``, with a ``RetryInfo`` where it has a ``Retry-After`` in seconds."""
    status = _number(1, code_of(refusal).value[0]) + _bytes(2, refusal.detail.encode())
    seconds = (refusal.headers or {}).get("Retry-After")
    if seconds is not None:
        delay = _number(1, int(seconds))
        status += _bytes(3, _bytes(1, _RETRY_INFO) + _bytes(2, _bytes(1, delay)))
    return status


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >> 7:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
