"""Damaged files: reading goes on at the next record that checks out, and what is lost is counted."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel import limits
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.discovery import count_records, lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.reader import SegmentReader
from failpath_otel.journal.segments import frame as frame_module
from failpath_otel.journal.segments import segment as segment_module
from failpath_otel.journal.segments.frame import pack_frame
from tests.journal.conftest import BINDING
from tests.journal.reading import appended, take

NewJournal = Callable[..., Journal]
HEADER = 16
FRAME = 12


def a_record(number: int, size: int = 60) -> bytes:
    return b'{"number":%06d,"text":"' % number + b"x" * size + b'"}'


_LATER = int(time.time()) + 1_000
"""A time that a record can have behind those that the tests write."""

LENGTH = FRAME + len(a_record(0))
"""Bytes of one record with its frame."""


def leave(base: Path, *records: bytes) -> Path:
    """The only file of a gone process that has recorded these, or by default ten."""
    journal = Journal(str(base), BINDING, lambda _: None)
    for record in records or [a_record(number) for number in range(10)]:
        assert journal.append(record)
    journal.reset_in_child()
    [path] = base.glob("*/*.records")
    return path


def change(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path: Path, at: int, bit: int = 4) -> None:
    with path.open("rb") as file:
        file.seek(at)
        [before] = file.read(1)
    change(path, at, bytes([before ^ bit]))


def read_all(log: SegmentReader) -> tuple[list[bytes], int]:
    """All records that can be read, and how many are reported as damaged."""
    found: list[bytes] = []
    lost = 0
    while True:
        read = log.read(512, 0, appended(log))
        assert log.take(read)
        if read.segment is None:
            return found, lost
        if read.lost:
            assert read.reason == "damaged"
        lost += read.lost
        found += [each.record for each in read.records]


def adopted(base: Path) -> Orphan:
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    return orphan


def found_in(base: Path) -> tuple[list[bytes], int]:
    orphan = adopted(base)
    try:
        return read_all(orphan)
    finally:
        orphan.close()


@pytest.mark.usefixtures("small_segments")
def test_a_flipped_bit_costs_its_record_alone_wherever_it_is(base: Path) -> None:
    path = leave(base)
    records = [a_record(number) for number in range(10)]
    for offset in range(3 * LENGTH, 4 * LENGTH):
        flip(path, HEADER + offset)
        assert found_in(base) == (records[:3] + records[4:], 1), offset
        flip(path, HEADER + offset)
    assert found_in(base) == (records, 0)


@pytest.mark.parametrize("number", [0, 9])
@pytest.mark.usefixtures("small_segments")
def test_a_flipped_bit_of_the_first_and_of_the_last_record_is_damage(base: Path, number: int) -> None:
    path = leave(base)
    records = [a_record(each) for each in range(10) if each != number]
    for offset in range(number * LENGTH, (number + 1) * LENGTH):
        flip(path, HEADER + offset)
        assert found_in(base) == (records, 1), offset
        flip(path, HEADER + offset)
        change(path, 8, b"\0" * 8)  # what was passed over at the beginning is confirmed


def test_neighbours_that_are_damaged_are_counted_each(base: Path) -> None:
    path = leave(base)
    for number in (3, 4, 5, 8):
        flip(path, HEADER + number * LENGTH + 40)
    assert found_in(base) == ([a_record(number) for number in (0, 1, 2, 6, 7, 9)], 4)


@pytest.mark.parametrize(("begin", "end"), [(250, 251), (250, 500), (0, 300), (LENGTH, 4 * LENGTH)])
def test_a_gap_of_zeros_is_not_taken_for_the_end(base: Path, begin: int, end: int) -> None:
    path = leave(base)
    change(path, HEADER + begin, b"\0" * (end - begin))
    whole = [number for number in range(10) if (number + 1) * LENGTH <= begin or number * LENGTH >= end]
    found, lost = found_in(base)
    assert found == [a_record(number) for number in whole]
    assert 1 <= lost <= 10 - len(whole)


def test_a_page_that_a_disk_has_lost_at_the_end_is_damage_and_no_record_that_was_cut_off(base: Path) -> None:
    path = leave(base, *(a_record(number) for number in range(100)))
    content = path.read_bytes().rstrip(b"\0")
    change(path, len(content) - 5_000, b"\0" * 4_980)
    found, lost = found_in(base)
    assert found == [a_record(number) for number in range(len(found))]
    assert lost >= 1


@pytest.mark.parametrize("cut", [1, 2, 20, LENGTH - FRAME - 1, LENGTH - 5, LENGTH - 1])
def test_a_last_record_that_was_cut_off_is_no_damage_by_zeros_or_by_the_end_of_the_file(base: Path, cut: int) -> None:
    path = leave(base)
    end = HEADER + 10 * LENGTH
    change(path, end - cut, b"\0" * cut)
    expected = [a_record(number) for number in range(9)], 0
    assert found_in(base) == expected
    os.truncate(path, end - cut)
    assert found_in(base) == expected


@pytest.mark.parametrize(
    "mark", [b"\xff" * 8, b"\x01" + b"\0" * 7, b"\0" * 4 + b"\x01" + b"\0" * 3, b"\x7f" * 4 + b"\0" * 4]
)
def test_a_damaged_count_of_what_is_confirmed_costs_no_record_and_is_said(
    base: Path, mark: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = leave(base)
    change(path, 8, mark)
    assert found_in(base) == ([a_record(number) for number in range(10)], 0)
    [line] = [message for message in caplog.messages if "header" in message]
    assert "the header of 00000001.records" in line
    assert path.parent.name in line


@pytest.mark.usefixtures("small_segments")
def test_a_flipped_bit_of_the_header_costs_no_record_that_was_not_confirmed(base: Path) -> None:
    journal = Journal(str(base), BINDING, lambda _: None)
    for number in range(10):
        assert journal.append(a_record(number))
    take(journal, records=4)
    journal.confirm(4)
    journal.reset_in_child()
    [path] = base.glob("*/*.records")
    assert found_in(base)[0] == [a_record(number) for number in range(4, 10)]
    for offset in range(HEADER):
        for bit in (1, 128):  # of each byte
            flip(path, offset, bit)
            found, lost = found_in(base)
            assert found[-6:] == [a_record(number) for number in range(4, 10)], offset
            assert lost == 0
            flip(path, offset, bit)


@pytest.mark.parametrize("header", [b"\0" * HEADER, b"\xff" * HEADER])
def test_a_file_is_known_by_its_records_where_nothing_of_its_header_is_left(base: Path, header: bytes) -> None:
    path = leave(base)
    change(path, 0, header)
    flip(path, HEADER + 20)
    assert found_in(base) == ([a_record(number) for number in range(1, 10)], 1)


@pytest.mark.usefixtures("small_segments")
def test_what_is_damaged_is_passed_over_once_and_the_rest_comes_once(base: Path) -> None:
    """Of two that come after each other, whatever the first one has confirmed."""
    records = [a_record(number) for number in range(10)]
    for confirmed in range(9):
        path = leave(base)
        flip(path, HEADER + 3 * LENGTH + 40)
        flip(path, HEADER + 7 * LENGTH + 1)
        first = adopted(base)
        taken: list[bytes] = []
        lost = 0
        while len(taken) < confirmed or not confirmed:
            read = first.read(1, 0)
            first.take(read)
            lost += read.lost
            taken += [each.record for each in read.records]
            first.confirm(len(read.records))
            if not confirmed:
                break
        first.close()
        found, later = found_in(base)
        assert taken[:confirmed] + found == [*records[:3], *records[4:7], *records[8:]] or not confirmed, confirmed
        assert lost + later == 2, confirmed
        for rest in lock_orphans(str(base), BINDING, lambda *_: None):
            rest.remove()


def test_records_that_can_be_read_are_counted_as_waiting_whatever_is_damaged(base: Path) -> None:
    path = leave(base)
    for number in (0, 4):
        flip(path, HEADER + number * LENGTH + 30)
    assert count_records(str(base), BINDING) == 8


class Work:
    """Counts the bytes that are checksummed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        for module in (segment_module, frame_module):
            monkeypatch.setattr(module, "crc32", self)

    def __call__(self, data: Any, start: int = 0) -> int:
        self.bytes += len(data)
        return crc32(data, start)


