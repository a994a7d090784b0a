"""One file of a journal: a header, then framed records, so that a record that was cut off shows."""

import contextlib
import errno
import os
from collections import deque
from typing import Final, NamedTuple
from zlib import crc32

from failpath_otel import limits
from failpath_otel.journal.files import port
from failpath_otel.journal.files.file_system import Folder
from failpath_otel.journal.segments.frame import (
    COMPACT_MARK,
    FRAME_BYTES,
    ChecksumBudget,
    Gap,
    count_lost,
    is_cut_off,
    unpack_frame,
)
from failpath_otel.journal.segments.header import (
    CONFIRMED_AT,
    MAGIC,
    NEW,
    pack_confirmed,
    pack_count,
    unpack_confirmed,
)
from failpath_otel.journal.segments.header import HEADER_BYTES as HEADER_BYTES
from failpath_otel.runtime.descriptors import OwnedFd

SUFFIX: Final = ".records"
SPARE: Final = "spare"
"""Name of a copy that is made while a segment is trimmed; in earlier versions, of a segment not in use yet."""

CLOSED: Final = -1


class StoredRecord(NamedTuple):
    """A record that was read, and when it was written, in seconds since the epoch."""

    record: bytes
    written_at: int


class Segment:
    """A segment as its reader sees it. Records are taken in order, and confirmed in the same order.

    Args:
        folder: the directory that holds it.
        name: its name there.
        descriptor: its descriptor, or :data:`CLOSED`.
        version_1: its header holds the number of confirmed records, as in version 1 of the format.
    """

    def __init__(self, folder: Folder, name: str, descriptor: int, *, version_1: bool = False) -> None:
        self._folder = folder
        self.name = name
        self._version_1: Final = version_1
        self._fd: OwnedFd | None = None
        self.descriptor = descriptor
        self.reset()
        self.first = 0
        """Number of its first record, of segments that this process writes."""
        self.place = 0
        """What distinguishes it from all other segments that this process has written."""
        self.before: int | None = None
        """How many records the owner of the journal had accepted before its first one; ``None``: that is not known."""
        self.last: int | None = None
        """Number of its last record; ``None`` while this process writes it."""
        self.end = 0
        """Where its records end, of one that this process has written; 0 where that is not known."""
        self.deleted = False
        """It was deleted and cannot be opened again."""
        self.dropped = False
        """Records that were not taken by then are lost."""
        self.is_oversized = False
        """It is larger than a segment can be."""

    @property
    def descriptor(self) -> int:
        """Its descriptor; ``CLOSED`` while it is neither read nor written.

        Raises:
            OSError: other code has closed it.
        """
        return CLOSED if self._fd is None else self._fd.number

    @descriptor.setter
    def descriptor(self, descriptor: int) -> None:
        self._fd = None if descriptor == CLOSED else OwnedFd(descriptor)

    def is_open(self) -> bool:
        """Return whether it has a descriptor that no other code has closed."""
        return self._fd is not None and self._fd.is_valid()

    def change_folder(self, folder: Folder) -> None:
        """Close the file; reopen it later in the same directory, which has another descriptor."""
        self.close()
        self._folder = folder

    def reset(self) -> None:
        """Forget what was read of it."""
        self.position = HEADER_BYTES
        """Where the next record begins."""
        self.taken = 0
        self.confirmed = 0
        self.header_read = False
        """Its header was read."""
        self.header_damaged = False
        """Its header is damaged, so that confirmed records may be read again."""
        self.confirmed_to = HEADER_BYTES
        """Where the records begin that are not confirmed."""
        self._ends: deque[int] = deque()  # of records that are taken and not confirmed
        self._newest = 0
        self._checks = ChecksumBudget()
        self._gap: Gap | None = None
        self._gap_at = 0
        self._free_buffer()

    def _free_buffer(self) -> None:
        """Free the memory that is needed only for damaged files."""
        self._buffer = b""
        self._buffer_at = self._buffer_content = 0

    def write_header(self) -> None:
        """Write the header of a new file."""
        port.file_system.write_at(self.descriptor, NEW, 0)

    def read_header(self) -> bool:
        """Read the header of an existing file and go to the first unconfirmed record.

        Returns:
            Whether the file is a segment. An empty file is one without records; after a damaged header, none of its
            records are confirmed.

        Raises:
            OSError: it cannot be read, or is too large to be a segment.
        """
        size = self.size()
        self.is_oversized = size > limits.JOURNAL_SEGMENT_BYTES
        if self.is_oversized:
            raise OSError(errno.EFBIG, "it is larger than any segment of a journal")
        header = port.file_system.read_at(self.descriptor, HEADER_BYTES, 0)
        self.header_read = True
        if not header.strip(b"\0"):
            return True
        if self._version_1 and header.startswith(MAGIC):
            self._skip_confirmed(int.from_bytes(header[CONFIRMED_AT:], "little"))
            return len(header) == HEADER_BYTES
        confirmed_to, known, none = unpack_confirmed(header)
        if known:
            self.position = self.confirmed_to = min(confirmed_to, size)
        is_ours = header.startswith(MAGIC)
        self.header_damaged = not (is_ours and (known or none))
        if is_ours or known:
            return len(header) == HEADER_BYTES
        return bool(self.read(size, 1, 0)) or ((gap := self.find_gap(size)) is not None and gap.end < size)

    def _skip_confirmed(self, count: int) -> None:
        while self.confirmed < count:
            read = self.read(self.size(), min(count - self.confirmed, limits.MAX_BATCH_RECORDS), 0)
            if not read:  # wrong number or damaged record: deliver twice rather than not at all
                self.reset()
                self.header_read = self.header_damaged = True
                return
            self.advance(read)
            self.confirm(len(read))

    def size(self) -> int:
        """Return the length of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def exists(self) -> bool:
        """Return ``False`` if the file was deleted, and ``True`` where that is unknown."""
        try:
            return os.fstat(self.descriptor).st_nlink > 0
        except OSError:
            return True

    def rename(self, name: str) -> None:
        """Rename the file."""
        self._folder.rename(self.name, name)
        self.name = name

    def read(self, end: int, max_records: int, budget: int) -> list[StoredRecord]:
        """Return the next records that stand before *end*, without taking them.

        Args:
            end: where the records end, or the file.
            max_records: how many at most.
            budget: total bytes of the records as JSON, each with the comma that follows it in a body; 0: no limit. One
                record is returned in any case.

        Returns:
            The records; none at the end, or if the next one is damaged.
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
            if chunk[offset + FRAME_BYTES : offset + FRAME_BYTES + 1] == COMPACT_MARK:
                used += limits.MAX_COMPACT_GROWTH_BYTES
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
        """Return how many records stand before *end*; ``None`` if one of them is damaged.

        Raises:
            OSError: it cannot be read.
        """
        reader = self._opened_again()
        try:
            while read := reader.read(end, limits.MAX_BATCH_RECORDS, 0):
                reader.advance(read)
            return reader.taken if reader.position == end else None
        finally:
            reader.close()

    def content(self) -> bytes:
        """Return all bytes of the file; raise ``OSError`` where it cannot be read."""
        reader = self._opened_again()
        try:
            return port.file_system.read_at(reader.descriptor, limits.JOURNAL_SEGMENT_BYTES, 0)
        finally:
            reader.close()

    def _opened_again(self) -> "Segment":
        # By a descriptor of its own: another thread may close the one of this segment, or open it, meanwhile.
        return Segment(self._folder, self.name, self._folder.open(self.name, os.O_RDONLY))

    def _load(self, size: int) -> tuple[bytes, int]:
        """Return bytes from the position on, and where in them the position is."""
        offset = self.position - self._buffer_at
        if 0 <= offset <= offset + size <= len(self._buffer):
            return self._buffer, offset
        return port.file_system.read_at(self.descriptor, size, self.position), 0

    def find_gap(self, end: int) -> Gap | None:
        """Return the damaged bytes at the position; ``None`` if only zeros stand up to *end*."""
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
            # Kept until the file is closed: where one record is damaged, others may be.
            self._buffer, self._buffer_at, self._buffer_content = chunk, self.position, len(chunk.rstrip(b"\0"))
        stop = min(begin + size, self._buffer_content)
        if begin >= stop:
            return None
        following = self._checks.next_record(chunk, begin, stop, self._buffer_at, self._newest)
        if following >= 0:
            return Gap(self._buffer_at + following, count_lost(chunk, begin, following))
        return Gap(end, 0 if is_cut_off(chunk, begin, stop) else count_lost(chunk, begin, stop))

    def skip(self, gap: Gap) -> None:
        """Go on behind a gap, which is confirmed together with the record before it."""
        self.position = gap.end
        if self._ends:
            self._ends[-1] = gap.end
        else:
            self.confirmed_to = gap.end
            self.write_confirmed()

    def take_all(self, content: bytes) -> list[bytes]:
        """Take all remaining records from *content*, a copy of the file."""
        self._buffer, self._buffer_at, self._buffer_content = content, 0, len(content)
        found: list[bytes] = []
        while read := self.read(len(content), limits.MAX_BATCH_RECORDS, 0):
            self.advance(read)
            found.extend(stored.record for stored in read)
        return found

    def advance(self, read: list[StoredRecord]) -> None:
        """Take what was read."""
        for stored in read:
            self.position += len(stored.record) + FRAME_BYTES
            self._ends.append(self.position)
        self.taken += len(read)
        self._newest = read[-1].written_at

    def confirm(self, records: int) -> None:
        """Confirm that the next *records* of those taken need not be sent again."""
        self.confirmed += records
        for _ in range(records):
            self.confirmed_to = self._ends.popleft()

    def write_confirmed(self) -> None:
        """Write into the file which of its records are confirmed."""
        # If this fails, records are sent twice after a crash. Eight bytes within a page are written as a whole.
        with contextlib.suppress(OSError):
            data = pack_count(self.confirmed) if self._version_1 else pack_confirmed(self.confirmed_to)
            port.file_system.write_at(self.descriptor, data, CONFIRMED_AT)

    def close(self) -> None:
        """Close the file; it can be opened again."""
        self._free_buffer()
        owned, self._fd = self._fd, None
        if owned is not None:
            owned.close()

    def remove(self) -> None:
        """Delete the file; where that fails, mark all that is in it as confirmed, so that it is not sent again."""
        try:
            self._folder.delete(self.name)
        except FileNotFoundError:
            pass
        except OSError:
            self._confirm_all()

    def _confirm_all(self) -> None:
        with contextlib.suppress(OSError):
            left = Segment(self._folder, self.name, self._folder.open(self.name, os.O_RDWR), version_1=self._version_1)
            try:
                left.confirmed, left.confirmed_to = self.confirmed, min(left.size(), limits.JOURNAL_SEGMENT_BYTES)
                left.write_confirmed()
            finally:
                left.close()
