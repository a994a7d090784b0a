"""The monitor has the current liveness of running runs, and reports its changes."""

import logging
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failpath_otel.local.liveness.liveness import Processes
from failpath_otel.local.liveness.monitor import LivenessMonitor, RunLiveness
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey, StoredRun
from failpath_otel.local.store.store import Store
from failpath_otel.records.process import start_time
from failpath_otel.records.record import ProcessInfo, Record
from tests.local.events import EPOCH_NS, event
from tests.local.rows import RECEIVED, project, received_events

RUN, OTHER = RunKey("checkout", "run-1"), RunKey("checkout", "run-2")
DEAD = ProcessInfo(7, "here", "2023-11-14T22:13:20.000000Z")


class Scene:
    """A store whose rows are always up to date, a clock, what is known of steps and processes, and a monitor."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.now = 0.0
        self.p95: dict[tuple[str, str], float] = {}
        self.dead: set[ProcessInfo] = set()
        self.asked: list[ProcessInfo] = []
        self.reported: list[list[RunKey]] = []
        self.monitor = self.new_monitor(self.reported.append)

    def new_monitor(self, on_change: Callable[[list[RunKey]], object], **options: Any) -> LivenessMonitor:
        return LivenessMonitor(
            self.store,
            lambda flow_key, step_key: self.p95.get((flow_key, step_key)),
            options.pop("is_gone", self._is_gone),
            on_change,
            clock=lambda: EPOCH_NS // 1000 + round(self.now * 1_000_000),
            **options,
        )

    def _is_gone(self, process: ProcessInfo) -> bool:
        self.asked.append(process)
        return process in self.dead

    def arrive(self, *records: Record) -> None:
        self.store.add(received_events(*records), RECEIVED)
        project(self.store)

    def attempts(self, run: RunKey) -> StoredRun:
        return self.store.runs.stored([run])[0]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path / "db")
    yield scene
    scene.monitor.close()
    scene.store.close()


def of(process: ProcessInfo, record: Record) -> Record:
    return msgspec.structs.replace(record, process=process)


def test_a_run_that_falls_silent_is_reported_once(scene: Scene) -> None:
    scene.arrive(event("running", 0))
    scene.now = 30
    assert (scene.monitor.check(), scene.monitor.liveness(RUN)) == ([], "live")
    scene.now = 30.1
    assert (scene.monitor.check(), scene.monitor.liveness(RUN)) == ([RUN], "silent")
    assert scene.monitor.check() == []
    assert scene.reported == [[RUN]]


def test_a_run_that_is_silent_from_the_start_is_reported(scene: Scene) -> None:
    scene.arrive(event("running", 0))
    scene.now = 31
    assert scene.monitor.check() == [RUN]


def test_a_late_record_ends_the_silence(scene: Scene) -> None:
    scene.arrive(event("running", 0))
    scene.now = 40
    assert scene.monitor.current() == {RUN: "silent"}
    scene.arrive(event("success", 35))
    assert scene.monitor.current() == {}
    assert scene.monitor.liveness(RUN) is None
    assert scene.monitor.check() == []


def test_a_silent_step_that_is_found_to_take_long_is_live_again_and_that_is_reported(scene: Scene) -> None:
    scene.arrive(event("running", 0))
    scene.now = 40
    assert scene.monitor.check() == [RUN]
    scene.p95["checkout", "pay"] = 20_000
    assert (scene.monitor.check(), scene.monitor.liveness(RUN)) == ([RUN], "live")


def test_a_run_whose_process_ends_is_gone_and_is_not_looked_at_again(scene: Scene) -> None:
    scene.arrive(of(DEAD, event("running", 0)), event("running", 0, run="run-2"))
    assert scene.monitor.check() == []
    scene.dead.add(DEAD)
    assert scene.monitor.check() == [RUN]
    scene.asked.clear()
    assert scene.monitor.check() == []
    assert scene.monitor.current() == {RUN: "gone", OTHER: "live"}
    assert scene.asked == []


def test_a_run_that_is_gone_is_looked_at_again_when_it_changes(scene: Scene) -> None:
    scene.dead.add(DEAD)
    scene.arrive(of(DEAD, event("running", 0, span="a")))
    assert scene.monitor.check() == [RUN]
    # A second attempt, of another process: the newest one counts.
    scene.arrive(event("running", 1, span="b"))
    assert (scene.monitor.liveness(RUN), scene.monitor.check()) == ("live", [RUN])
    scene.arrive(of(DEAD, event("running", 2, step="ship", span="c")))
    assert (scene.monitor.liveness(RUN), scene.monitor.check()) == ("gone", [RUN])
    scene.arrive(event("error", 3, step="ship", span="c"), event("success", 3, span="b"))
    assert (scene.monitor.liveness(RUN), scene.monitor.check()) == (None, [])


def test_a_run_that_begins_again_after_its_end_is_reported_again(scene: Scene) -> None:
    scene.dead.add(DEAD)
    scene.arrive(of(DEAD, event("running", 0)))
    assert scene.monitor.check() == [RUN]
    scene.arrive(event("success", 1))
    assert scene.monitor.check() == []
    scene.arrive(of(DEAD, event("running", 2, step="ship", span="b")))
    assert scene.monitor.check() == [RUN]


def test_each_step_of_a_run_that_falls_silent_is_reported(scene: Scene) -> None:
    scene.arrive(event("running", 0, span="a"), event("running", 10, step="ship", span="b"))
    scene.now = 35
    assert (scene.monitor.check(), scene.monitor.check()) == ([RUN], [])
    scene.now = 45
    assert (scene.monitor.check(), scene.monitor.check()) == ([RUN], [])


def test_each_process_of_a_run_that_ends_is_reported(scene: Scene) -> None:
    later = ProcessInfo(8, "here", DEAD.start_time)
    scene.arrive(
        of(DEAD, event("running", 0, span="a")),
        of(later, event("running", 0, step="ship", span="b")),
    )
    scene.dead.add(DEAD)
    assert (scene.monitor.check(), scene.monitor.check()) == ([RUN], [])
    scene.dead.add(later)
    assert (scene.monitor.check(), scene.monitor.check()) == ([RUN], [])
    scene.asked.clear()
    assert scene.monitor.check() == []
    assert scene.asked == []


def test_an_earlier_attempt_whose_process_ends_is_reported(scene: Scene) -> None:
    scene.arrive(of(DEAD, event("running", 0, span="a")), event("running", 1, span="b"))
    assert scene.monitor.check() == []
    scene.dead.add(DEAD)
    assert (scene.monitor.check(), scene.monitor.liveness(RUN)) == ([RUN], "live")


def test_runs_with_new_revisions_and_without_a_change_are_not_reported(scene: Scene) -> None:
    scene.dead.add(DEAD)
    scene.arrive(of(DEAD, event("running", 0)), event("running", 0, run="run-2"))
    assert scene.monitor.check() == [RUN]
    scene.store.bump_revisions([RUN, OTHER])
    assert scene.monitor.check() == []
    assert scene.monitor.current() == {RUN: "gone", OTHER: "live"}


def test_what_lists_say_is_what_the_page_of_a_run_says(scene: Scene) -> None:
    scene.dead.add(DEAD)
    scene.p95["checkout", "slow"] = 50_000
    scene.arrive(
        of(DEAD, event("running", 0, span="a")),
        event("running", 0, span="b", step="slow"),
        event("success", 1, span="c", step="done"),
        event("running", 0, span="d", run="run-2"),
        event("running", 0, span="e", run="run-2", step="slow"),
        event("skipped", 0, span="f", run="run-3"),
    )
    scene.now = 60
    assessed = {run: scene.monitor.assess(run.flow_key, scene.attempts(run).attempts) for run in (RUN, OTHER)}
    assert {run: its.run for run, its in assessed.items()} == {RUN: "gone", OTHER: "silent"} == scene.monitor.current()
    assert [(run, scene.monitor.liveness(run)) for run in assessed] == [(RUN, "gone"), (OTHER, "silent")]
    steps = {step.step_key: its for step, its in zip(scene.attempts(RUN).attempts, assessed[RUN].attempts, strict=True)}
    assert steps == {"pay": "gone", "slow": "live", "done": None}
    third = RunKey("checkout", "run-3")
    assert (scene.monitor.liveness(third), scene.monitor.assess("checkout", scene.attempts(third).attempts)) == (
        None,
        RunLiveness(None, [None], [False]),
    )


def test_an_earlier_attempt_that_never_ended_is_judged_but_does_not_judge_the_run(scene: Scene) -> None:
    scene.dead.add(DEAD)
    scene.arrive(of(DEAD, event("running", 0, span="a")), event("running", 1, span="b"))
    assert scene.monitor.assess("checkout", scene.attempts(RUN).attempts) == RunLiveness(
        "live", ["gone", "live"], [False, False]
    )
    assert scene.monitor.liveness(RUN) == "live"


def test_the_store_is_asked_only_for_what_has_changed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failpath_otel.local.liveness.monitor._PAGE", 2)
    scene.arrive(*(event("running", 0, run=f"run-{number}", span=f"{number}") for number in range(9)))
    scene.monitor.check()
    got: list[str] = []
    running, changes = scene.store.runs.running, scene.store.runs.changes

    def listen(method: Callable[..., Iterable[Any]], *arguments: int) -> Iterable[Any]:
        rows = method(*arguments)
        got.extend(row.run_id if method == changes else row.row.run_id for row in rows)
        return rows

    monkeypatch.setattr(scene.store.runs, "running", lambda *after: listen(running, *after))
    monkeypatch.setattr(scene.store.runs, "changes", lambda *after: listen(changes, *after))
    scene.monitor.check()
    assert got == []
    scene.arrive(*(event("success", 1, run=f"run-{number}", span=f"{number}") for number in range(5)))
    scene.arrive(event("running", 1, run="run-7", span="x", step="ship"))
    assert len(scene.monitor.current()) == 4
    assert sorted(got) == ["run-0", "run-1", "run-2", "run-3", "run-4", "run-7", "run-7"]


def test_runs_that_were_deleted_are_forgotten(scene: Scene) -> None:
    scene.dead.add(DEAD)
    scene.arrive(of(DEAD, event("running", 0)), event("running", 0, flow="import"))
    assert scene.monitor.check() == [RUN]
    scene.store.delete_flow("checkout")
    scene.monitor.reset()
    assert scene.monitor.current() == {RunKey("import", "run-1"): "live"}
    scene.arrive(of(DEAD, event("running", 0)))
    assert scene.monitor.check() == [RUN], "it is another run now"


def test_what_on_change_refused_is_reported_again(scene: Scene) -> None:
    def refuse(_runs: list[RunKey]) -> None:
        msg = "the database is busy"
        raise StoreError(msg)

    monitor = scene.new_monitor(refuse)
    scene.arrive(event("running", 0))
    scene.now = 31
    for _ in range(2):
        with pytest.raises(StoreError):
            monitor.check()


def test_a_run_that_a_reader_finds_gone_while_others_are_reported_is_reported_next(scene: Scene) -> None:
    scene.p95["checkout", "pay"] = 20_000
    scene.arrive(of(DEAD, event("running", 0)), event("running", 0, run="run-2", step="other"))
    reported: list[list[RunKey]] = []

    def on_change(runs: list[RunKey]) -> None:
        reported.append(runs)
        scene.dead.add(DEAD)
        assert monitor.liveness(RUN) == "gone"
        assert monitor.current() == {RUN: "gone", OTHER: "silent"}

    monitor = scene.new_monitor(on_change)
    scene.now = 31
    monitor.check()
    monitor.check()
    assert reported == [[OTHER], [RUN]]


# The thread.


def test_a_look_that_fails_is_logged_once_and_the_next_one_works(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR)
    failures, reported = threading.Semaphore(0), queue.SimpleQueue[list[RunKey]]()
    revision = scene.store.runs.revision

    def fail() -> int:
        failures.release()
        msg = "the database is busy"
        raise StoreError(msg)

    monkeypatch.setattr(scene.store.runs, "revision", fail)
    monitor = scene.new_monitor(reported.put, interval=0.001)
    monitor.start()
    try:
        for _ in range(5):
            assert failures.acquire(timeout=10)
        monkeypatch.setattr(scene.store.runs, "revision", revision)
        scene.arrive(event("running", 0))
        scene.now = 31
        assert reported.get(timeout=10) == [RUN]
    finally:
        monitor.close()
    assert [record.getMessage() for record in caplog.records] == [
        "Looking for silent runs failed: the database is busy"
    ]


@pytest.mark.process
def test_the_thread_reports_a_process_that_was_killed(scene: Scene) -> None:
    reported = queue.SimpleQueue[list[RunKey]]()
    monitor = scene.new_monitor(reported.put, is_gone=Processes().is_gone, interval=0.01)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            info = ProcessInfo(process.pid, socket.gethostname(), start_time(process.pid))
            scene.arrive(of(info, event("running", 0)))
            monitor.start()
            assert monitor.liveness(RUN) == "live"
            process.kill()
            assert reported.get(timeout=10) == [RUN]
        finally:
            process.kill()
            monitor.close()
    assert monitor.liveness(RUN) == "gone"


def test_close_does_not_wait_for_the_next_look(scene: Scene) -> None:
    monitor = scene.new_monitor(scene.reported.append, interval=3600)
    monitor.start()
    monitor.close()
    assert not monitor._thread.is_alive()


def test_a_monitor_that_was_never_started_can_be_closed_and_read(scene: Scene) -> None:
    scene.arrive(event("running", 0))
    scene.monitor.close()
    assert scene.monitor.current() == {RUN: "live"}
