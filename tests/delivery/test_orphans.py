"""DeliveryClient what processes have left that are gone: by a process that lives."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from failpath_otel import DeliveryError, JournalError, limits, report
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.journal import clock as clock_module
from failpath_otel.journal import current as current_module
from failpath_otel.journal import discovery as discovery_module
from failpath_otel.journal import orphan as orphan_module
from failpath_otel.journal.clock import machine_clock
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records.compact import run_names, running_of, step_name
from failpath_otel.records.record import decode
from failpath_otel.records.request import Answer
from tests.delivery.pipelines import GONE, HeldDelivery, a_record, pipeline
from tests.receiver import wait_for

BINDING = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.fixture(autouse=True)
def _all_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_logged", set())


@pytest.fixture(autouse=True)
def _the_clock_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another machine has said; without that no age counts."""
    monkeypatch.setattr(machine_clock, "_epoch", None)
    machine_clock.observe(time.time())


@pytest.fixture
def place(tmp_path: Path) -> JournalLocation:
    return JournalLocation(str(tmp_path / "journal"), BINDING)


def leave(place: JournalLocation, *records: bytes, binding: str = BINDING) -> None:
    """What a process leaves that has recorded these and is gone."""
    journal = Journal(place.path, binding, lambda _: None)
    for record in records:
        assert journal.append(record)
    journal.reset_in_child()


def leave_old(place: JournalLocation, *records: bytes, seconds: float = limits.MAX_AGE_SECONDS + 60) -> Path:
    """As :func:`leave`, so many seconds ago; returns the file."""
    before = set(Path(place.path).glob("*/*.records"))
    with patch.object(current_module, "time", lambda: time.time() - seconds):
        leave(place, *records)
    [path] = set(Path(place.path).glob("*/*.records")) - before
    for each in (*path.parent.iterdir(), path.parent):
        os.utime(each, (time.time() - seconds,) * 2)
    return path


