"""Damaged files of compact records, which have zeros in their head: as for records that are JSON, none is invented."""

import os
from pathlib import Path

import pytest

from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.records.compact import json_of, run_names, running_of, step_name, success_of
from failpath_otel.step_state import NO_PARENT
from tests.journal.conftest import BINDING
from tests.journal.reading import take_all

HEADER, FRAME = 16, 12
STARTED = 1_796_000_000_000_000_000
IDS = bytes(range(1, 25)) + NO_PARENT


def a_record(number: int) -> bytes:
    names = run_names("checkout", "order-17"), step_name(f"step-{number:02}")
    running = running_of(b'{"pid":7,"host":"h"}', *names, b'{"text":"whole"}', IDS, STARTED + number)
    return success_of(running, STARTED + 5 * 10**9) if number % 2 else running


RECORDS = [a_record(number) for number in range(10)]
LENGTH = FRAME + len(RECORDS[0])


@pytest.fixture
def path(base: Path) -> Path:
    """The only file of a gone process with these records."""
    journal = Journal(str(base), BINDING, lambda _: None)
    for record in RECORDS:
        assert journal.append(record)
    journal.reset_in_child()
    [found] = base.glob("*/*.records")
    return found


def found_in(base: Path) -> tuple[list[bytes], int]:
    """Return the records that are found, and how many are counted as lost."""
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    records: list[bytes] = []
    lost = 0
    try:
        while (read := orphan.read(512, 0)).segment is not None:
            assert orphan.take(read)
            records += [each.record for each in read.records if not read.lost]
            lost += read.lost
        return records, lost
    finally:
        orphan.close()


def change(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.usefixtures("small_segments")
def test_a_flipped_bit_costs_its_record_alone_wherever_it_is(base: Path, path: Path) -> None:
    for offset in range(3 * LENGTH, 4 * LENGTH):
        before = path.read_bytes()[HEADER + offset]
        change(path, HEADER + offset, bytes([before ^ 4]))
        assert found_in(base) == (RECORDS[:3] + RECORDS[4:], 1), offset
        change(path, HEADER + offset, bytes([before]))
    assert found_in(base) == (RECORDS, 0)


def test_a_last_record_that_was_cut_off_anywhere_is_no_damage(base: Path, path: Path) -> None:
    end = HEADER + 10 * LENGTH
    whole = path.read_bytes()
    for cut in range(1, LENGTH):
        change(path, end - cut, b"\0" * cut)
        assert found_in(base) == (RECORDS[:9], 0), cut
        change(path, 0, whole)
    os.truncate(path, end - 30)
    assert found_in(base) == (RECORDS[:9], 0)


def test_a_last_record_of_which_sixteen_bytes_are_missing_was_cut_off_and_one_with_other_bytes_is_damaged(
    base: Path, path: Path
) -> None:
    end, whole = HEADER + 10 * LENGTH, path.read_bytes()
    for at in range(end - LENGTH + FRAME + 16, end - 16, 16):  # the copying may go on from the end, or from anywhere
        change(path, at, b"\0" * 16)
        assert found_in(base) == (RECORDS[:9], 0), at
        change(path, at, b"\xee" * 16)
        assert found_in(base) == (RECORDS[:9], 1), at
        change(path, 0, whole)


def test_a_file_may_hold_compact_records_and_json_in_one_order(base: Path) -> None:
    mixed = [RECORDS[0], b'{"number":1}', RECORDS[1], RECORDS[2], b'{"number":2}']
    journal = Journal(str(base), BINDING, lambda _: None)
    for record in mixed:
        assert journal.append(record)
    journal.reset_in_child()
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    assert take_all(orphan) == mixed
    orphan.confirm(len(mixed))
    orphan.remove()


@pytest.mark.parametrize("budget", [1, 500, 1_000, 2_000, 10_000])
def test_the_budget_holds_for_the_json_that_is_made_of_them(base: Path, path: Path, budget: int) -> None:
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    found: list[bytes] = []
    while (read := orphan.read(512, budget)).records:
        assert orphan.take(read)
        made = [json_of(each.record) for each in read.records]
        assert len(made) == 1 or sum(len(each) + 1 for each in made) <= budget
        found += [each.record for each in read.records]
    assert found == RECORDS
    orphan.close()
    assert path.exists()
