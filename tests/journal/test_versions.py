"""Journals of the format before, which an earlier version has left: they are delivered, and stay as that reads them."""

from pathlib import Path

import pytest

from failpath_otel.journal.discovery import count_records, lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.orphan import Orphan
from tests.journal.conftest import BINDING
from tests.journal.reading import take, take_all

RECORDS = [b'{"number":%d}' % number for number in range(10)]


def adopted(base: Path) -> Orphan:
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    return orphan


def count_in(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[8:16], "little")


@pytest.fixture
def counted(base: Path) -> Path:
    """The file of a gone process that had ten records in version 1, of which four are confirmed."""
    journal = Journal(str(base), BINDING, lambda _: None)
    for record in RECORDS:
        assert journal.append(record)
    journal.reset_in_child()
    [directory] = base.iterdir()
    assert directory.name.startswith("v3.")
    directory = directory.rename(base / directory.name.replace("v3.", "v1.", 1))
    [path] = directory.glob("*.records")
    write_count(path, 4)
    return path


def write_count(path: Path, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(8)
        file.write(count.to_bytes(8, "little"))


@pytest.mark.usefixtures("counted")
def test_what_is_not_confirmed_is_delivered(base: Path) -> None:
    assert count_records(str(base), BINDING) == 6
    orphan = adopted(base)
    assert take_all(orphan) == RECORDS[4:]
    assert orphan.damaged_files == 0
    orphan.confirm(6)
    orphan.remove()
    assert list(base.iterdir()) == []


def test_what_is_confirmed_is_noted_as_the_earlier_version_reads_it(base: Path, counted: Path) -> None:
    orphan = adopted(base)
    assert take(orphan, 5) == RECORDS[4:9]
    orphan.confirm(3)
    orphan.close()
    assert count_in(counted) == 7
    orphan = adopted(base)
    assert take_all(orphan) == RECORDS[7:]
    orphan.close()


def test_a_number_that_is_wrong_loses_nothing(base: Path, counted: Path) -> None:
    write_count(counted, 1 << 40)
    orphan = adopted(base)
    assert take_all(orphan) == RECORDS
    assert orphan.damaged_files == 1
    orphan.close()