def descriptors() -> list[str]:
    """The numbers of this process's open files."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def step(name: str, size: int = 10) -> bytes:
    return a_record(size, step_key=name)


def names(delivery: HeldDelivery) -> list[str]:
    return [json.loads(record)["stepKey"] for record in delivery.records]


def looked(queue: Pipeline) -> bool:
    queue.adopt()
    return False


def gone(place: JournalLocation) -> bool:
    """Whether nothing is left; the directory itself stays."""
    return list(Path(place.path).iterdir()) == []


def test_what_a_gone_process_has_left_is_delivered_counted_and_deleted(place: JournalLocation) -> None:
    leave(place, step("a"), step("b"))
    leave(place, step("c"))
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 3)
        wait_for(lambda: gone(place))
        assert sorted(names(delivery)) == ["a", "b", "c"]
        assert (queue.stats().accepted, queue.stats().waiting, queue.stats().delivered) == (0, 0, 0)
        assert queue.flush(0)
    assert queue.stats().adopted == 3, "the counts outlive the end"


def test_what_is_left_while_this_process_lives_is_found_without_a_record(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ORPHAN_SCAN_SECONDS", 0.05)
    monkeypatch.setattr(limits, "POLLING_SECONDS", 0.05)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.put(step("own"))
        assert queue.flush(10)
        wait_for(lambda: queue.wakeup.asleep)
        leave(place, step("a"))
        wait_for(lambda: queue.stats().adopted == 1)


def test_own_records_and_those_of_others_take_turns(place: JournalLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BATCH_RECORDS", 2)
    leave(place, *(step(f"a{number}") for number in range(6)))
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        for number in range(6):
            queue.put(step(f"own{number}"))
        queue.adopt()
        assert delivery.sending.wait(10)
        delivery.gate.set()
        wait_for(lambda: queue.stats().adopted == 6)
        assert queue.flush(10)
    found = names(delivery)
    for who in ("a", "own"):
        assert [name for name in found if name.startswith(who)] == [f"{who}{number}" for number in range(6)]
    assert found.index("own0") < found.index("a5")
    assert found.index("a0") < found.index("own5")


def test_records_of_another_project_stay(place: JournalLocation) -> None:
    leave(place, step("theirs"), binding=OTHER)
    leave(place, step("ours"))
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 1 and not queue.orphans)
    assert names(delivery) == ["ours"]
    [left] = Path(place.path).iterdir()
    assert OTHER in left.name


def test_records_of_another_project_that_are_older_than_the_limit_are_deleted_and_counted(
    place: JournalLocation, caplog: pytest.LogCaptureFixture
) -> None:
    leave(place, step("a"), step("b"), binding=OTHER)
    [old] = Path(place.path).iterdir()
    leave(place, step("young"), binding=OTHER)
    for path in (*old.iterdir(), old):
        os.utime(path, (0, 0))
    errors: list[DeliveryError] = []
    with pipeline(HeldDelivery(), journal=place, on_error=errors.append) as queue:
        assert queue.orphans is not None
        queue.orphans.scan()  # as the thread does
        queue.adopt()
        assert queue.stats().adopted_dropped == {"too_old": 2}
        queue.callback.drain(10)
    assert [error.records for error in errors] == [2]
    assert not old.exists()
    assert len(list(Path(place.path).iterdir())) == 1
    assert "older than 48 h" in caplog.text


def test_records_that_are_too_old_are_counted_and_told_and_the_others_delivered(
    place: JournalLocation, caplog: pytest.LogCaptureFixture
) -> None:
    leave_old(place, step("old"))
    leave(place, step("young"))
    delivery = HeldDelivery()
    errors: list[DeliveryError] = []
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 1)
        wait_for(lambda: gone(place))
        assert queue.stats().adopted_dropped == {"too_old": 1}
        queue.callback.drain(10)
    assert names(delivery) == ["young"]
    [error] = errors
    assert isinstance(error, JournalError)
    assert (error.records, str(error)) == (
        1,
        "records of processes that are gone have waited for 48 hours, and are given up",
    )
    assert f"Failpath: 1 {error}." in caplog.messages


def test_what_is_no_record_is_left_out_and_counted(place: JournalLocation) -> None:
    leave(place, step("a"), b"{}", b"\xff\xfe", b'{"stepKey": 1}', step("b"), b"[" * 5_000)
    delivery = HeldDelivery()
    errors: list[DeliveryError] = []
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.adopt()
        wait_for(lambda: gone(place))
        assert (queue.stats().adopted, queue.stats().adopted_dropped) == (2, {"invalid": 4})
        queue.callback.drain(10)
    assert sum(error.records for error in errors) == 4
    assert names(delivery) == ["a", "b"]


def test_a_batch_that_fails_is_sent_again_and_one_that_is_refused_is_counted_and_told(place: JournalLocation) -> None:
    leave(place, step("a"), step("b"))
    errors: list[DeliveryError] = []
    busy, rejected = Answer("is busy", 503, retryable=True), Answer(status=202, rejected=((1, "unknown"),))
    delivery = HeldDelivery(answers=[busy, rejected, GONE])
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 1)
        leave(place, step("c"))
        wait_for(lambda: gone(place) or looked(queue))
        assert queue.stats().adopted_dropped == {"rejected": 1, "send_failed": 1}
        assert queue.ledger.is_lossless, "these are no losses of this process"
        queue.callback.drain(10)
    assert names(delivery) == ["a", "b", "a", "b", "c"]
    assert [error.records for error in errors] == [2, 1, 1]


def test_what_is_too_large_is_halved_and_then_cut_down(place: JournalLocation) -> None:
    too_large = Answer("is too large", 413, too_large=True)
    leave(place, step("a", 2_000), step("b"))
    delivery = HeldDelivery(answers=[too_large, too_large])
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 2)
        wait_for(lambda: gone(place))
    assert names(delivery) == ["a", "b", "a", "a", "b"]
    cut = decode(delivery.batches[2][0])
    assert cut is not None
    assert "failpath.cut_down" in cut.metadata


def test_descriptors_that_are_short_cost_no_record_of_an_orphan(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be opened stays where it is, whole, until it can be."""
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    leave(place, *(step(f"a{number}") for number in range(40)))
    open_file, opened = LockedDirectory.open_file, []

    def short(directory: LockedDirectory, name: str) -> int:
        opened.append(name)
        if len(opened) % 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return open_file(directory, name)

    monkeypatch.setattr(limits, "SCHEDULE_DELAY", 0.001)
    monkeypatch.setattr(LockedDirectory, "open_file", short)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: gone(place))
        assert queue.stats().adopted == 40
    assert names(delivery) == [f"a{number}" for number in range(40)]


