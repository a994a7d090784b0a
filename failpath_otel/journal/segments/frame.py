"""How a record is framed in a file, and how damaged bytes are read."""

import re
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from failpath_otel import limits

_FRAME: Final = Struct("<III")
"""Length of the record, its CRC-32 with the time as start value, and when it was written (seconds since the epoch)."""

FRAME_BYTES: Final = _FRAME.size
"""Overhead of a record."""

pack_frame: Final = _FRAME.pack
unpack_frame: Final = _FRAME.unpack_from

_START: Final = re.compile(rb"[{\xf5](?<=[\0\1]\0.{8}[{\xf5])", re.DOTALL)
"""The first byte of a record, JSON or compact, behind the two upper bytes of a plausible length.

JSON has no zero bytes, so hardly anything inside a record matches. The first byte comes first, which is fast.
"""

COMPACT_MARK: Final = b"\xf5"
"""The first byte of a compact record, which its reader makes into longer JSON."""

_NUMBERS: Final = 64
"""Within these first bytes, a compact record has numbers, of which some are zero: at most eight bytes in a row."""

_LATEST_TIME: Final = 4_100_000_000
"""No record is written after this second, in the year 2099."""

_MAX_INTERVAL: Final = 31_536_000
"""Longest time between two records of one file (a year): an idle process begins another file."""

_PAGE: Final = 4_096
"""Zeros of this length at the beginning of a record mean that the disk lost a page."""

_PER_BYTE_READ: Final = 4
_INITIAL_BUDGET: Final = 4 * limits.MAX_RECORD_BYTES


class Gap(NamedTuple):
    """Bytes that are no record."""

    end: int
    """Where reading goes on."""

    records: int
    """How many records are lost in them, at least; 0 if only the last record was cut off by the end of its process."""


class ChecksumBudget:
    """Limits the bytes of one file that are checksummed in vain, in proportion to what was read."""

    def __init__(self) -> None:
        self.spent = 0
        """Bytes whose checksum was wrong."""

    def allows(self, at: int, length: int) -> bool:
        """Return whether *length* bytes may be checksummed at *at*."""
        return self.spent + length <= _PER_BYTE_READ * at + _INITIAL_BUDGET

    def spend(self, length: int) -> None:
        """Record a wrong checksum over *length* bytes."""
        self.spent += length

    def next_record(self, data: bytes, begin: int, stop: int, first_at: int, newest: int) -> int:
        """Find the next frame whose checksum is right.

        Args:
            data: bytes of the file.
            begin: search behind this byte.
            stop: where the frame has to end, at most.
            first_at: where in the file *data* begins.
            newest: when the record before was written; 0: unknown.

        Returns:
            Its place in *data*; -1 if there is none.
        """
        view = memoryview(data)
        for match in _START.finditer(data, begin + 1 + FRAME_BYTES, stop):
            at, record_at = match.start() - FRAME_BYTES, match.start()
            length, checksum, seconds = unpack_frame(data, at)
            end = record_at + length
            if not _is_plausible(length, seconds, newest) or end > stop or not self.allows(first_at + at, length):
                continue
            if crc32(view[record_at:end], seconds) == checksum:
                return at
            self.spend(length)
        return -1


def _is_plausible(length: int, seconds: int, newest: int) -> bool:
    latest = newest + _MAX_INTERVAL if newest else _LATEST_TIME
    return 0 < length <= limits.MAX_RECORD_BYTES and newest <= seconds <= latest


def count_lost(data: bytes, begin: int, stop: int) -> int:
    """Return how many records the damaged bytes held, at least: as many as their lengths lead to."""
    lost = 0
    while begin + FRAME_BYTES < stop:
        length, _, seconds = unpack_frame(data, begin)
        begin += FRAME_BYTES + length
        if not _is_plausible(length, seconds, 0) or begin > stop:
            break
        lost += 1
    return max(lost, 1)


def is_cut_off(data: bytes, begin: int, stop: int) -> bool:
    """Return whether the bytes from *begin* to *stop*, which only zeros follow, are the beginning of one record.

    Its process was killed while the record was copied, in whatever order: zeros stand for the missing parts. If nothing
    is missing, the record was damaged later.
    """
    length, checksum, seconds = unpack_frame(data[begin:stop][:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))
    if length > limits.MAX_RECORD_BYTES or seconds > _LATEST_TIME or not data[begin : begin + _PAGE].strip(b"\0"):
        return False
    record = data[begin + FRAME_BYTES : stop]
    if len(record) > (length or limits.MAX_RECORD_BYTES):
        return False
    is_whole = length and seconds and len(record) == length and not _has_missing_parts(record)
    # A right checksum means that only the length is wrong.
    return not is_whole and not (record and crc32(record, seconds) == checksum)


def _has_missing_parts(record: bytes) -> bool:
    if record[:1] == COMPACT_MARK:
        return b"\0" in record[_NUMBERS:] or bytes(16) in record[:_NUMBERS]
    return b"\0" in record
