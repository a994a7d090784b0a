"""One file of a journal: frames, what is torn, and the watermark."""

import os
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.journal.files import port
from failpath_otel.journal.files.file_system import Folder
from failpath_otel.journal.segments.frame import FRAME_BYTES, pack_frame
from failpath_otel.journal.segments.frame_count import FrameCount
from failpath_otel.journal.segments.segment import HEADER_BYTES, Segment
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from tests.journal.test_journal import numbered


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Folder]:
    folder = port.file_system.open_folder(str(tmp_path))
    yield folder
    folder.close()


@pytest.fixture
def segment(directory: Folder) -> Iterator[Segment]:
    """A segment that is written by system calls."""
    made = Segment(directory, "x", directory.open("x", os.O_RDWR | os.O_CREAT))
    yield made
    made.close()


def frame(record: bytes, seconds: int = 7) -> bytes:
    from zlib import crc32  # noqa: PLC0415

    return pack_frame(len(record), crc32(record, seconds), seconds) + record


def fill(segment: Segment, *records: bytes) -> int:
    writer = SyscallWriter(segment)
    for record in records:
        writer.append(frame(record))
    return writer.end()


def again(segment: Segment, directory: Folder) -> Segment:
    """The same file, as another process opens it."""
    return Segment(directory, segment.name, directory.open(segment.name, os.O_RDWR))


@pytest.mark.parametrize(
    ("budget", "count"), [(0, 10), (1, 1), (56, 1), (57, 1), (113, 1), (114, 2), (170, 2), (171, 3), (10_000, 10)]
)
def test_a_budget_counts_each_record_with_its_comma_and_one_comes_in_any_case(
    segment: Segment, budget: int, count: int
) -> None:
    fill(segment, *(numbered(number) for number in range(10)))
    assert len(segment.read(segment.size(), 512, budget)) == count


def test_what_was_confirmed_is_passed_over_by_the_next_reader(segment: Segment, directory: Folder) -> None:
    fill(segment, *(numbered(number) for number in range(10)))
    segment.advance(segment.read(segment.size(), 6, 0))
    segment.confirm(4)
    segment.write_confirmed()
    other = again(segment, directory)
    assert other.read_header()
    assert [each.record for each in other.read(other.size(), 2, 0)] == [numbered(4), numbered(5)]
    other.close()


def test_a_file_that_was_cut_off_before_what_is_confirmed_has_no_more_records(
    segment: Segment, directory: Folder
) -> None:
    fill(segment, *(numbered(number) for number in range(10)))
    segment.advance(segment.read(segment.size(), 8, 0))
    segment.confirm(8)
    segment.write_confirmed()
    os.ftruncate(segment.descriptor, 300)
    other = again(segment, directory)
    assert other.read_header()
    assert other.read(other.size(), 2, 0) == []
    assert other.find_gap(other.size()) is None
    other.close()


@pytest.mark.parametrize("header", [b"", b"\0", b"\0" * 16])
def test_one_that_was_never_begun_has_no_records(segment: Segment, header: bytes) -> None:
    os.pwrite(segment.descriptor, header, 0)
    assert segment.read_header()
    assert segment.read(segment.size(), 512, 0) == []


@pytest.mark.parametrize("header", [b"x", b"failpath", b"Failpath" + b"\0" * 8, b"PK\x03\x04" * 100])
def test_another_file_is_none(segment: Segment, header: bytes) -> None:
    os.pwrite(segment.descriptor, header, 0)
    assert not segment.read_header()


@given(cut=st.integers(0, 400), noise=st.binary(max_size=60))
def test_wherever_it_is_cut_off_and_whatever_follows_only_whole_records_are_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{os.getpid()}.segment"
    folder = port.file_system.open_folder(str(path.parent))
    segment = Segment(folder, path.name, os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    try:
        records = [numbered(number) for number in range(6)]
        end = fill(segment, *records)
        os.ftruncate(segment.descriptor, max(end - cut, HEADER_BYTES))
        os.pwrite(segment.descriptor, noise, max(end - cut, HEADER_BYTES))
        found = [each.record for each in segment.read(segment.size(), 512, 0)]
        whole = max(end - cut - HEADER_BYTES, 0) // len(frame(records[0]))
        assert found[:whole] == records[:whole]
        assert found == records[: len(found)], "a record was invented"
    finally:
        segment.close()
        folder.close()


def test_one_changed_bit_of_a_record_or_its_time_is_damage(segment: Segment) -> None:
    fill(segment, numbered(1))
    for offset in range(HEADER_BYTES, segment.size()):
        [before] = os.pread(segment.descriptor, 1, offset)
        os.pwrite(segment.descriptor, bytes([before ^ 4]), offset)
        assert segment.read(segment.size(), 512, 0) == [], offset
        assert segment.find_gap(segment.size()) == (segment.size(), 1), offset
        os.pwrite(segment.descriptor, bytes([before]), offset)
        segment.reset()
    assert len(segment.read(segment.size(), 512, 0)) == 1


def test_closing_twice_closes_nothing_else(segment: Segment) -> None:
    segment.close()
    reading, writing = os.pipe()
    segment.close()
    segment.write_confirmed()
    os.fstat(reading), os.fstat(writing)
    os.close(reading)
    os.close(writing)


def test_a_file_larger_than_any_segment_that_cannot_be_deleted_raises_nothing(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(segment.descriptor, 5 << 30)  # more than the header has digits for; takes no room

    def refuse(_folder: Folder, name: str) -> None:
        raise PermissionError(name)

    monkeypatch.setattr(type(segment._folder), "delete", refuse)
    segment.remove()


def test_frames_before_any_place_are_counted_whatever_was_counted_before() -> None:
    ends = [HEADER_BYTES]
    with mmap(-1, limits.JOURNAL_SEGMENT_BYTES) as content:
        for size in range(1, 300):
            content[ends[-1] : ends[-1] + 4] = size.to_bytes(4, "little")
            ends.append(ends[-1] + FRAME_BYTES + size)
        count = FrameCount()
        for number in [*range(0, 300, 7), *range(300), *reversed(range(300))]:
            assert count.up_to(content, ends[number]) == number
            assert count.up_to(content, ends[number] + 1) is None
        assert count.known == 299