def test_many_large_orphans_do_not_use_up_the_descriptors(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    for _ in range(limits.MAX_LOCKED_ORPHANS + 3):
        leave(place, *(step("a") for _ in range(60)))
    before = len(descriptors())
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        assert delivery.sending.wait(10)
        assert len(descriptors()) - before <= 3 * limits.MAX_LOCKED_ORPHANS + 5
        delivery.gate.set()
        wait_for(lambda: gone(place) or looked(queue))
        assert queue.stats().adopted == 60 * (limits.MAX_LOCKED_ORPHANS + 3)


RACER = """
    import json, sys
    from failpath_otel.journal.discovery import lock_orphans
    sys.stdin.readline()
    found = lock_orphans(sys.argv[1], sys.argv[2], lambda *_: None)
    print(json.dumps([orphan.name for orphan in found]), flush=True)
    sys.stdin.readline()
"""


def racer(place: JournalLocation) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RACER), place.path, BINDING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.mark.process
def test_of_several_processes_exactly_one_adopts_each_orphan_and_another_one_after_it_was_killed(
    place: JournalLocation,
) -> None:
    for number in range(12):
        leave(place, step(f"a{number}"))
    everything = sorted(path.name for path in Path(place.path).iterdir())
    with racer(place) as first, racer(place) as second, racer(place) as third:
        try:
            for process in (first, second):
                tell(process)
            adopted = {process: answer(process) for process in (first, second)}
            assert sorted(adopted[first] + adopted[second]) == everything
            victim = max(adopted, key=lambda process: len(adopted[process]))
            victim.send_signal(signal.SIGKILL)
            victim.wait(10)
            tell(third)
            assert sorted(answer(third)) == sorted(adopted[victim])
        finally:
            for process in (first, second, third):
                process.kill()


