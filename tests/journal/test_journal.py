"""This process's own journal: appending, rolling over, dropping, confirming, closing, and what interrupts it."""

import errno
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from typing import Any, NoReturn
from zlib import crc32

import pytest

from failpath_otel import limits
from failpath_otel.journal import current as current_module
from failpath_otel.journal import journal as journal_module
from failpath_otel.journal import segment_factory as factory_module
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.segments import frame_count as frame_count_module
from failpath_otel.journal.segments import mapped as mapped_module
from failpath_otel.journal.segments import segment as segment_module
from failpath_otel.journal.segments.frame import pack_frame
from tests.journal.conftest import BINDING
from tests.journal.reading import take, take_all

NewJournal = Callable[..., Journal]


def files(base: Path) -> list[str]:
    return sorted(path.relative_to(base).as_posix().partition("/")[2] for path in base.rglob("*") if path.is_file())


def orphans(base: Path) -> list[Orphan]:
    return lock_orphans(str(base), BINDING, lambda *_: None)


def left(base: Path) -> list[bytes]:
    """What a process that comes after finds."""
    found: list[bytes] = []
    for orphan in orphans(base):
        found += take_all(orphan)
        orphan.close()
    return found


def descriptors() -> list[str]:
    """The numbers of this process's open files."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def numbered(number: int, size: int = 50) -> bytes:
    return b"%06d" % number + b"x" * size


def test_nothing_is_on_disk_before_the_first_record(new_journal: NewJournal, base: Path) -> None:
    journal = new_journal()
    assert not base.exists()
    assert journal.append(b"first")
    assert files(base) == ["00000001.records", "lock"]


def test_records_come_back_in_their_order(new_journal: NewJournal) -> None:
    journal = new_journal()
    for number in range(1_000):
        assert journal.append(numbered(number))
    assert take_all(journal) == [numbered(number) for number in range(1_000)]
    assert (journal.appended, journal.taken) == (1_000, 1_000)
    assert take(journal) == []


def test_modes_are_the_owners_alone_whatever_the_umask_is(new_journal: NewJournal, base: Path) -> None:
    above = base.parent / "state"
    before = os.umask(0)
    try:
        journal = Journal(str(above / "failpath-otel" / "journal"), BINDING, lambda _: None)
        assert journal.append(b"x")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [above, *above.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in above.rglob("*") if path.is_file()} == {0o600}
    journal.reset_in_child()


@pytest.mark.usefixtures("small_segments")
def test_a_record_that_fills_a_segment_to_its_last_byte_is_read_by_both_sides(
    new_journal: NewJournal, base: Path
) -> None:
    for short in range(14):
        journal = new_journal(f"{short:016d}")
        # Two records that leave `short` bytes; a frame has 12 beside the record, the header 16.
        room = limits.JOURNAL_SEGMENT_BYTES - 16 - 2 * 12 - short
        records = [b"a" * (room // 2), b"b" * (room - room // 2), b"c"]
        for record in records:
            assert journal.append(record)
        assert take_all(journal) == records
        journal.reset_in_child()
        [orphan] = lock_orphans(str(base), f"{short:016d}", lambda *_: None)
        assert take_all(orphan) == records
        orphan.close()


def test_records_of_exactly_the_limit_are_read_by_any_budget(new_journal: NewJournal, base: Path) -> None:
    journal = new_journal()
    record = b"x" * limits.MAX_RECORD_BYTES
    for _ in range(40):
        assert journal.append(record)
    assert [take(journal, budget=1) for _ in range(3)] == [[record]] * 3
    assert take(journal, budget=2 * limits.MAX_RECORD_BYTES + 1) == [record]
    assert take(journal, budget=2 * (limits.MAX_RECORD_BYTES + 1)) == [record] * 2
    assert len(take_all(journal)) == 34
    journal.reset_in_child()
    assert left(base) == [record] * 40


def test_what_could_never_be_read_is_not_taken(new_journal: NewJournal) -> None:
    journal = new_journal()
    assert not journal.append(b"x" * limits.JOURNAL_SEGMENT_BYTES)
    assert journal.append(b"small")


@pytest.mark.usefixtures("small_segments")
def test_confirmed_segments_are_deleted_and_the_directory_with_the_last_of_them(
    new_journal: NewJournal, base: Path
) -> None:
    journal = new_journal()
    for number in range(150):
        journal.append(numbered(number))
    before = files(base)
    read = take_all(journal)
    journal.confirm(len(read) - 1)
    assert files(base) == [before[-2], "lock"]
    assert journal.close_if_empty() is None, "a record is in flight"
    journal.confirm(1)
    remove = journal.close_if_empty()
    assert remove is not None
    remove()
    assert list(base.iterdir()) == []
    assert journal.append(b"later")
    assert take_all(journal) == [b"later"]


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("confirmed", [0, 1, 7, 57, 58, 100, 149])
def test_the_next_process_gets_what_was_not_confirmed(new_journal: NewJournal, base: Path, confirmed: int) -> None:
    journal = new_journal()
    for number in range(150):
        journal.append(numbered(number))
    for _ in range(confirmed):
        take(journal, records=1)
    journal.confirm(confirmed)
    take(journal)  # in flight
    journal.reset_in_child()
    assert left(base) == [numbered(number) for number in range(confirmed, 150)]


@pytest.mark.usefixtures("small_segments")
def test_over_the_limit_the_oldest_segment_is_dropped_and_its_records_are_reported(
    new_journal: NewJournal, base: Path
) -> None:
    overflows: list[int] = []
    journal = new_journal(overflow=overflows.append)
    for number in range(1_000):
        assert journal.append(numbered(number))
    journal.maintain()
    assert len(files(base)) - len(journal._factory.spares) == 4 + 1
    lost = 0
    while (read := journal.read(512, 0, journal.appended)).reason == "journal_full":
        assert journal.take(read)
        lost += read.lost
    assert lost == sum(overflows)
    assert take_all(journal) == [numbered(number) for number in range(lost, 1_000)]
    journal.reset_in_child()
    assert left(base) == [numbered(number) for number in range(lost, 1_000)]


@pytest.mark.usefixtures("small_segments")
def test_a_segment_that_is_dropped_while_a_batch_of_it_is_in_flight_costs_the_rest_of_it(
    new_journal: NewJournal,
) -> None:
    overflows: list[int] = []
    journal = new_journal(overflow=overflows.append)
    for number in range(10):
        journal.append(numbered(number))
    assert take(journal, records=5) == [numbered(number) for number in range(5)]
    stale = journal.read(512, 0, journal.appended)
    number = 10
    while not overflows:
        journal.append(numbered(number))
        number += 1
    assert not journal.take(stale), "it was dropped meanwhile"
    journal.maintain()
    read = journal.read(512, 0, journal.appended)
    assert (read.reason, read.lost) == ("journal_full", overflows[0])
    assert journal.take(read)
    journal.confirm(5)
    assert take_all(journal) == [numbered(each) for each in range(5 + overflows[0], number)]


@pytest.mark.usefixtures("small_segments")
def test_a_spare_segment_is_prepared_before_it_is_needed_and_begun_without_a_system_call(
    new_journal: NewJournal, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = new_journal()
    while journal.current.writer is None or journal.current.writer.end() < 2_100:
        journal.append(numbered(1))
    journal.maintain()
    assert files(base) == ["00000001.records", "00000002.records", "lock"]
    for name in ("open", "rename", "pwrite", "fstat", "posix_fallocate"):
        replace(monkeypatch, name, fault(errno.EIO))
    while len(journal._unconfirmed) == 1:
        assert journal.append(numbered(2))
    monkeypatch.undo()
    assert files(base) == ["00000001.records", "00000002.records", "lock"]


@pytest.mark.usefixtures("small_segments")
def test_a_spare_segment_that_was_deleted_by_others_is_not_missed(new_journal: NewJournal, base: Path) -> None:
    journal = new_journal()
    while not journal._factory.spares:
        assert journal.append(numbered(1))
        journal.maintain()
    max(base.glob("*/*.records")).unlink()
    journal.maintain()
    while len(journal._unconfirmed) == 1:
        assert journal.append(numbered(2))
    assert files(base) == ["00000001.records", "00000003.records", "lock"]


def replace(patch: pytest.MonkeyPatch, name: str, function: Callable[..., Any]) -> None:
    """Puts another function of the operating system in the place of ``os.name``; it has the same abilities."""
    patch.setattr(os, name, function)
    patch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, function})


def fault(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    "trouble",
    [
        *(("posix_fallocate", number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)),
        *(("mkdir", number) for number in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE)),
        *(("open", number) for number in (errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EACCES)),
        *(("rename", number) for number in (errno.ENOSPC, errno.EROFS)),
        ("pwrite", errno.ENOSPC),
    ],
    ids=lambda trouble: f"{trouble[0]} {errno.errorcode[trouble[1]]}",
)
def test_a_disk_that_fails_refuses_the_record_says_so_once_and_is_tried_again(
    new_journal: NewJournal,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: tuple[str, int],
) -> None:
    name, number = trouble
    journal = new_journal()
    before = set(descriptors())
    with monkeypatch.context() as broken:
        replace(broken, name, fault(number))
        assert not journal.append(b"first")
        assert not journal.append(b"second")
        assert not journal.outage.may_retry()
    journal.maintain()
    [said] = caplog.messages
    assert os.strerror(number) in said
    assert not [file for file in files(base) if file.endswith(".records")]
    assert len(set(descriptors()) - before) <= 3, "descriptors are left open"
    assert journal.append(b"third")
    assert take_all(journal) == [b"third"]


@pytest.mark.parametrize("lacking", ["posix_fallocate", "EINVAL", "EOPNOTSUPP", "mmap"])
@pytest.mark.usefixtures("small_segments")
def test_where_memory_cannot_be_mapped_records_are_written_by_system_calls(
    new_journal: NewJournal,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lacking: str,
) -> None:
    if lacking == "posix_fallocate":
        monkeypatch.delattr(os, "posix_fallocate")
    elif lacking == "mmap":
        monkeypatch.setattr(mapped_module, "mmap", fault(errno.ENODEV))
    else:
        monkeypatch.setattr(os, "posix_fallocate", fault(getattr(errno, lacking)))
    journal = new_journal()
    for number in range(100):
        assert journal.append(numbered(number))
    journal.maintain()
    [said] = caplog.messages
    assert "system calls" in said
    assert take_all(journal) == [numbered(number) for number in range(100)]
    journal.reset_in_child()
    assert left(base) == [numbered(number) for number in range(100)]


@pytest.mark.parametrize("at", [0, 1, 11, 12, 13, 40])
def test_a_write_that_is_cut_short_by_a_full_disk_leaves_nothing_behind(
    new_journal: NewJournal, base: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    journal = new_journal()
    assert journal.append(numbered(1))
    pwrite = os.pwrite

    def short(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) < len(numbered(2)) + 12 or not at:
            raise OSError(errno.ENOSPC, "full")
        return pwrite(descriptor, data[:at], offset)

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", short)
        assert not journal.append(numbered(2))
    assert journal.append(numbered(3))
    journal.reset_in_child()
    assert left(base) == [numbered(1), numbered(3)]


def test_half_a_plain_write_is_no_damage_to_a_reader_on_another_thread(
    new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    journal = new_journal()
    assert journal.append(numbered(1))
    assert take(journal) == [numbered(1)]
    half, go_on = threading.Event(), threading.Event()
    pwrite = os.pwrite

    def slowly(descriptor: int, data: bytes, offset: int) -> int:
        if half.is_set():
            return pwrite(descriptor, data, offset)
        done = pwrite(descriptor, data[:20], offset)
        half.set()
        assert go_on.wait(10)
        return done

    monkeypatch.setattr(os, "pwrite", slowly)
    writer = threading.Thread(target=journal.append, args=(numbered(2),))
    writer.start()
    assert half.wait(10)
    read = journal.read(512, 0, 1)  # as many as there were when none was half-way into it
    go_on.set()
    writer.join(10)
    assert (read.segment, read.records) == (None, [])
    assert take_all(journal) == [numbered(2)]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.usefixtures("small_segments")
def test_a_record_of_a_signal_handler_in_the_midst_of_any_call_is_stored(
    new_journal: NewJournal, base: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    """In the midst of every call of the operating system that an append makes, another record is appended."""
    if plain:
        monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(limits, "JOURNAL_SEGMENTS", 1_000)
    journal = new_journal()
    stored: list[bytes] = []
    inside = False
    signals = 0

    def handle() -> None:
        nonlocal inside, signals
        if not inside and signals:
            inside = True
            signals -= 1
            record = b"handler%d" % len(stored)
            assert journal.append(record), "it was refused, as if the journal had failed"
            stored.append(record)
            inside = False

    for name in ("pwrite", "open", "rename", "mkdir", "posix_fallocate"):
        original = getattr(os, name, None)
        if original is not None:

            def interrupted(*arguments: Any, original: Any = original, **more: Any) -> Any:
                handle()
                result = original(*arguments, **more)
                handle()
                return result

            replace(monkeypatch, name, interrupted)
    for number in range(150):
        record, signals = numbered(number), number % 12
        assert journal.append(record)
        stored.append(record)
    monkeypatch.undo()
    journal.write_deferred()
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    assert [record for record in stored if record.startswith(b"0")] == [numbered(number) for number in range(150)]
    assert journal.appended == len(stored)
    assert sorted(take_all(journal)) == sorted(stored)
    journal.reset_in_child()
    assert sorted(left(base)) == sorted(stored)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
def test_ctrl_c_while_a_segment_is_made_leaves_no_file_of_it(
    new_journal: NewJournal, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> NoReturn:
        raise KeyboardInterrupt

    journal = new_journal()
    with monkeypatch.context() as patched:
        patched.setattr(journal._factory, "_new_writer", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            journal.append(numbered(0))
    assert raised.tb is not None  # the frames are kept, and what they would have left open with them
    opened = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert [name for name in opened if ".records" in name and name.startswith(str(base))] == []
    assert files(base) == ["lock"]
    assert journal.append(numbered(1))
    assert take_all(journal) == [numbered(1)]


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("spare", [False, True], ids=["a new segment", "one that was set aside"])
def test_ctrl_c_between_any_two_statements_costs_at_most_its_own_record(
    new_journal: NewJournal, base: Path, *, spare: bool
) -> None:
    """A line of `append`, or of what it calls, is followed by KeyboardInterrupt: each line once, until none is left."""
    modules = journal_module, current_module, frame_count_module, mapped_module, segment_module, factory_module
    files_of_appends = {module.__file__ for module in modules}
    at = 0
    while True:
        journal = new_journal(f"{at:016d}")
        for number in range(60):
            assert journal.append(numbered(number))
        if spare:
            journal.maintain()
            assert journal._factory.spares
        lines = 0

        def trace(frame: Any, event: str, _: object, until: int = at + 1) -> Any:
            nonlocal lines
            if frame.f_code.co_filename not in files_of_appends:
                return None
            if event in {"line", "return"}:
                lines += 1
                if lines == until:
                    raise KeyboardInterrupt
            return trace

        interrupted = False
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            journal.append(numbered(60))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(before)
        for number in range(61, 140):
            assert journal.append(numbered(number)), at
        taken = take_all(journal)
        assert journal.appended == journal.taken == len(taken), at
        assert [record for record in taken if record != numbered(60)] == [
            numbered(number) for number in range(140) if number != 60
        ], at
        journal.confirm(len(taken))
        remove = journal.close_if_empty()
        assert remove is not None, at
        remove()
        assert files(base) == [], at
        if not interrupted:
            break
        at += 1
    assert at > 20, "nothing was interrupted"


def test_a_journal_whose_directory_was_removed_refuses_what_it_cannot_keep(
    new_journal: NewJournal, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    journal = new_journal()
    assert journal.append(numbered(0))
    for path in (*base.glob("*/*"), *base.glob("*"), base):
        path.rmdir() if path.is_dir() else path.unlink()
    kept = 1
    while journal.append(numbered(kept)):
        kept += 1
    assert take_all(journal) == [numbered(number) for number in range(kept)]
    journal.confirm(kept)


def test_a_real_signal_that_records_finds_the_journal_whole(new_journal: NewJournal, base: Path) -> None:
    journal = new_journal()
    stored: list[bytes] = []

    def handle(*_: object) -> None:
        if journal.append(b"handler"):
            stored.append(b"handler")

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(20_000):
            record = numbered(number)
            if journal.append(record):
                stored.append(record)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert journal.appended == len(stored) >= 20_000
    assert sorted(take_all(journal)) == sorted(stored)


def test_the_age_of_records_does_not_follow_a_clock_that_jumps(
    new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = new_journal()
    assert journal.append(b"before")
    monkeypatch.setattr(current_module, "time", lambda: 4_000_000_000.0)
    assert journal.append(b"after")
    assert take_all(journal) == [b"before", b"after"]


def test_what_is_too_old_is_reported_and_skipped(new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new_journal()
    for number in range(3):
        journal.append(numbered(number))
    monkeypatch.setattr(journal.current, "epoch", journal.current.epoch + limits.MAX_AGE_SECONDS + 10)
    journal.append(numbered(3))
    read = journal.read(512, 0, journal.appended)
    assert (read.lost, read.reason) == (3, "too_old")
    assert journal.take(read)
    assert take(journal) == [numbered(3)]


def test_a_disk_that_cannot_be_read_costs_what_is_there_and_the_next_segment_goes_on(
    new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = new_journal()
    for number in range(3):
        journal.append(numbered(number))
    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fault(errno.EIO))
        read = journal.read(512, 0, journal.appended)
    assert journal.take(read)
    assert (read.lost, read.reason) == (3, "damaged")
    journal.append(numbered(3))
    assert take_all(journal) == [numbered(3)]
    journal.maintain()
    assert "3 records" in caplog.text


def test_after_all_is_over_no_descriptor_and_no_mapping_is_left(
    new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    maps: list[mmap] = []

    def remembered(*arguments: Any, **more: Any) -> mmap:
        maps.append(mmap(*arguments, **more))
        return maps[-1]

    monkeypatch.setattr(mapped_module, "mmap", remembered)
    before = descriptors()
    for _ in range(3):
        journal = new_journal()
        for number in range(500):
            journal.append(numbered(number))
            if number % 50 == 0:
                take(journal)
                journal.maintain()
        read = take_all(journal)
        journal.confirm(len(read) + 500)
        remove = journal.close_if_empty()
        assert remove is not None
        remove()
    assert descriptors() == before
    assert all(each.closed for each in maps)


class ConfirmedMeanwhile(segment_module.Segment):
    """A segment that another thread confirms whole, at the very moment when it is read."""

    journal: Journal

    def __getattribute__(self, name: str) -> Any:
        if name in {"last", "taken"} and sys._getframe(1).f_code.co_name == "_roll":
            segments = self.journal._unconfirmed
            if segments and segments[0] is self:
                segments.popleft()
        return super().__getattribute__(name)


def test_what_another_thread_writes_in_the_midst_of_the_end_of_a_segment_is_part_of_it(new_journal: NewJournal) -> None:
    journal = new_journal()
    assert journal.append(numbered(0))
    writer = journal.current.writer
    assert isinstance(writer, mapped_module.MappedWriter)
    tell, seconds = writer.tell, int(time.time())

    def told_before_the_others() -> int:
        at = tell()
        for record in map(numbered, (1, 2)):
            writer.write(pack_frame(len(record), crc32(record, seconds), seconds) + record)
        return at

    writer.tell = told_before_the_others  # type: ignore[misc]
    writer.seal()
    assert (writer.end(), writer.frames()) == (len(writer.content().rstrip(b"\0")), 3)
    with pytest.raises(ValueError, match="data out of range"):
        writer.write(b"too late")
    journal.finish_segment()
    assert take_all(journal) == [numbered(number) for number in range(3)]


@pytest.mark.usefixtures("small_segments")
def test_a_segment_may_be_confirmed_while_the_next_one_is_begun(new_journal: NewJournal) -> None:
    journal = new_journal()
    for number in range(2):
        assert journal.append(numbered(number, 2_000))
        assert journal.append(numbered(number, 2_000))  # a segment has room for one of them
    journal._unconfirmed[0].__class__ = ConfirmedMeanwhile
    ConfirmedMeanwhile.journal = journal
    assert journal.append(numbered(9, 2_000))


def test_a_clock_that_shows_the_far_future_costs_no_record(
    new_journal: NewJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_module, "time", lambda: 2.0**40)
    journal = new_journal()
    assert journal.append(b"x")
    assert take_all(journal) == [b"x"]
