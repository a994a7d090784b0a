"""What a gone process has left takes no more room than its records, and nothing is lost by that."""

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from failpath_otel import limits
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.files import port
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records.request import Answer
from failpath_otel.runtime.descriptors import file_identity
from tests.delivery.pipelines import HeldDelivery, a_record, pipeline
from tests.journal.conftest import BINDING
from tests.journal.reading import take, take_all

NewJournal = Callable[..., Journal]


def numbered(number: int) -> bytes:
    return a_record(step_key=f"step-{number}")


def room(base: Path) -> int:
    return sum(path.stat().st_blocks for path in base.rglob("*") if path.is_file()) * 512


def leave(base: Path, count: int = 20) -> Path:
    journal = Journal(str(base), BINDING, lambda _: None)
    for number in range(count):
        assert journal.append(numbered(number))
    journal.reset_in_child()
    [path] = base.glob("*/*.records")
    return path


def test_an_orphan_is_trimmed_to_its_records_and_keeps_its_times(base: Path) -> None:
    path = leave(base)
    for each in (path, path.parent):
        os.utime(each, (1_700_000_000, 1_700_000_000))
    assert room(base) >= limits.JOURNAL_SEGMENT_BYTES
    adoption = OrphanSource(str(base), BINDING)
    assert adoption.scan()
    assert room(base) <= 20 * 500 + 4_096
    assert {each.stat().st_mtime for each in (path, path.parent)} == {1_700_000_000}
    assert path.stat().st_mode & 0o777 == 0o600
    adoption.release()
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    assert take_all(orphan) == [numbered(number) for number in range(20)]
    orphan.close()


def test_an_orphan_that_an_application_thread_has_locked_is_trimmed_before_it_is_read(base: Path) -> None:
    leave(base)
    delivery = HeldDelivery(answers=[Answer("is busy", 503, retryable=True)])
    with pipeline(delivery, journal=JournalLocation(str(base), BINDING)) as queue:
        delivery.gate.clear()
        queue.adopt()
        assert delivery.sending.wait(10)
        assert room(base) <= 20 * 500 + 4_096
        delivery.gate.set()


@pytest.mark.process
def test_a_file_that_another_process_still_has_mapped_is_not_made_shorter(base: Path) -> None:
    """Its lock is free where a library has closed all descriptors; a write beyond the end would kill it by SIGBUS."""
    program = """
        import os, sys
        from failpath_otel.journal.journal import Journal
        journal = Journal(*sys.argv[1:], lambda _: None)
        assert journal.append(b'{"number":0}')
        os.close(journal._directory._lock.number)
        print("closed", flush=True)
        sys.stdin.readline()
        for _ in range(1_000):
            assert journal.append(b"{" + b"x" * 500 + b"}")
        print("written", flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(base), BINDING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as living:
        assert living.stdout is not None
        assert living.stdin is not None
        assert living.stdout.readline() == "closed\n"
        [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
        orphan.trim()
        assert room(base) <= 8_192
        living.stdin.write("\n")
        living.stdin.flush()
        assert living.stdout.readline() == "written\n"
        assert living.wait(10) == 0
    assert take_all(orphan) == [b'{"number":0}']
    orphan.close()


@pytest.mark.parametrize("what", ["full", "sparse", "damaged", "empty", "torn"])
def test_whatever_is_in_a_file_the_same_is_read_of_it_after_it_was_trimmed(base: Path, what: str) -> None:
    path = leave(base, 2_000 if what == "full" else 20)
    content = path.read_bytes().rstrip(b"\0")
    with path.open("r+b") as file:
        if what == "sparse":
            os.truncate(path, limits.JOURNAL_SEGMENT_BYTES)
        if what == "damaged":
            file.seek(len(content) - 700)
            file.write(b"\0" * 500)
        if what == "torn":
            file.seek(len(content) - 100)
            file.write(b"\0" * 100)
        if what == "empty":
            file.write(b"\0" * len(content))

    def read() -> list[tuple[list[bytes], int]]:
        [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
        found = []
        while (each := orphan.read(512, 0)).segment is not None:
            orphan.take(each)
            found.append(([written.record for written in each.records], each.lost))
        orphan.close()
        return found

    before = read()
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    orphan.trim()
    orphan.close()
    assert read() == before
    assert path.stat().st_size == (len(content) // 4_096 + 1) * 4_096 or what == "empty"


def test_a_copy_that_was_interrupted_is_no_obstacle(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leave(base)

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", broken)
        with pytest.raises(KeyboardInterrupt):
            orphan.trim()
    orphan.close()
    path.with_name("spare").write_bytes(b"half")
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    orphan.trim()
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, "lock"]
    assert take_all(orphan) == [numbered(number) for number in range(20)]
    orphan.close()


def test_a_journal_that_is_left_at_the_end_is_trimmed_and_can_be_written_on(
    new_journal: NewJournal, base: Path
) -> None:
    journal = new_journal()
    number = 0
    while not journal._factory.spares:
        assert journal.append(numbered(number))
        number += 1
        if number % 100 == 0:
            journal.maintain()
    assert take(journal, records=10) == [numbered(each) for each in range(10)]
    size = sum(len(numbered(each)) + 12 for each in range(number))
    untrimmed = file_identity(journal._unconfirmed[0].descriptor)
    [folder] = base.iterdir()
    (base.parent / "kept").hardlink_to(folder / journal._unconfirmed[0].name)  # or another file may have its number
    journal.trim()
    assert room(base) <= size + 8_192
    journal.maintain()  # closes what it was mapped by
    for descriptor in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing
            assert file_identity(int(descriptor.name)) != untrimmed
    journal.confirm(5)
    for later in range(number, number + 5):
        assert journal.append(numbered(later))
    assert take_all(journal) == [numbered(each) for each in range(10, number + 5)]
    journal.maintain()
    journal.reset_in_child()
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    assert take_all(orphan) == [numbered(each) for each in range(5, number + 5)]
    orphan.close()


@pytest.mark.process
def test_a_program_that_ends_while_failpath_is_down_leaves_the_room_of_its_records(base: Path) -> None:
    program = """
        import sys, failpath_otel
        key, journal = sys.argv[1:]
        failpath = failpath_otel.configure(project_key=key, journal=journal, endpoint="http://127.0.0.1:9")
        failpath.run("checkout", run_id="r").step("pack", lambda: None)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), "fp_project_x", str(base)]
    subprocess.run(command, check=True, timeout=60, stderr=subprocess.DEVNULL)
    [path] = base.glob("*/*.records")
    assert path.read_bytes().count(b'"stepKey"') == 2
    assert room(base) <= 8_192


def test_where_memory_is_short_for_the_copy_an_orphan_is_left_as_it_is(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scarce(bytes):
        def __getitem__(self, place: object) -> bytes:  # type: ignore[override]
            raise MemoryError(place)

    path = leave(base)
    before = path.read_bytes()
    [orphan] = lock_orphans(str(base), BINDING, lambda *_: None)
    monkeypatch.setattr(
        port.file_system, "read_at", lambda descriptor, size, at: Scarce(os.pread(descriptor, size, at))
    )
    orphan.trim()
    monkeypatch.undo()
    orphan.close()
    assert path.read_bytes() == before