@pytest.mark.process
def test_an_adopter_that_is_killed_leaves_at_most_its_batch_in_flight_to_be_sent_again(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BATCH_RECORDS", 10)
    leave(place, *(step(f"a{number}") for number in range(50)))
    program = """
        import os, sys
        from failpath_otel import limits
        from failpath_otel.delivery.pipeline import Pipeline
        from failpath_otel.journal.location import JournalLocation
        from failpath_otel.records.request import Answer
        limits.MAX_BATCH_RECORDS = 10
        class HttpClient:
            url = "http://127.0.0.1:9/"
            batches = 0
            def send(self, records, within=None):
                self.batches += 1
                if self.batches == 4:
                    os.kill(os.getpid(), 9)
                return Answer()
            def close(self): pass
        queue = Pipeline(HttpClient(), journal=JournalLocation(*sys.argv[1:]))
        queue.adopt()
        queue.worker.thread.join()
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program), *place], timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: gone(place))
    assert names(delivery) == [f"a{number}" for number in range(30, 50)]


def _symlink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"), target_is_directory=True)


def _of_another_user(path: Path) -> None:
    os.chown(path, 12_345, 12_345)


@pytest.mark.parametrize(
    "harm",
    [
        _symlink,
        pytest.param(_of_another_user, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away")),
    ],
)
def test_a_directory_that_is_not_as_it_was_made_is_left_alone_and_said_once(
    place: JournalLocation, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    leave(place, step("a"))
    [path] = Path(place.path).iterdir()
    harm(path)
    before = path.joinpath("00000001.records").read_bytes()
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        queue.adopt()
        queue.put(step("own"))
        assert queue.flush(10)
    assert names(delivery) == ["own"]
    assert path.joinpath("00000001.records").read_bytes() == before
    assert len([line for line in caplog.messages if "left alone" in line and path.name in line]) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 16, b"\0" * 5_000, b"no journal", b"failpath", b"failpath" + b"\xff" * 8, b"x" * 5_000]
)
def test_a_foreign_file_beside_the_records_is_no_obstacle(place: JournalLocation, content: bytes) -> None:
    leave(place, step("a"))
    [path] = Path(place.path).iterdir()
    for name in ("00000000.records", "00000002.records", "notes.txt"):
        path.joinpath(name).write_bytes(content)
    path.joinpath("00000003.records").mkdir()
    path.joinpath("00000004.records").symlink_to("/etc/passwd")
    os.mkfifo(path / "00000005.records")
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 1)
        wait_for(lambda: not queue.orphans)
    assert names(delivery) == ["a"]
    assert path.joinpath("notes.txt").read_bytes() == content


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_record_is_left_out_and_all_before_it_is_delivered(
    place: JournalLocation, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    records = [step("a"), step("b"), step("torn")]
    leave(place, *records)
    [path] = Path(place.path).glob("*/*.records")
    end = 16 + sum(len(record) + 12 for record in records)
    with path.open("r+b") as file:
        file.seek(end - cut)
        file.write(b"\0" * cut)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: gone(place))
    assert names(delivery) == ["a", "b"]
    assert len([line for line in caplog.messages if "cut off" in line]) == 1


def test_one_flipped_bit_costs_one_record_and_that_is_said_and_counted(
    place: JournalLocation, caplog: pytest.LogCaptureFixture
) -> None:
    leave(place, *(step(f"a{number}") for number in range(50)))
    [path] = Path(place.path).glob("*/*.records")
    content = bytearray(path.read_bytes())
    content[content.index(b'"a7"') + 1] ^= 1  # not where an id has these digits
    path.write_bytes(content)
    delivery = HeldDelivery()
    errors: list[DeliveryError] = []
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.adopt()
        wait_for(lambda: gone(place))
        assert (queue.stats().adopted, queue.stats().adopted_dropped) == (49, {"damaged": 1})
        queue.callback.drain(10)
    assert [(type(error), error.records) for error in errors] == [(JournalError, 1)]
    assert names(delivery) == [f"a{number}" for number in range(50) if number != 7]
    [line] = [message for message in caplog.messages if "damaged" in message]
    assert "damaged and lost: at least 1" in line


def test_records_that_were_damaged_in_the_own_journal_are_counted_and_all_others_delivered(
    place: JournalLocation,
) -> None:
    delivery = HeldDelivery(held=True)
    errors: list[DeliveryError] = []
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.put(step("first"))
        assert delivery.sending.wait(10)
        for number in range(20):
            queue.put(step(f"a{number:02d}"))
        [path] = Path(place.path).glob("*/*.records")
        content = path.read_bytes()
        with path.open("r+b") as file:
            for name in (b"a07", b"a08", b"a15"):
                file.seek(content.index(name))
                file.write(b"b")
        delivery.gate.set()
        assert not queue.flush(10), "it has lost some"
        stats = queue.stats()
        assert (stats.accepted, stats.delivered, stats.waiting, stats.dropped) == (21, 18, 0, {"damaged": 3})
        queue.put(step("last"))
        wait_for(lambda: queue.stats().delivered == 19)
        queue.callback.drain(10)
    assert names(delivery) == ["first", *(f"a{each:02d}" for each in range(20) if each not in {7, 8, 15}), "last"]
    assert sum(error.records for error in errors) == 3


# The clock of this machine.


def test_a_clock_that_stands_years_ahead_costs_no_record(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = leave_old(place, step("a"), step("b"), seconds=10)
    leave(place, step("theirs"), binding=OTHER)
    for module in (orphan_module, clock_module, discovery_module):
        monkeypatch.setattr(module, "time", lambda: time.time() + 3 * 365 * 86_400)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        assert queue.orphans is not None
        queue.orphans.scan()
        queue.adopt()
        wait_for(lambda: not path.exists())
        assert (queue.stats().adopted, queue.stats().adopted_dropped) == (2, {})
    assert len(list(Path(place.path).iterdir())) == 1


def test_an_age_that_no_other_machine_has_confirmed_does_not_count(place: JournalLocation) -> None:
    path = leave_old(place, step("a"))
    machine_clock._epoch = None
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: not path.exists())
        assert (queue.stats().adopted, queue.stats().adopted_dropped) == (1, {})


def test_an_age_does_not_count_where_the_file_was_written_later(place: JournalLocation) -> None:
    path = leave_old(place, step("a"))
    os.utime(path)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: not path.exists())
        assert (queue.stats().adopted, queue.stats().adopted_dropped) == (1, {})


def test_what_this_process_has_kept_for_the_longest_time_is_too_old_whatever_the_clock_shows(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(place, step("a"))
    machine_clock._epoch = None
    adoption = OrphanSource(*place)
    assert adoption.scan()
    monkeypatch.setattr(orphan_module, "monotonic", lambda: time.monotonic() + limits.MAX_AGE_SECONDS + 1)
    assert adoption.take(1_000_000) is None
    assert adoption.dropped == {"too_old": 1}


# What is too much.


def test_journals_of_processes_that_live_and_empty_directories_cost_no_record(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are; and while the endpoint takes records, nor do those of processes that are gone."""
    monkeypatch.setattr(limits, "MAX_JOURNALS", 3)
    monkeypatch.setattr(limits, "DISK_CHECK_SECONDS", 0.0)
    living = [Journal(place.path, BINDING, lambda _: None) for _ in range(4)]
    for each in living:
        assert each.append(step("living"))
    for number in range(4):
        Path(place.path, f"v2.{BINDING}.1.{number}").mkdir()
        Path(place.path, f"v2.{OTHER}.1.{number}").mkdir()
    for number in range(8):
        leave_old(place, step(f"a{number}"), seconds=1_000 - number)
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        assert queue.orphans is not None
        queue.orphans.scan(failing=False)
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 8 or looked(queue))
        assert queue.stats().adopted_dropped == {}
    for each in living:
        each.reset_in_child()


