"""The journal on a file system of which nothing is asked that Windows does not have; and there, on Windows itself."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest

from failpath_otel import limits
from failpath_otel.journal.directory import LockedDirectory, UnusableError, list_journals, open_base
from failpath_otel.journal.files import port, portable, windows_lock
from failpath_otel.journal.files.file_system import Folder
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from tests.journal import test_damage, test_directory, test_journal, test_survey
from tests.journal.conftest import BINDING
from tests.journal.reading import take_all
from tests.journal.test_journal import NewJournal, files, left, numbered, orphans
from tests.journal.test_journal_stateful import Journals
from tests.journal.windows import WindowsOs, windows
from tests.opcodes import trace_opcodes
from tests.properties.tape import properties

# The tests of the journal, run once more there.
test_damaged_count = test_damage.test_a_damaged_count_of_what_is_confirmed_costs_no_record_and_is_said
test_damaged_neighbours = test_damage.test_neighbours_that_are_damaged_are_counted_each
test_unknown_file = test_directory.test_a_file_that_is_not_known_stays_with_its_lock_when_the_journal_is_removed
test_locked_directory = test_directory.test_a_locked_directory_is_listed_and_cannot_be_locked_again
test_other_directories = test_directory.test_what_does_not_look_like_a_journal_is_left_alone
test_unfinished = test_directory.test_what_was_begun_and_never_finished_is_removed_after_a_while
test_full_segments = test_journal.test_a_record_that_fills_a_segment_to_its_last_byte_is_read_by_both_sides
test_confirmed_at_roll = test_journal.test_a_segment_may_be_confirmed_while_the_next_one_is_begun
test_half = test_journal.test_a_segment_that_is_dropped_while_a_batch_of_it_is_in_flight_costs_the_rest_of_it
test_confirmed = test_journal.test_confirmed_segments_are_deleted_and_the_directory_with_the_last_of_them
test_dropped = test_journal.test_over_the_limit_the_oldest_segment_is_dropped_and_its_records_are_reported
test_order = test_journal.test_records_come_back_in_their_order
test_largest_records = test_journal.test_records_of_exactly_the_limit_are_read_by_any_budget
test_next_process = test_journal.test_the_next_process_gets_what_was_not_confirmed
test_surveyed = test_survey.test_journals_of_living_processes_and_of_those_that_have_ended_are_counted


class JournalsOnWindows(Journals):
    """Processes there that are killed between any two calls, and in the midst of one."""

    on_windows = True


if sys.platform != "win32":  # many processes in one, by functions of POSIX
    TestKills = JournalsOnWindows.TestCase
    TestKills.settings = properties(15, steps=30)


@pytest.fixture(autouse=True)
def there(request: pytest.FixtureRequest) -> Iterator[WindowsOs | None]:
    if sys.platform == "win32" or request.cls is TestKills:  # it is there, or goes there itself
        yield None
        return
    with windows() as there:
        yield there


@pytest.fixture
def opened(base: Path, there: WindowsOs) -> Iterator[Folder]:
    folder = open_base(str(base), create=True)
    yield folder
    folder.close()


@pytest.mark.usefixtures("small_segments")
def test_a_file_that_another_process_reads_cannot_be_deleted_and_is_not_delivered_again(
    new_journal: NewJournal, base: Path
) -> None:
    journal = new_journal()
    for number in range(200):
        assert journal.append(numbered(number))
    paths = sorted(base.glob("*/*.records"))
    folder = port.file_system.open_folder(str(paths[0].parent))
    readers = [folder.open(path.name, os.O_RDONLY) for path in paths]
    journal.confirm(len(take_all(journal)))
    remove = journal.close_if_empty()
    assert remove is not None
    remove()
    assert sorted(base.glob("*/*.records")) == paths
    for reader in readers:
        os.close(reader)
    assert left(base) == []
    for orphan in orphans(base):
        orphan.remove()
    assert files(base) == []


def test_a_dropped_segment_that_cannot_be_deleted_is_not_delivered_either(
    new_journal: NewJournal, base: Path, small_segments: None
) -> None:
    dropped: list[int] = []
    journal = new_journal(overflow=dropped.append)
    assert journal.append(numbered(0))
    [first] = base.glob("*/*.records")
    reader = port.file_system.open_folder(str(first.parent)).open(first.name, os.O_RDONLY)
    for number in range(1, 300):
        assert journal.append(numbered(number))
    journal.maintain()
    journal.reset_in_child()
    os.close(reader)
    assert first.exists()
    assert left(base) == [numbered(number) for number in range(sum(dropped), 300)]


def test_a_directory_that_is_being_made_is_left_alone_until_it_is_old(base: Path, opened: Folder) -> None:
    begun = base / f"v3.{BINDING}.1.aa"
    begun.mkdir()
    for seconds, stays in ((None, True), (0, False)):
        if seconds is not None:
            os.utime(begun, (seconds, seconds))
        for name, _ in list(list_journals(opened)):
            assert LockedDirectory.try_lock(opened, name) is None
        assert begun.exists() == stays


def test_where_another_process_locks_a_directory_before_its_own_does_that_one_makes_another(
    base: Path, opened: Folder
) -> None:
    taken: list[LockedDirectory] = []

    def late(descriptor: int) -> bool:
        if not taken:
            taken.append(None)  # type: ignore[arg-type] # in the midst of it
            [(name, _)] = list_journals(opened)
            found = LockedDirectory.try_lock(opened, name)
            assert found is not None
            taken[0] = found
        return windows_lock.try_lock(descriptor)

    with patch.object(port, "file_system", portable.PortableFiles(late)):
        made = LockedDirectory.create(str(base), BINDING)
    assert taken[0].name != made.name
    assert taken[0].remove()
    assert [name for name, _ in list_journals(opened)] == [made.name]
    assert made.remove()
    assert list(base.iterdir()) == []


def test_a_directory_that_another_process_locks_while_it_is_removed_is_removed_by_that_one(
    base: Path, opened: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = LockedDirectory.create(str(base), BINDING)
    others: list[LockedDirectory | None] = []
    delete = LockedDirectory.delete

    def late(this: LockedDirectory, name: str) -> None:
        if not others:
            others.append(LockedDirectory.try_lock(opened, directory.name))
        delete(this, name)

    monkeypatch.setattr(LockedDirectory, "delete", late)
    directory.remove()
    [other] = others
    assert other is not None
    assert other.remove()
    assert list(base.iterdir()) == []


def test_symbolic_links_are_refused(base: Path, opened: Folder, tmp_path: Path) -> None:
    try:
        (tmp_path / "link").symlink_to(base)
    except OSError:
        pytest.skip("this user may not make symbolic links")
    with pytest.raises(NotADirectoryError):
        open_base(str(tmp_path / "link"), create=False)
    directory = LockedDirectory.create(str(base), BINDING)
    directory.close()
    lock = base / directory.name / "lock"
    lock.rename(base / "elsewhere")
    lock.symlink_to(base / "elsewhere")
    with pytest.raises(UnusableError, match="no regular file"):
        LockedDirectory.try_lock(opened, directory.name)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        opened.folder(directory.name).open("lock", os.O_RDWR)


def test_room_behind_the_records_of_an_orphan_is_given_back_and_its_times_stay(
    new_journal: NewJournal, base: Path
) -> None:
    journal = new_journal()
    assert journal.append(numbered(0))
    journal.reset_in_child()
    [path] = base.glob("*/*.records")
    os.truncate(path, limits.JOURNAL_SEGMENT_BYTES)
    for each in (path, path.parent):
        os.utime(each, (1_700_000_000, 1_700_000_000))
    [orphan] = orphans(base)
    orphan.trim()
    assert path.stat().st_size == 4_096
    assert {each.stat().st_mtime for each in (path, path.parent)} == {1_700_000_000}
    assert take_all(orphan) == [numbered(0)]
    orphan.close()


def test_an_error_that_is_not_that_of_a_held_lock_is_raised(
    base: Path, there: WindowsOs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(sys.modules["msvcrt"], "locking", fails)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        LockedDirectory.create(str(base), BINDING)
    assert list(base.iterdir()) == []


def test_a_handler_between_any_two_opcodes_does_not_move_what_is_read_and_written(tmp_path: Path) -> None:
    """It reads and writes elsewhere in the same file."""
    system = port.file_system
    descriptor = system.open_folder(str(tmp_path)).open("x", os.O_RDWR | os.O_CREAT)
    handled = [0]

    def handler() -> None:
        handled[0] += 1
        assert system.read_at(descriptor, 4, 40) in {b"", bytes(4), b"4444"}
        assert system.write_at(descriptor, b"8888", 80) == 4

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != portable.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            sys.settrace(None)
            handler()
            sys.settrace(trace)
        return trace

    before = sys.gettrace()
    trace_opcodes(trace)
    try:
        for at in range(0, 80, 4):
            assert system.write_at(descriptor, b"%d" % (at // 10) * 4, at) == 4
            assert system.read_at(descriptor, 4, at) == b"%d" % (at // 10) * 4
    finally:
        sys.settrace(before)
    assert handled[0] > 200
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == b"".join(b"%d" % (at // 10) * 4 for at in range(0, 80, 4)) + b"8888"


def test_nothing_is_mapped_and_the_log_gives_the_reason(
    new_journal: NewJournal, caplog: pytest.LogCaptureFixture
) -> None:
    journal = new_journal()
    assert journal.append(numbered(0))
    assert isinstance(journal.current.writer, SyscallWriter)
    journal.maintain()
    [said] = caplog.messages
    assert "is written by system calls" in said
