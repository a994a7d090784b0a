"""The first bytes of a segment: what it is, and up to where its records are confirmed."""

from struct import Struct
from typing import Final
from zlib import crc32

MAGIC: Final = b"failpath"
CONFIRMED_AT: Final = len(MAGIC)
_CONFIRMED: Final = Struct("<II")
"""Where the unconfirmed records begin, and the CRC-32 of that position; zeros if no record is confirmed.

Confirmed records were delivered, or are lost for good.
"""

HEADER_BYTES: Final = CONFIRMED_AT + _CONFIRMED.size
_SALT: Final = 0x66616970
"""Start value of the CRC-32 of the position, so that it is the checksum of nothing else."""

NEW: Final = MAGIC + bytes(_CONFIRMED.size)
"""The header of a segment of which nothing is confirmed."""


def pack_confirmed(confirmed_to: int) -> bytes:
    """Return what stands in a header from ``CONFIRMED_AT`` on."""
    return _CONFIRMED.pack(confirmed_to, _checksum(confirmed_to))


def pack_count(count: int) -> bytes:
    """Return what stands there in version 1 of the format: how many records are confirmed."""
    return count.to_bytes(_CONFIRMED.size, "little")


def unpack_confirmed(header: bytes) -> tuple[int, bool, bool]:
    """Return up to where records are confirmed, whether that is certain, and whether the header shows that none is."""
    confirmed_to, checksum = _CONFIRMED.unpack(header[CONFIRMED_AT:].ljust(_CONFIRMED.size, b"\0"))
    is_known = confirmed_to >= HEADER_BYTES and checksum == _checksum(confirmed_to)
    return confirmed_to, is_known, (confirmed_to, checksum) == (0, 0)


def _checksum(confirmed_to: int) -> int:
    return crc32(confirmed_to.to_bytes(4, "little"), _SALT)
