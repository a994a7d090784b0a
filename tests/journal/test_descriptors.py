"""Descriptors that something else has closed: their numbers are files of the application by then."""

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from failpath_otel import limits
from failpath_otel.delivery.orphans import OrphanSource
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.retries.batch import Batch
from failpath_otel.errors import DeliveryError
from failpath_otel.journal import segment_factory
from failpath_otel.journal.directory import LockedDirectory, open_base
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.location import JournalLocation
from failpath_otel.journal.segments.syscall_writer import SyscallWriter
from failpath_otel.records.request import Answer, no_response
from failpath_otel.runtime.descriptors import OwnedFd
from tests.delivery.pipelines import HeldDelivery, a_record, pipeline
from tests.delivery.programs import run_program
from tests.fault_server import FaultServer
from tests.journal.conftest import BINDING
from tests.receiver import wait_for

FOLDER = Path("/proc/self/fd")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the file of a descriptor is read in /proc")


def below(path: str) -> dict[int, str]:
    """The descriptors of this process that are files of a journal directory, and the names of these."""
    found = {}
    for each in FOLDER.iterdir():
        with suppress(OSError):  # the one that lists them
            file = each.readlink()
            if str(file).startswith(path):
                found[int(each.name)] = file.name
    return found


class Taken:
    """Descriptors that were closed, and are one file of the application by now."""

    def __init__(self, file: Path, numbers: list[int]) -> None:
        self.path, self.numbers = file, numbers
        self._file = os.open(file, os.O_RDWR | os.O_CREAT)
        os.write(self._file, b"of the application")
        for number in numbers:
            os.dup2(self._file, number)
        self._flags = fcntl.fcntl(self._file, fcntl.F_GETFL)

    def are_untouched(self) -> bool:
        open_ones = [os.path.samestat(os.fstat(number), os.fstat(self._file)) for number in self.numbers]
        return (
            all(open_ones)
            and self.path.read_bytes() == b"of the application"
            and fcntl.fcntl(self._file, fcntl.F_GETFL) == self._flags
            and os.lseek(self._file, 0, os.SEEK_CUR) == len(b"of the application")
        )

    def close(self) -> None:
        for number in {*self.numbers, self._file}:
            os.close(number)


@contextmanager
def taken(tmp_path: Path, path: str, *kinds: str) -> Iterator[Taken]:
    """The application takes the descriptors of a journal directory; of ``kinds`` only, if given."""
    numbers = [number for number, name in below(path).items() if not kinds or name in kinds]
    assert numbers
    made = Taken(tmp_path / "of the application", numbers)
    try:
        yield made
        assert made.are_untouched()
    finally:
        made.close()


@pytest.fixture(params=["mapped", "plain"])
def _written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(segment_factory, "MappedWriter", SyscallWriter)


def place_in(tmp_path: Path) -> JournalLocation:
    return JournalLocation(str(tmp_path / "journal"), BINDING)


def record(number: int) -> bytes:
    return a_record(run_id=f"run-{number}")


def are_whole(queue: Pipeline, delivery: HeldDelivery, count: int) -> bool:
    """Whether so many records were delivered, once and in their order, and are counted so."""
    assert delivery.records == [record(number) for number in range(count)]
    stats = queue.stats()
    assert (stats.accepted, stats.delivered, stats.waiting, stats.dropped) == (count, count, 0, {})
    return True


@pytest.mark.usefixtures("_written")
def test_a_process_whose_descriptors_are_the_applications_by_now_delivers_all_and_touches_none_of_them(
    tmp_path: Path,
) -> None:
    place, delivery = place_in(tmp_path), HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(record(0))
        assert delivery.sending.wait(10)
        for number in range(1, 6):
            queue.put(record(number))
        with taken(tmp_path, place.path):
            for number in range(6, 12):
                queue.put(record(number))
            delivery.gate.set()
            assert queue.flush(20)
            queue.put(record(12))
            assert queue.flush(20)
            assert are_whole(queue, delivery, 13)
            assert queue.shutdown(10)
            wait_for(lambda: queue.worker.thread is None)
            assert list(Path(place.path).iterdir()) == []
            gc.collect()


