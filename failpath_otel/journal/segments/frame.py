"""How a record stands in a file, and what can be told of bytes where no record can be read."""

import re
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from failpath_otel import limits

_FRAME: Final = Struct("<III")
"""The length of the record that follows, its CRC-32 with the time as its start value, and the time when it was
written, in seconds since the epoch."""

FRAME_BYTES: Final = _FRAME.size
"""What a record takes beside itself."""

pack_frame: Final = _FRAME.pack
unpack_frame: Final = _FRAME.unpack_from

_START: Final = re.compile(rb"\{(?<=[\0\1]\0.{8}\{)", re.DOTALL)
"""The first byte of a record, with the two upper bytes of a plausible length where they belong before it.

JSON has no zero bytes, so nothing inside a record looks like this. The literal stands first, which is the fast way.
"""

_LATEST_TIME: Final = 4_100_000_000
"""No record is written after this second, in the year 2099."""

_MAX_INTERVAL: Final = 31_536_000
"""Seconds between two records of one file, at most: a year. A process that is idle for long begins another file."""

_PAGE: Final = 4_096
"""Zeros that a disk has lost, and no copying of memory leaves at the beginning of a record."""

_PER_BYTE_READ: Final = 4
_INITIAL_BUDGET: Final = 4 * limits.MAX_RECORD_BYTES


class Gap(NamedTuple):
    """Bytes that are no record."""

    end: int
    """Where reading goes on."""

    records: int
    """How many records are lost in them, at least; 0 where only the last one was cut off by the end of its writer."""


class ChecksumBudget:
    """The checksums of one file. Those that fail cover no more bytes together than a multiple of what was read."""

    def __init__(self) -> None:
        self.spent = 0
        """Bytes that were checked in vain."""

    def allows(self, at: int, length: int) -> bool:
        """Whether a record of ``length`` bytes may be tried at ``at``: not where too much was tried in vain."""
        return self.spent + length <= _PER_BYTE_READ * at + _INITIAL_BUDGET

    def spend(self, length: int) -> None:
        """Takes note of a checksum over so many bytes that was wrong."""
        self.spent += length

    def next_record(self, data: bytes, begin: int, stop: int, first_at: int, newest: int) -> int:
        """Where the next frame begins that checks out.

        Args:
            data: bytes of the file.
            begin: where to look, from the byte after it.
            stop: where the frame has to end, at most.
            first_at: where in the file ``data`` begins.
            newest: when the record before was written; 0: not known.

        Returns:
            Its place in ``data``; -1 where there is none.
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
    """How many records there were in damaged bytes, at least: as many as their lengths lead to."""
    lost = 0
    while begin + FRAME_BYTES < stop:
        length, _, seconds = unpack_frame(data, begin)
        begin += FRAME_BYTES + length
        if not _is_plausible(length, seconds, 0) or begin > stop:
            break
        lost += 1
    return max(lost, 1)


def is_cut_off(data: bytes, begin: int, stop: int) -> bool:
    """Whether the bytes from ``begin`` to ``stop``, which nothing but zeros follows, are a part of one record.

    Its writer was killed while it was copied, in whatever order that is done: zeros stand where the rest would be, and
    a record has none. Where nothing is missing, a part of it was changed later.
    """
    length, checksum, seconds = unpack_frame(data[begin:stop][:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))
    if length > limits.MAX_RECORD_BYTES or seconds > _LATEST_TIME or not data[begin : begin + _PAGE].strip(b"\0"):
        return False
    record = data[begin + FRAME_BYTES : stop]
    if len(record) > (length or limits.MAX_RECORD_BYTES):
        return False
    is_whole = length and seconds and len(record) == length and b"\0" not in record
    # Were only the length wrong, the checksum would be right.
    return not is_whole and not (record and crc32(record, seconds) == checksum)