def test_journals_that_are_too_many_and_cannot_be_delivered_are_thinned_out_from_the_oldest_and_that_is_one_line(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MAX_JOURNALS", 3)
    for number in range(8):
        leave_old(place, step(f"a{number}"), step(f"b{number}"), seconds=1_000 - number)
    adoption = OrphanSource(*place)
    assert adoption.scan(failing=True)
    assert adoption.dropped == {}, "delivery has not had its chance"
    monkeypatch.setattr(limits, "DISK_CHECK_SECONDS", 0.0)
    assert adoption.scan(failing=True)
    # The first one may be on its way.
    assert adoption.dropped == {"journal_full": 8}
    assert adoption.waiting() == 8
    [line] = [line for line in caplog.messages if "deleted" in line]
    assert "8 records" in line
    adoption.release()


@pytest.mark.parametrize("seconds", [1_000, 10], ids=["for long", "for a moment"])
def test_programs_that_all_end_soon_bound_what_they_leave_where_nothing_was_taken_for_long(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setattr(limits, "MAX_JOURNALS", 3)
    for number in range(8):
        leave_old(place, step(f"a{number}"), step(f"b{number}"), seconds=seconds - number)
    delivery = HeldDelivery(answers=[Answer("is busy", 503, retryable=True)] * 10_000)
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.sender.retries.failing)
        for _ in range(100):  # it may just make an attempt
            queue.deliver_orphans(0.01)
        assert bool(queue.stats().adopted_dropped) == (seconds > limits.DISK_CHECK_SECONDS)
        delivery._answers.clear()


def test_what_takes_too_much_room_goes_from_the_oldest_by_the_blocks_that_it_takes(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [leave_old(place, step(f"a{number}", 30_000), seconds=1_000 - number) for number in range(12)]
    sparse = paths[-1].with_name("notes")
    sparse.touch()
    os.truncate(sparse, 1 << 30)  # a length is no room
    monkeypatch.setattr(limits, "DISK_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(limits, "MAX_JOURNALS_BYTES", 200_000)
    adoption = OrphanSource(place.path, OTHER)  # so that none of these is held
    assert not adoption.scan(failing=False)
    left = sum(path.stat().st_blocks for path in paths if path.exists()) * 512
    assert 200_000 - 40_000 < left <= 200_000
    there = [path.exists() for path in paths]
    assert there == sorted(there), "the oldest have gone"
    assert adoption.dropped == {"journal_full": there.count(False)}


def test_what_those_take_that_live_leaves_those_that_are_gone_a_quarter_of_the_room(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = Journal(place.path, BINDING, lambda _: None)
    assert living.append(step("living"))
    paths = [leave_old(place, step(f"a{number}", 30_000), seconds=1_000 - number) for number in range(6)]
    monkeypatch.setattr(limits, "DISK_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(limits, "MAX_JOURNALS_BYTES", 400_000)
    adoption = OrphanSource(place.path, OTHER)
    adoption.scan(failing=False)
    assert 0 < sum(path.exists() for path in paths) < 6
    assert len(list(Path(place.path).glob(f"{living._directory.name}/*.records" if living._directory else ""))) == 1
    living.reset_in_child()


def test_while_the_endpoint_takes_records_only_those_of_others_make_room(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_JOURNALS", 1)
    monkeypatch.setattr(limits, "DISK_CHECK_SECONDS", 0.0)
    ours = [leave_old(place, step(f"a{number}"), seconds=1_000) for number in range(2)]
    leave(place, step("theirs"), binding=OTHER)
    adoption = OrphanSource(*place)
    assert adoption.scan(failing=False)
    assert adoption.dropped == {}, "what can be delivered comes first"
    assert adoption.take(1_000_000) is not None
    assert all(path.exists() for path in ours)
    adoption.release()


def test_a_process_that_always_has_a_full_batch_to_send_looks_for_others_and_says_what_its_journal_has_lost(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ORPHAN_SCAN_SECONDS", 0.01)
    errors: list[DeliveryError] = []
    enough = 2_000

    class Endless(HeldDelivery):
        def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
            while len(self.batches) < enough and queue.queue.untaken < 2 * limits.MAX_BATCH_RECORDS:
                queue.put(a_record())
            if len(self.batches) == 1:
                leave(place, a_record(step_key="left"))
                queue.ledger.evict(1)
            return super().send(records, within)

    delivery = Endless()
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.put(a_record())
        wait_for(lambda: errors and queue.stats().adopted, 30)
        assert len(delivery.batches) < enough
        delivery.batches += [[]] * enough


def compact(step_key: str, kind: int = 1, text: str = "whole") -> bytes:
    names, metadata = (run_names("checkout", "order-17"), step_name(step_key)), b'{"text":"%b"}' % text.encode()
    running = running_of(b'{"pid":7,"host":"gone"}', *names, metadata, bytes(range(32)), 10**18)
    return running[:1] + bytes((kind,)) + running[2:]


def test_compact_records_are_delivered_as_the_process_that_is_gone_has_made_them(place: JournalLocation) -> None:
    leave(place, compact("a"), step("b"), compact("c", text="größer"))
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 3)
        wait_for(lambda: gone(place))
    assert names(delivery) == ["a", "b", "c"]
    first, _, last = map(json.loads, delivery.records)
    assert first["process"] == {"pid": 7, "host": "gone"}
    assert (first["status"], first["timestamp"], first["metadata"]) == (
        "running",
        "2001-09-09T01:46:40.000000Z",
        {"text": "whole"},
    )
    assert last["metadata"] == {"text": "größer"}


def test_records_of_a_later_version_stay_with_their_lock_and_what_stands_before_them_is_delivered(
    place: JournalLocation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_RETRY_SECONDS", 0.05)
    leave(place, compact("a"), compact("b", kind=9), compact("c"))
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: "records of another version" in caplog.text)
        wait_for(lambda: not queue.orphans)
        queue.adopt()
        assert queue.stats().adopted_dropped == {}
    assert names(delivery) == ["a"]
    assert caplog.text.count("records of another version") == 1
    [directory] = Path(place.path).iterdir()
    assert (directory / "lock").exists()
    [orphan] = discovery_module.lock_orphans(place.path, BINDING, lambda *_: None)
    assert orphan.waiting() == 2, "another version finds them"
    orphan.close()


def test_a_file_of_a_later_version_stays_with_its_lock_and_the_others_are_delivered(place: JournalLocation) -> None:
    leave(place, step("a"))
    [directory] = Path(place.path).iterdir()
    (directory / "00000002.frames").write_bytes(b"of a later version")
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 1)
        wait_for(lambda: not queue.orphans)
    assert names(delivery) == ["a"]
    assert {path.name for path in directory.iterdir()} == {"lock", "00000002.frames"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_journals_of_earlier_versions_are_delivered(place: JournalLocation, version: str) -> None:
    leave(place, step("a"), step("b"))
    [directory] = Path(place.path).iterdir()
    directory.rename(directory.with_name(directory.name.replace("v3.", f"{version}.", 1)))
    delivery = HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.adopt()
        wait_for(lambda: queue.stats().adopted == 2)
        wait_for(lambda: gone(place))
    assert names(delivery) == ["a", "b"]


def test_a_journal_of_a_later_version_is_left_whole(place: JournalLocation) -> None:
    leave(place, step("a"))
    [directory] = Path(place.path).iterdir()
    directory = directory.rename(directory.with_name(directory.name.replace("v3.", "v4.", 1)))
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pipeline(HeldDelivery(), journal=place) as queue:
        queue.adopt()
        wait_for(lambda: not queue.orphans)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