def a_lure(length: int, checksum: int = 0) -> bytes:
    """What looks like a record of so many bytes, and is none."""
    return pack_frame(length, checksum, _LATER) + b"{"


LURES = {
    "large ones": a_lure(limits.MAX_RECORD_BYTES),
    "small ones": a_lure(1),
    "after a record": pack_frame(2, crc32(b"{}", _LATER), _LATER) + b"{}" + a_lure(limits.MAX_RECORD_BYTES),
    "as close as can be": b"\1\0{",
    "braces": b"{",
    "zeros": b"\0",
}


@pytest.mark.parametrize("kind", LURES)
def test_hostile_bytes_cost_checksums_of_a_few_times_their_size_and_no_record_behind_them(
    base: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = leave(base, a_record(0))
    lure = LURES[kind]
    size = 300_000
    begin = HEADER + LENGTH
    change(path, begin, (lure * (size // len(lure) + 1))[:size])
    seconds = _LATER + 1
    record = a_record(1)
    genuine = pack_frame(len(record), crc32(record, seconds), seconds) + record
    change(path, begin + size + 70_000, genuine * 20)
    work = Work(monkeypatch)
    found, lost = found_in(base)
    assert found[0] == a_record(0)
    assert found[-20:] == [record] * 20
    assert lost >= 1
    assert work.bytes <= 8 * path.stat().st_size
    assert work.bytes < 8 * 1_048_576


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_whatever_is_written_into_a_file_all_that_it_left_whole_is_found_in_order_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    base = tmp_path_factory.mktemp("any")
    records = [a_record(number, data.draw(st.integers(0, 90))) for number in range(12)]
    with patch.object(limits, "JOURNAL_SEGMENT_BYTES", 4_096):
        path = leave(base, *records)
    ends = [HEADER]
    for record in records:
        ends.append(ends[-1] + FRAME + len(record))
    harmed: set[int] = set()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(HEADER, ends[-1] - 1))
        noise = data.draw(st.binary(min_size=1, max_size=200) | st.integers(1, 300).map(bytes))[: ends[-1] - at]
        before = path.read_bytes()
        change(path, at, noise)
        changed = {each for each in range(at, at + len(noise)) if before[each] != noise[each - at]}
        harmed |= {index for index in range(12) if changed & set(range(ends[index], ends[index + 1]))}
    found, lost = found_in(base)
    whole = path.read_bytes()
    expected = [record for index, record in enumerate(records) if index not in harmed]
    again = [record for index, record in enumerate(records) if index in harmed and record in whole]
    assert [record for record in found if record not in again] == expected
    assert lost <= len(harmed)
    # Where nothing follows, it looks as if its writer was cut off.
    last = max((index for index in range(12) if ends[index] < len(whole.rstrip(b"\0"))), default=0)
    assert lost or again or min(harmed, default=12) >= last


# A process's own journal.


def own_file(base: Path) -> Path:
    return min(base.glob("*/*.records"))


def test_a_flipped_bit_in_the_own_file_costs_that_record_and_is_counted(new_journal: NewJournal, base: Path) -> None:
    journal = new_journal()
    for number in range(10):
        assert journal.append(a_record(number))
    flip(own_file(base), HEADER + 3 * LENGTH + 40)
    assert read_all(journal) == ([a_record(number) for number in range(10) if number != 3], 1)
    assert journal.append(a_record(10))
    assert read_all(journal) == ([a_record(10)], 0)
    assert journal.appended == journal.taken == 11
    journal.confirm(10)
    remove = journal.close_if_empty()
    assert remove is not None
    remove()
    assert list(base.iterdir()) == []


@pytest.mark.parametrize(
    "harmed",
    [{0}, {9}, {3, 4}, {8, 9}, {2, 5, 6, 9}, set(range(10))],
    ids=lambda each: "-".join(map(str, sorted(each))),
)
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.usefixtures("small_segments")
def test_all_that_is_damaged_in_the_own_file_is_counted_exactly(
    new_journal: NewJournal, base: Path, harmed: set[int], *, zeros: bool, rolled: bool
) -> None:
    journal = new_journal()
    for number in range(10):
        assert journal.append(a_record(number))
    total = 10
    while rolled and journal.current.writer is not None and len(journal._unconfirmed) == 1:
        assert journal.append(a_record(total))
        total += 1
    for number in harmed:
        if zeros:
            change(own_file(base), HEADER + number * LENGTH, b"\0" * LENGTH)
        else:
            flip(own_file(base), HEADER + number * LENGTH + 40)
    found, lost = read_all(journal)
    assert found == [a_record(number) for number in range(total) if number not in harmed]
    assert lost == len(harmed)
    assert journal.appended == journal.taken == total
    assert journal.append(a_record(99))
    assert read_all(journal) == ([a_record(99)], 0)


@pytest.mark.usefixtures("small_segments")
def test_what_stands_behind_all_records_of_the_own_file_costs_none(new_journal: NewJournal, base: Path) -> None:
    journal = new_journal()
    number = 0
    while len(journal._unconfirmed) < 2:
        assert journal.append(a_record(number, 1_000))
        number += 1
    change(own_file(base), 4_000, b"noise")
    assert read_all(journal) == ([a_record(each, 1_000) for each in range(number)], 0)


@pytest.mark.parametrize("calls", [1, 2])
def test_a_disk_that_cannot_be_read_is_no_record_that_was_cut_off(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, calls: int
) -> None:
    leave(base)
    orphan = adopted(base)
    pread, made = os.pread, 0

    def failing(*arguments: int) -> bytes:
        nonlocal made
        made += 1
        if made > calls:
            raise OSError(errno.EIO, "the disk")
        return pread(*arguments)

    monkeypatch.setattr(os, "pread", failing)
    found, lost = read_all(orphan)
    orphan.close()
    assert (len(found), lost) == (0 if calls == 1 else 10, 0)
    assert (orphan.damaged_files, orphan.retry_later) == (1, True)
    assert "is left alone: the disk" in caplog.text
    assert "cut off" not in caplog.text


def test_lengths_behind_one_that_cannot_be_are_not_followed() -> None:
    frames = [pack_frame(len(record), 0, _LATER) + record for record in map(a_record, range(3))]
    whole = b"".join(frames)
    assert frame_module.count_lost(whole, 0, len(whole)) == 3
    nothing = bytes(frame_module.FRAME_BYTES)
    assert frame_module.count_lost(frames[0] + nothing + frames[2], 0, len(whole)) == 1


def test_a_file_that_is_larger_than_a_segment_is_left_alone_and_counted_as_damaged(base: Path) -> None:
    path = leave(base)
    os.truncate(path, limits.JOURNAL_SEGMENT_BYTES + 1)
    orphan = adopted(base)
    assert read_all(orphan) == ([], 0)
    assert orphan.damaged_files == 1
    orphan.close()
    assert path.exists()


def test_a_record_that_comes_while_the_end_is_looked_at_is_not_passed_over(
    new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = new_journal()
    assert journal.append(a_record(0))
    assert take(journal) == [a_record(0)]
    read = segment_module.Segment.read
    late = [a_record(1), a_record(2)]

    def slowly(segment: segment_module.Segment, *arguments: Any) -> Any:
        found = read(segment, *arguments)
        if late:
            assert journal.append(late.pop(0))
        return found

    monkeypatch.setattr(segment_module.Segment, "read", slowly)
    assert read_all(journal) == ([], 0)
    found, lost = read_all(journal)
    assert (found, lost) == ([a_record(1), a_record(2)], 0)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize("call", ["open_file", "pread"])
def test_a_file_that_cannot_be_read_for_now_is_found_again_with_all_of_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = leave(tmp_path)

    def fails(*_: object) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(LockedDirectory if call == "open_file" else os, call, fails)
        [orphan] = lock_orphans(str(tmp_path), BINDING, lambda *_: None)
        assert read_all(orphan) == ([], 0)
        assert (orphan.retry_later, orphan.damaged_files) == (True, 1)
        orphan.remove()
    assert path.exists()
    [orphan] = lock_orphans(str(tmp_path), BINDING, lambda *_: None)
    assert read_all(orphan) == ([a_record(number) for number in range(10)], 0)
    orphan.confirm(10)
    orphan.remove()
    assert list(tmp_path.iterdir()) == []