@pytest.mark.usefixtures("_written")
@pytest.mark.parametrize("kind", ["lock", "journal", "00000001.records"])
def test_where_one_of_them_was_closed_all_is_delivered_too(tmp_path: Path, kind: str) -> None:
    place, delivery = place_in(tmp_path), HeldDelivery()
    with pipeline(delivery, journal=place) as queue:
        queue.put(record(0))
        assert queue.flush(10)
        with taken(tmp_path, place.path, kind):
            for number in range(1, 5):
                queue.put(record(number))
            assert queue.flush(20)
            queue.put(record(5))
            assert queue.flush(20)
            assert are_whole(queue, delivery, 6)
            assert queue.shutdown(10)
            wait_for(lambda: queue.worker.thread is None)


def test_a_journal_that_is_collected_unended_closes_no_file_of_the_application(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    journal = Journal(*place, lambda _: None)
    assert journal.append(b"{}")
    assert journal.prepare()
    with taken(tmp_path, place.path):
        del journal
        gc.collect()


def test_what_was_confirmed_is_noted_once_the_journal_is_locked_again_and_found_by_no_other_process(
    tmp_path: Path,
) -> None:
    place, delivery = place_in(tmp_path), HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(record(0))
        assert delivery.sending.wait(10)
        with taken(tmp_path, place.path):
            delivery.gate.set()
            assert queue.flush(10)
            queue.put(record(1))
            assert queue.flush(10)
            [directory] = Path(place.path).iterdir()
            base = open_base(place.path, create=False)
            assert LockedDirectory.try_lock(base, directory.name) is None
            base.close()
            assert are_whole(queue, delivery, 2)
            assert queue.shutdown(10)


@pytest.mark.parametrize("answers", [[], [no_response("is down")]], ids=["in flight", "to be sent again"])
def test_a_journal_that_another_process_has_found_without_its_lock_is_left_to_it_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: list[Answer]
) -> None:
    place, delivery = place_in(tmp_path), HeldDelivery(held=True, answers=answers)
    errors: list[DeliveryError] = []
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.put(record(0))
        assert delivery.sending.wait(10)
        queue.put(record(1))
        [directory] = Path(place.path).iterdir()
        with taken(tmp_path, place.path):
            base = open_base(place.path, create=False)
            found = LockedDirectory.try_lock(base, directory.name)
            assert found is not None
            base.close()
            queue.put(record(2))  # which that one may have missed
            delivery.gate.set()
            assert queue.flush(10)
            queue.put(record(3))
            assert queue.flush(10)
            del delivery.batches[: len(answers)]
            assert are_whole(queue, delivery, 4)
            assert (queue.queue.memory.size, queue.queue.memory.records) == (0, 0)
            assert {path.name for path in Path(place.path).iterdir()} > {directory.name}
            found.close()
    assert (len(errors), len(caplog.messages)) == (len(answers), 2 * len(answers))  # the outage, and its end


def test_what_is_left_to_another_process_beyond_that_is_counted_as_waiting_and_not_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_096)
    place, delivery = place_in(tmp_path), HeldDelivery(held=True)
    errors: list[DeliveryError] = []
    with pipeline(delivery, journal=place, on_error=errors.append) as queue:
        queue.put(record(0))
        assert delivery.sending.wait(10)
        for number in range(1, 40):
            queue.put(record(number))
        assert queue.queue.journal is not None
        queue.queue.journal.maintain()  # unmaps all files but the last one
        [directory] = Path(place.path).iterdir()
        with taken(tmp_path, place.path):
            base = open_base(place.path, create=False)
            found = LockedDirectory.try_lock(base, directory.name)
            assert found is not None
            base.close()
            delivery.gate.set()
            assert not queue.flush(10)
            stats = queue.stats()
            assert stats.accepted == 40
            assert stats.waiting > 0
            assert stats.delivered + stats.waiting == 40
            assert stats.dropped == {}
            assert delivery.records[-1] == record(39)
            found.close()
    assert errors == []


