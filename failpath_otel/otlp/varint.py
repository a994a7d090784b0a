"""Numbers of variable length, as protobuf writes them."""

from typing import Final

_SEVEN_BITS: Final = 0x7F
_MAX_BITS: Final = 63


def read_varint(body: bytes, at: int) -> tuple[int, int]:
    """Return the number there, and where it ends. Raise ``ValueError`` or ``IndexError`` if there is none."""
    number = shift = 0
    while (byte := body[at]) > _SEVEN_BITS:
        number |= (byte & _SEVEN_BITS) << shift
        shift += 7
        at += 1
        if shift > _MAX_BITS:
            raise ValueError
    return number | byte << shift, at + 1


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    written = bytearray()
    while number > _SEVEN_BITS:
        written.append(number & _SEVEN_BITS | ~_SEVEN_BITS & 0xFF)
        number >>= 7
    written.append(number)
    return bytes(written)
