"""One file of a journal: a header, then records, each framed so that one that was cut off shows."""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from failpath_otel import limits
from failpath_otel.journal.segments.frame import FRAME_BYTES, ChecksumBudget, Gap, count_lost, is_cut_off, unpack_frame
from failpath_otel.runtime.descriptors import OwnedFd

SUFFIX: Final = ".records"
SPARE: Final = "spare"
"""The name of a segment that is not in use yet."""

_MAGIC: Final = b"failpath"
_CONFIRMED_AT: Final = len(_MAGIC)
_CONFIRMED: Final = Struct("<II")
"""Up to where its records are confirmed, Failpath has them or they are lost for good, and the CRC-32 of that number;
two zeros in a file of which nothing is confirmed."""

CLOSED: Final = -1
HEADER_BYTES: Final = _CONFIRMED_AT + _CONFIRMED.size
_SALT: Final = 0x66616970
"""What the CRC-32 of the confirmed_to starts with, so that it is not that of anything else."""


class StoredRecord(NamedTuple):
    """A record that was read, and when it was written."""

    record: bytes
    written_at: int


class Segment:
    """A segment as its reader sees it. Records are taken in their order, and confirmed in the same order.

    Args:
        directory: the directory that it is in.
        name: its name there.
        descriptor: its own.
        version_1: its header has the number of the records that are confirmed, as version 1 of the format.
    """

    def __init__(self, directory: OwnedFd, name: str, descriptor: int, *, version_1: bool = False) -> None:
        self._directory = directory
        self.name = name
        self._version_1: Final = version_1
        self._fd: OwnedFd | None = None
        self.descriptor = descriptor
        self.reset()
        self.first = 0
        """The number of its first record; of segments that this process writes."""
        self.last: int | None = None
        """The number of its last record; ``None`` while this process writes it."""
        self.deleted = False
        """It cannot be opened again: somebody has deleted it."""
        self.dropped = False
        """What was not taken by then is lost."""
        self.is_oversized = False
        """It is larger than a segment can be."""

    @property
    def descriptor(self) -> int:
        """Its descriptor; ``CLOSED`` while nobody reads or writes it.

        Raises:
            OSError: somebody else has closed it.
        """
        return CLOSED if self._fd is None else self._fd.number

    @descriptor.setter
    def descriptor(self, descriptor: int) -> None:
        self._fd = None if descriptor == CLOSED else OwnedFd(descriptor)

    def is_open(self) -> bool:
        """Whether it has a descriptor, and nothing else has closed that."""
        return self._fd is not None and self._fd.is_valid()

    def change_directory(self, directory: OwnedFd) -> None:
        """Lets go of its descriptor, and opens it again, when it has to, in the same directory by a new one."""
        self.close()
        self._directory = directory

    def reset(self) -> None:
        """Forgets what was read of it."""
        self.position = HEADER_BYTES
        """Where the next record begins that is to be taken."""
        self.taken = 0
        self.confirmed = 0
        self.header_read = False
        """Its header was read."""
        self.header_damaged = False
        """Its header is damaged, so that records may come that were confirmed before."""
        self._confirmed_to = HEADER_BYTES
        self._ends: deque[int] = deque()  # of the records that are taken and not confirmed
        self._newest = 0
        self._checks = ChecksumBudget()
        self._gap: Gap | None = None
        self._gap_at = 0
        self._free_buffer()

    def _free_buffer(self) -> None:
        """Gives the memory back that is needed only where something is damaged."""
        self._buffer = b""
        self._buffer_at = self._buffer_content = 0

    def write_header(self) -> None:
        """Writes the header of a new file."""
        os.pwrite(self.descriptor, _MAGIC + _CONFIRMED.pack(0, 0), 0)

    def read_header(self) -> bool:
        """Reads the header of a file that exists, and goes to the first record that is not confirmed.

        Returns:
            Whether it is a segment. One that was never begun is one without records; one whose header is damaged is
            known by its records, of which none counts as confirmed.

        Raises:
            OSError: it cannot be read, or is too large to be one.
        """
        size = self.size()
        self.is_oversized = size > limits.JOURNAL_SEGMENT_BYTES
        if self.is_oversized:
            raise OSError(errno.EFBIG, "it is larger than any segment of a journal")
        header = os.pread(self.descriptor, HEADER_BYTES, 0)
        self.header_read = True
        if not header.strip(b"\0"):
            return True
        if self._version_1 and header.startswith(_MAGIC):
            self._skip_confirmed(int.from_bytes(header[_CONFIRMED_AT:], "little"))
            return len(header) == HEADER_BYTES
        confirmed_to, checksum = _CONFIRMED.unpack(header[_CONFIRMED_AT:].ljust(_CONFIRMED.size, b"\0"))
        known = confirmed_to >= HEADER_BYTES and checksum == _checksum(confirmed_to)
        if known:
            self.position = self._confirmed_to = min(confirmed_to, size)
        is_ours = header.startswith(_MAGIC)
        self.header_damaged = not (is_ours and (known or (confirmed_to, checksum) == (0, 0)))
        if is_ours or known:
            return len(header) == HEADER_BYTES
        return bool(self.read(size, 1, 0)) or ((gap := self.find_gap(size)) is not None and gap.end < size)

    def _skip_confirmed(self, count: int) -> None:
        while self.confirmed < count:
            read = self.read(self.size(), min(count - self.confirmed, limits.MAX_BATCH_RECORDS), 0)
            if not read:  # the number is wrong, or one of the records is damaged: better once more than never
                self.reset()
                self.header_read = self.header_damaged = True
                return
            self.advance(read)
            self.confirm(len(read))

    def size(self) -> int:
        """The length of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def rename(self, name: str) -> None:
        """Gives the file its name in the order."""
        directory = self._directory.number
        os.rename(self.name, name, src_dir_fd=directory, dst_dir_fd=directory)
        self.name = name

    def read(self, end: int, max_records: int, budget: int) -> list[StoredRecord]:
        """The next records that stand before ``end``, without taking them.

        Args:
            end: where the records end, or the file.
            max_records: how many at most.
            budget: bytes that they may have together, each with a byte for the comma after it; 0: no limit. One record
                comes in any case.

        Returns:
            The records; none where there are no more, or where the next one is damaged.
        """
        if self._gap is not None and self._gap_at == self.position:
            return []
        end = min(end, limits.JOURNAL_SEGMENT_BYTES)
        most = budget + max_records * FRAME_BYTES if budget else end
        size = min(end - self.position, max(most, limits.MAX_RECORD_BYTES + FRAME_BYTES))
        if size < FRAME_BYTES:
            return []
        chunk, offset = self._load(size)
        stop = min(offset + size, len(chunk))
        found: list[StoredRecord] = []
        used = 0
        while len(found) < max_records and offset + FRAME_BYTES <= stop:
            length, checksum, seconds = unpack_frame(chunk, offset)
            used += length + 1
            offset += FRAME_BYTES
            if not length or (found and budget and used > budget) or offset + length > stop:
                break
            if self._checks.spent and not self._checks.allows(self.position, length):
                break
            record = chunk[offset : offset + length]
            if crc32(record, seconds) != checksum:
                self._checks.spend(length)
                break
            found.append(StoredRecord(record, seconds))
            offset += length
        return found

    def count_records(self, end: int) -> int | None:
        """How many records stand before ``end``; ``None`` where one of them is damaged."""
        reader = Segment(self._directory, self.name, CLOSED)
        reader._fd = self._fd  # another one would take the number from this one
        while read := reader.read(end, limits.MAX_BATCH_RECORDS, 0):
            reader.advance(read)
        return reader.taken if reader.position == end else None

    def _load(self, size: int) -> tuple[bytes, int]:
        """Bytes from the position on, and where in them the position is."""
        offset = self.position - self._buffer_at
        if 0 <= offset <= offset + size <= len(self._buffer):
            return self._buffer, offset
        return os.pread(self.descriptor, size, self.position), 0

    def find_gap(self, end: int) -> Gap | None:
        """What stands at the position where no record can be read; ``None``: nothing but zeros up to ``end``."""
        if self._gap is None or self._gap_at != self.position:
            self._gap = self._locate_gap(min(end, limits.JOURNAL_SEGMENT_BYTES))
            self._gap_at = self.position
        return self._gap

    def _locate_gap(self, end: int) -> Gap | None:
        size = end - self.position
        if size <= 0:
            return None
        chunk, begin = self._load(size)
        if chunk is not self._buffer:
            # Until the file is closed: where one record is damaged, others may be.
            self._buffer, self._buffer_at, self._buffer_content = chunk, self.position, len(chunk.rstrip(b"\0"))
        stop = min(begin + size, self._buffer_content)
        if begin >= stop:
            return None
        following = self._checks.next_record(chunk, begin, stop, self._buffer_at, self._newest)
        if following >= 0:
            return Gap(self._buffer_at + following, count_lost(chunk, begin, following))
        return Gap(end, 0 if is_cut_off(chunk, begin, stop) else count_lost(chunk, begin, stop))

    def skip(self, gap: Gap) -> None:
        """Goes on behind a gap; it counts as confirmed together with the record before it."""
        self.position = gap.end
        if self._ends:
            self._ends[-1] = gap.end
        else:
            self._confirmed_to = gap.end
            self.write_confirmed()

    def take_all(self, content: bytes) -> list[bytes]:
        """Takes all records that were not taken yet, of a copy of what is in the file."""
        self._buffer, self._buffer_at, self._buffer_content = content, 0, len(content)
        found: list[bytes] = []
        while read := self.read(len(content), limits.MAX_BATCH_RECORDS, 0):
            self.advance(read)
            found.extend(written.record for written in read)
        return found

    def advance(self, read: list[StoredRecord]) -> None:
        """Takes what was read."""
        for written in read:
            self.position += len(written.record) + FRAME_BYTES
            self._ends.append(self.position)
        self.taken += len(read)
        self._newest = read[-1].written_at

    def confirm(self, records: int) -> None:
        """Takes note that so many of the records that were taken need not be sent again."""
        self.confirmed += records
        for _ in range(records):
            self._confirmed_to = self._ends.popleft()

    def write_confirmed(self) -> None:
        """Writes into the file up to where its records are confirmed."""
        # A failing disk costs a repetition after a crash, and no more. Eight bytes within a page: whoever reads them
        # after a crash finds the old number or the new one.
        with contextlib.suppress(OSError):
            confirmed_to = self.confirmed.to_bytes(_CONFIRMED.size, "little")
            if not self._version_1:
                confirmed_to = _CONFIRMED.pack(self._confirmed_to, _checksum(self._confirmed_to))
            os.pwrite(self.descriptor, confirmed_to, _CONFIRMED_AT)

    def close(self) -> None:
        """Closes the file; it can be opened again."""
        self._free_buffer()
        owned, self._fd = self._fd, None
        if owned is not None:
            owned.close()

    def remove(self) -> None:
        """Deletes the file."""
        with contextlib.suppress(OSError):
            os.unlink(self.name, dir_fd=self._directory.number)


def _checksum(confirmed_to: int) -> int:
    return crc32(confirmed_to.to_bytes(4, "little"), _SALT)


Write = Callable[[bytes], object]
"""Appends a frame; raises ``ValueError`` where the segment has no room for it."""


def raise_no_room(_: bytes) -> None:
    """Appending where there is no segment yet, or where it is full or busy."""
    msg = "there is no room for it"
    raise ValueError(msg)


class SyscallWriter:
    """Appends to a segment by system calls, where the file system or the platform does not allow more."""

    def __init__(self, segment: Segment) -> None:
        segment.write_header()
        self._segment: Final = segment
        self._end = HEADER_BYTES
        self.busy = False
        """A frame is being written; what a signal handler records meanwhile has to go elsewhere."""

    def write(self, data: bytes) -> None:
        """Appends a frame, or nothing of it."""
        if self.busy:
            raise_no_room(data)
        done = 0
        try:
            self.busy = True  # before anything is read of what a signal handler may change
            if self._end + len(data) > limits.JOURNAL_SEGMENT_BYTES:
                raise_no_room(data)
            while done < len(data):
                done += os.pwrite(self._segment.descriptor, data[done:], self._end + done)
            # Not before: another thread reads up to here.
            self._end += done
        finally:
            self.busy = False
            if 0 < done < len(data):
                os.ftruncate(self._segment.descriptor, self._end)

    def end(self) -> int:
        """Where the next frame will stand."""
        return self._end

    def close(self) -> None:
        """Ends the writing; the file stays."""