def test_what_others_have_left_is_locked_again_and_delivered_once(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    for left in range(2):
        gone = Journal(*place, lambda _: None)
        for number in range(3):
            assert gone.append(record(3 * left + number))
        gone.reset_in_child()
    adoption = OrphanSource(*place)
    assert adoption.scan()
    first = adoption.take(limits.MAX_BATCH_BYTES)
    with taken(tmp_path, place.path):
        batches = []
        while first is not None:
            batches.append(first)
            assert isinstance(first, Batch)
            adoption.settle(first.source, len(first.records), len(first.records), "")  # type: ignore[arg-type]
            first = adoption.take(limits.MAX_BATCH_BYTES)
        assert sorted(each for batch in batches for each in batch.records) == [record(number) for number in range(6)]
        assert (adoption.delivered, adoption.dropped, adoption.damaged_files) == (6, {}, 0)
        assert list(Path(place.path).iterdir()) == []


def test_of_two_of_ours_with_one_number_only_the_later_one_may_close_it(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    before = OwnedFd(number)
    os.close(number)
    again = os.open(tmp_path, os.O_RDONLY)  # the same directory, as that above all journals is
    os.dup2(again, number)
    later = OwnedFd(number)
    before.close()
    assert later.is_valid()
    later.close()
    assert not later.is_valid()
    if again != number:
        os.close(again)


CLOSES_ALL = """
import fcntl, os, socket, sys, tempfile

import failpath_otel


def close_all():
    os.closerange(3, 1_024)


def become_a_daemon():
    from daemon import DaemonContext

    DaemonContext(detach_process=False, stdout=sys.stdout, stderr=sys.stderr).open()


def files(numbers, readlink=os.readlink, control=fcntl.fcntl, flags=fcntl.F_GETFL):
    return {number: (readlink(f"/proc/self/fd/{number}"), control(number, flags)) for number in numbers}


failpath = failpath_otel.configure(send_timeout=20)
run = failpath.run("checkout", run_id="r")
for number in range(5):
    run.step(f"delivered {number}", str)
assert failpath.flush(20)
[connection] = [int(name) for name in os.listdir("/proc/self/fd")
                if os.path.exists(f"/proc/self/fd/{name}") or name in {"0", "1", "2"}
                if int(name) > 2 and os.readlink(f"/proc/self/fd/{name}").startswith("socket:")]
for number in range(5):
    run.step(f"waiting {number}", str)
WAY()
folder = tempfile.mkdtemp()
opened = [os.open(f"{folder}/{number}", os.O_RDWR | os.O_CREAT) for number in range(40)]
here, there = socket.socketpair()
os.dup2(here.fileno(), connection)
before = files([*opened, connection])


def check():
    assert files(before) == before
    assert all(os.stat(f"{folder}/{number}").st_size == 0 for number in range(40))
    there.setblocking(False)
    try:
        assert there.recv(1) == b"nothing"
    except BlockingIOError:
        pass


class AtTheEnd:
    # Goes when the modules of Python are gone, and all objects in them.
    def __del__(self, write=os.write, files=files, before=before):
        write(1, b"whole" if files(before) == before else b"not whole")


os.register_at_fork(before=AtTheEnd().__repr__)
check()
for number in range(5):
    run.step(f"after {number}", str)
check()
assert failpath.flush(30), failpath.stats()
check()
stats = failpath.stats()
assert (stats.accepted, stats.delivered, stats.waiting, stats.dropped) == (30, 30, 0, {}), stats
run.step("at the end", str)
END
print("end", flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize("end", ["", "failpath.shutdown()\ncheck()"], ids=["unended", "shut down"])
@pytest.mark.parametrize("way", ["close_all", "become_a_daemon"])
def test_a_process_that_closes_all_of_its_descriptors_delivers_all_steps_once_and_closes_none_of_its_new_files(
    server: FaultServer, way: str, end: str
) -> None:
    if way == "become_a_daemon":
        pytest.importorskip("daemon")
    # A process of its own: all of its descriptors are closed.
    ended = run_program(CLOSES_ALL.replace("WAY", way).replace("END", end), server.url)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.lines[-1] == "whole"
    names = [event["stepKey"] for event in server.taken if event["status"] == "success"]
    assert sorted(names) == sorted(
        [*(f"{kind} {number}" for kind in ("delivered", "waiting", "after") for number in range(5)), "at the end"]
    )
    assert len({event["id"] for event in server.taken}) == len(server.taken) == 32
