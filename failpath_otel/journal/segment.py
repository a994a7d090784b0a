"""One file of a journal: a header, then records, each framed so that one that was cut off shows."""

import contextlib
import os
from collections.abc import Callable
from mmap import mmap
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from failpath_otel import limits
from failpath_otel.journal.owned import Owned

SUFFIX: Final = ".records"
SPARE: Final = "spare"
"""The name of a segment that is not in use yet."""

_MAGIC: Final = b"failpath"
_HEADER: Final = Struct("<8sQ")
"""What the file is, and how many of its records are confirmed: Failpath has them, or they are lost for good."""

_FRAME: Final = Struct("<III")
"""The length of the record that follows, its CRC-32 with the time as its start value, and the time when it was
written, in seconds since the epoch."""

CLOSED: Final = -1
BEGIN: Final = _HEADER.size
FRAME_BYTES: Final = _FRAME.size
"""What a record takes beside itself."""

_CONFIRMED_AT: Final = 8
pack_frame: Final = _FRAME.pack
_pack_confirmed: Final = Struct("<Q").pack


class Written(NamedTuple):
    """A record that was read, and when it was written."""

    record: bytes
    seconds: int


class Segment:
    """A segment as its reader sees it. Records are taken in their order, and confirmed in the same order.

    Args:
        directory: the descriptor of the directory that it is in.
        name: its name there.
        descriptor: its own.
    """

    def __init__(self, directory: int, name: str, descriptor: int) -> None:
        self._directory: Final = Owned(directory)
        self.name = name
        self._owned: Owned | None = None
        self.descriptor = descriptor
        self.position = BEGIN
        """Where the next record begins that is to be taken."""
        self.taken = 0
        self.confirmed = 0
        self.first = 0
        """The number of its first record; of segments that this process writes."""
        self.last: int | None = None
        """The number of its last record; ``None`` while this process writes it."""
        self.deleted = False
        """It cannot be opened again: somebody has deleted it."""
        self.dropped = False
        """What was not taken by then is lost."""

    @property
    def descriptor(self) -> int:
        """Its descriptor; ``CLOSED`` while nobody reads or writes it.

        Raises:
            OSError: somebody else has closed it.
        """
        return CLOSED if self._owned is None else self._owned.number

    @descriptor.setter
    def descriptor(self, descriptor: int) -> None:
        self._owned = None if descriptor == CLOSED else Owned(descriptor)

    def begin(self) -> None:
        """Writes the header of a new file."""
        os.pwrite(self.descriptor, _HEADER.pack(_MAGIC, 0), 0)

    def resume(self) -> bool:
        """Reads the header of a file that exists, and goes to the first record that is not confirmed.

        Returns:
            Whether it is a segment. One that was never begun is one without records.
        """
        header = os.pread(self.descriptor, BEGIN, 0)
        if not header.strip(b"\0"):
            return True
        if len(header) < BEGIN or not header.startswith(_MAGIC):
            return False
        confirmed = _HEADER.unpack(header)[1]
        while self.confirmed < confirmed:
            read = self.read(self.size(), min(confirmed - self.confirmed, limits.MAX_BATCH_RECORDS), 0)
            if not read:
                break
            self.advance(read)
            self.confirmed = self.taken
        return True

    def begin_again(self) -> None:
        """Forgets how far it was resumed."""
        self.position, self.taken, self.confirmed = BEGIN, 0, 0

    def size(self) -> int:
        """The length of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def rename(self, name: str) -> None:
        """Gives the file its name in the order."""
        os.rename(self.name, name, src_dir_fd=self._directory.number, dst_dir_fd=self._directory.number)
        self.name = name

    def read(self, end: int, max_records: int, budget: int) -> list[Written]:
        """The next records that stand before ``end``, without taking them.

        Args:
            end: where the records end, or the file.
            max_records: how many at most.
            budget: bytes that they may have together, each with a byte for the comma after it; 0: no limit. One record
                comes in any case.

        Returns:
            The records; none where there are no more, or where the next one is damaged.
        """
        most = budget + max_records * _FRAME.size if budget else end
        size = min(end - self.position, max(most, limits.MAX_RECORD_BYTES + _FRAME.size))
        if size < _FRAME.size:
            return []
        chunk = os.pread(self.descriptor, size, self.position)
        found: list[Written] = []
        offset = used = 0
        while len(found) < max_records and offset + _FRAME.size <= len(chunk):
            length, checksum, seconds = _FRAME.unpack_from(chunk, offset)
            used += length + 1
            offset += _FRAME.size
            record = chunk[offset : offset + length]
            if not length or (found and budget and used > budget) or len(record) < length:
                break
            if crc32(record, seconds) != checksum:
                break
            found.append(Written(record, seconds))
            offset += length
        return found

    def count(self, end: int) -> int | None:
        """How many records stand before ``end``; ``None`` where one of them is damaged."""
        reader = Segment(self._directory.number, self.name, self.descriptor)
        while read := reader.read(end, limits.MAX_BATCH_RECORDS, 0):
            reader.advance(read)
        return reader.taken if reader.position == end else None

    def is_damaged(self) -> bool:
        """Whether a record stands at the position that cannot be read: its writer was cut off, or the disk failed."""
        rest = os.pread(self.descriptor, _FRAME.size, self.position)
        return bool(rest.strip(b"\0")) and not self.read(self.size(), 1, 0)

    def advance(self, read: list[Written]) -> None:
        """Takes what was read."""
        self.position += sum(len(written.record) for written in read) + len(read) * _FRAME.size
        self.taken += len(read)

    def note(self) -> None:
        """Writes into the file how many of its records are confirmed."""
        # A failing disk costs a repetition after a crash, and no more. Eight bytes within a page: whoever reads them
        # after a crash finds the old number or the new one.
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, _pack_confirmed(self.confirmed), _CONFIRMED_AT)

    def close(self) -> None:
        """Closes the file; it can be opened again."""
        owned, self._owned = self._owned, None
        if owned is not None:
            owned.close()

    def remove(self) -> None:
        """Deletes the file."""
        with contextlib.suppress(OSError):
            os.unlink(self.name, dir_fd=self._directory.number)


Write = Callable[[bytes], object]
"""Appends a frame; raises ``ValueError`` where the segment has no room for it."""


class MappedWriter:
    """Appends to a segment whose room was set aside: by copying memory, without a system call.

    What was copied is the kernel's; it survives the process, whatever ends it, and not a loss of power.
    """

    def __init__(self, segment: Segment) -> None:
        os.posix_fallocate(segment.descriptor, 0, limits.JOURNAL_SEGMENT_BYTES)
        segment.begin()
        self._map: Final = mmap(segment.descriptor, limits.JOURNAL_SEGMENT_BYTES)
        self._map.seek(BEGIN)
        # One call that copies and advances: nothing on this thread, as a signal handler, can come in between.
        self.write: Final[Write] = self._map.write
        self.end: Final = self._map.tell
        self.busy: Final = False

    def close(self) -> None:
        """Ends the writing; the file stays."""
        self._map.close()


class PlainWriter:
    """Appends to a segment by system calls, where the file system or the platform does not allow more."""

    def __init__(self, segment: Segment) -> None:
        segment.begin()
        self._segment: Final = segment
        self._end = BEGIN
        self.busy = False
        """A frame is being written; what a signal handler records meanwhile has to go elsewhere."""

    def write(self, data: bytes) -> None:
        """Appends a frame, or nothing of it."""
        if self.busy or self._end + len(data) > limits.JOURNAL_SEGMENT_BYTES:
            msg = "there is no room in the segment"
            raise ValueError(msg)
        self.busy = True
        done = 0
        try:
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
