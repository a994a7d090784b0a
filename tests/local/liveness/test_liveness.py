"""What is running is live, silent or gone; shown with processes that really run, end and are left as zombies."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from failpath_otel.local.liveness.liveness import Liveness, Processes, liveness_of, run_liveness
from failpath_otel.local.runs.summary import AttemptSummary
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.records.process import read_process, start_time
from failpath_otel.records.record import ProcessInfo, Status, rfc3339
from tests.receiver import wait_for

HOST = socket.gethostname()
SECOND = 1_000_000
on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")

SAY_AND_SLEEP = """
import sys
from failpath_otel.records.process import read_process
import msgspec
sys.stdout.write(msgspec.json.encode(read_process()).decode() + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def running(
    step_key: str = "pay",
    *,
    status: Status = "running",
    started: int | None = 1000 * SECOND,
    process: ProcessInfo | None = None,
    newest: bool = True,
) -> AttemptSummary:
    """An attempt that began at 1000 s."""
    return AttemptSummary(step_key, status, started, None, None, None, None, "trace", "span", process, newest)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def never(_process: ProcessInfo) -> bool:
    return False


def unknown(_step_key: str) -> None:
    return None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def processes(clock: Clock) -> Processes:
    return Processes(clock)


class Child(NamedTuple):
    """A process that waits, and what its records say of it."""

    process: subprocess.Popen[str]
    info: ProcessInfo

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def child() -> Iterator[Child]:
    with subprocess.Popen(
        [sys.executable, "-c", SAY_AND_SLEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Child(process, msgspec.json.decode(process.stdout.readline(), type=ProcessInfo))
        finally:
            process.kill()


def moved(process: ProcessInfo, seconds: float) -> ProcessInfo:
    """A process with this pid that began ``seconds`` later."""
    assert process.start_time is not None
    begun = rfc3339((parse_rfc3339(process.start_time) + int(seconds * SECOND)) * 1000)
    return ProcessInfo(process.pid, process.host, begun)


# The rule.


@pytest.mark.parametrize(
    ("p95_ms", "seconds", "expected"),
    [
        (None, 30, "live"),
        (None, 30.000001, "silent"),
        (9_999.0, 30, "live"),
        (9_999.0, 30.000001, "silent"),
        (20_000.0, 60, "live"),
        (20_000.0, 60.000001, "silent"),
        (1e308, 9e9, "live"),
        (None, -5, "live"),
    ],
)
def test_silent_is_what_takes_longer_than_30_s_and_than_three_times_the_p95(
    p95_ms: float | None, seconds: float, expected: Liveness
) -> None:
    assert liveness_of(running(), 1000 * SECOND + round(seconds * SECOND), lambda _: p95_ms, never) == expected


def test_what_is_gone_is_not_called_silent(child: Child, processes: Processes) -> None:
    attempt = running(process=child.info)
    assert liveness_of(attempt, 5000 * SECOND, unknown, processes.is_gone) == "silent"
    child.kill()
    assert liveness_of(attempt, 5000 * SECOND, unknown, Processes().is_gone) == "gone"


def test_what_has_no_start_is_never_silent() -> None:
    assert liveness_of(running(started=None), 9**18, unknown, never) == "live"


def test_a_p95_is_asked_for_only_of_what_it_can_make_silent() -> None:
    asked: list[str] = []

    def p95(step_key: str) -> None:
        asked.append(step_key)

    assert liveness_of(running("young"), 1030 * SECOND, p95, never) == "live"
    assert asked == []
    assert liveness_of(running("old"), 1031 * SECOND, p95, never) == "silent"
    assert asked == ["old"]


def test_a_run_is_as_bad_as_the_worst_newest_attempt_of_its_steps() -> None:
    dead = ProcessInfo(1, "dead")
    live, silent = running("a", started=1000 * SECOND), running("b", started=900 * SECOND)
    gone = running("c", process=dead)

    def liveness(*attempts: AttemptSummary) -> Liveness | None:
        return run_liveness(attempts, 1001 * SECOND, lambda _: None, lambda process: process == dead)

    def old(attempt: AttemptSummary) -> AttemptSummary:
        return msgspec.structs.replace(attempt, newest=False)

    assert liveness(live) == "live"
    assert liveness(live, silent) == "silent"
    assert liveness(gone, live, silent) == "gone"
    assert liveness(live, old(gone), old(silent)) == "live"
    assert liveness(live, msgspec.structs.replace(gone, status="error")) == "live"


@pytest.mark.parametrize("status", ["success", "error", "skipped"])
def test_a_run_that_is_not_running_has_no_liveness(status: Status) -> None:
    attempts = [running(status=status), running(newest=False)]
    assert run_liveness(attempts, 9**18, lambda _: None, lambda _: True) is None


def test_each_step_is_measured_by_its_own_p95() -> None:
    attempts = [running("slow"), running("quick")]
    now = 1060 * SECOND
    assert run_liveness(attempts, now, {"slow": 30_000.0, "quick": 1.0}.get, never) == "silent"
    assert run_liveness(attempts, now, {"slow": 30_000.0, "quick": 30_000.0}.get, never) == "live"


# Processes.


def test_a_process_that_runs_is_not_gone(child: Child, processes: Processes) -> None:
    assert not processes.is_gone(read_process())
    assert not processes.is_gone(child.info)


def test_a_process_that_has_ended_is_gone(child: Child, processes: Processes) -> None:
    child.kill()
    assert processes.is_gone(child.info)


def test_a_process_that_ends_while_it_is_observed_is_gone_within_a_second(
    child: Child, clock: Clock, processes: Processes
) -> None:
    assert not processes.is_gone(child.info)
    child.kill()
    assert not processes.is_gone(child.info), "what was just seen is believed"
    clock.now = 0.9
    assert processes.is_gone(child.info)


@on_linux
def test_a_zombie_is_gone(child: Child, processes: Processes) -> None:
    child.process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert processes.is_gone(child.info)


@pytest.mark.process
@on_linux
def test_a_process_whose_first_thread_alone_has_ended_is_not_gone(processes: Processes) -> None:
    code = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[__import__("platform").machine()], 0)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        try:
            info = ProcessInfo(process.pid, HOST, start_time(process.pid))
            stat = Path(f"/proc/{process.pid}/stat")
            wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
            assert not processes.is_gone(info)
        finally:
            process.kill()


@on_linux
def test_a_process_is_gone_when_a_later_one_has_its_pid(child: Child, processes: Processes) -> None:
    assert processes.is_gone(moved(child.info, -10))


@on_linux
def test_nothing_is_said_of_a_process_that_would_share_its_pid_with_an_older_one(
    child: Child, processes: Processes
) -> None:
    assert not processes.is_gone(moved(child.info, 10))
    child.kill()
    assert not processes.is_gone(moved(child.info, 10))


@on_linux
def test_a_clock_that_was_corrected_by_a_second_makes_no_other_process(child: Child, processes: Processes) -> None:
    assert not processes.is_gone(moved(child.info, -1))
    assert not processes.is_gone(moved(child.info, 1))


@on_linux
def test_a_clock_that_is_set_while_a_process_is_observed_does_not_end_it(
    child: Child, clock: Clock, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not processes.is_gone(child.info)
    monkeypatch.setattr("failpath_otel.local.liveness.liveness.start_time", lambda _: "2040-01-01T00:00:00Z")
    clock.now = 1.0
    assert not processes.is_gone(child.info)


@on_linux
def test_a_process_of_an_earlier_boot_is_gone(child: Child, processes: Processes) -> None:
    # pid 1 began with this boot; a holder of it in an earlier one is gone, like any other.
    if not Path("/proc/self/ns/pid").readlink().name.endswith("[4026531836]"):
        pytest.skip("a container does not know when the machine was booted")
    child.kill()
    for pid in (1, child.info.pid):
        assert processes.is_gone(ProcessInfo(pid, HOST, "2001-01-01T00:00:00.000000Z"))


@pytest.mark.parametrize("begun", [None, "yesterday"])
def test_without_a_start_time_the_pid_alone_counts(child: Child, clock: Clock, begun: str | None) -> None:
    processes, process = Processes(clock), ProcessInfo(child.info.pid, HOST, begun)
    assert not processes.is_gone(process)
    child.kill()
    clock.now = 1.0
    assert processes.is_gone(process)


def test_a_system_without_start_times_does_not_judge_records_that_have_them(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failpath_otel.local.liveness.liveness.start_time", lambda _: None)
    processes = Processes()
    child.kill()
    assert not processes.is_gone(ProcessInfo(child.info.pid, HOST, "2026-01-01T00:00:00.000000Z"))
    assert processes.is_gone(ProcessInfo(child.info.pid, HOST))


def test_a_process_is_here_as_long_as_this_very_one_runs_on_this_host(
    child: Child, clock: Clock, processes: Processes
) -> None:
    assert processes.is_here(child.info)
    assert not processes.is_here(ProcessInfo(child.info.pid, HOST))
    assert not processes.is_here(ProcessInfo(child.info.pid, f"not-{HOST}", child.info.start_time))
    child.kill()
    clock.now += 10
    assert not processes.is_here(child.info)


def test_nothing_is_said_of_another_host(child: Child, processes: Processes) -> None:
    child.kill()
    assert not processes.is_gone(ProcessInfo(child.info.pid, f"not-{HOST}", child.info.start_time))


@pytest.mark.parametrize("pid", [0, -1, -(2**70), 2**22 + 1, 2**31, 2**70])
def test_a_pid_that_no_process_can_have_is_never_gone(processes: Processes, pid: int) -> None:
    assert not processes.is_gone(ProcessInfo(pid, HOST))


def test_a_start_time_of_any_length_costs_no_memory(processes: Processes) -> None:
    assert not processes.is_gone(ProcessInfo(2**22, HOST, "x" * 65))
    assert processes._known == {}


def test_a_process_of_another_user_exists(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not processes.is_gone(ProcessInfo(2**22, HOST))


@on_linux
def test_a_clock_that_is_set_ends_no_process(
    child: Child, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system reckons all starts by it, also those of processes whose records name what it said before."""
    before = start_time

    def an_hour_later(pid: int) -> str | None:
        begun = before(pid)
        return begun and rfc3339((parse_rfc3339(begun) + 3600 * SECOND) * 1000)

    monkeypatch.setattr("failpath_otel.local.liveness.liveness.start_time", an_hour_later)
    assert not processes.is_gone(child.info)
    assert not processes.is_gone(moved(child.info, 3600))
    assert processes.is_gone(moved(child.info, -60))
    assert processes.is_gone(moved(child.info, 3540))
    child.kill()
    assert Processes().is_gone(child.info)


@on_linux
def test_gone_is_final_for_this_start_time_only(child: Child, clock: Clock, processes: Processes) -> None:
    former = moved(child.info, -10)
    assert processes.is_gone(former)
    assert not processes.is_gone(child.info)
    clock.now = 100.0
    assert processes.is_gone(former)
    assert not processes.is_gone(child.info)


def test_what_is_gone_is_not_looked_at_again(
    child: Child, clock: Clock, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    child.kill()
    assert processes.is_gone(child.info)
    monkeypatch.setattr("failpath_otel.local.liveness.liveness.inspect_process", lambda _: pytest.fail("looked"))
    clock.now = 1e6
    assert processes.is_gone(child.info)


def test_the_number_of_processes_that_are_remembered_is_bounded(
    child: Child, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failpath_otel.local.liveness.liveness._MAX_KNOWN", 3)
    for number in range(10):
        processes.is_gone(ProcessInfo(2**22 - number, HOST))
        assert not processes.is_gone(child.info)
        assert len(processes._known) <= 3


@pytest.mark.process
@on_linux
def test_a_process_in_a_container_with_this_hosts_name_is_observed_from_outside(
    clock: Clock, processes: Processes
) -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no pid namespace can be made here")
    # A shell in between has pid 1 and the process another, which is free out here or an old process's.
    script = [*command, "sh", "-c", '"$@"; true', "sh", sys.executable, "-c", SAY_AND_SLEEP]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as outer:
        try:
            assert outer.stdout is not None
            info = msgspec.json.decode(outer.stdout.readline(), type=ProcessInfo)
            assert (info.pid, info.host) == (2, HOST)
            assert not processes.is_gone(info)
            clock.now = 1.0
            assert not processes.is_gone(info)
        finally:
            outer.kill()
            outer.wait(10)
        clock.now = 2.0
        wait_for(lambda: _later(clock) and processes.is_gone(info))


@on_linux
def test_a_process_in_a_container_is_found_without_its_start_time_too(
    child: Child, clock: Clock, processes: Processes
) -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    child.kill()
    # The pid is free out here.
    given = f'echo {child.info.pid - 1} > /proc/sys/kernel/ns_last_pid; "$@"; true'
    script = [*command, "sh", "-c", given, "sh", sys.executable, "-c", SAY_AND_SLEEP]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no pid namespace can be made here")
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as outer:
        try:
            assert outer.stdout is not None
            info = ProcessInfo(msgspec.json.decode(outer.stdout.readline(), type=ProcessInfo).pid, HOST)
            if info.pid != child.info.pid:
                pytest.skip("no pid can be chosen here")
            assert not processes.is_gone(info)
        finally:
            outer.kill()
            outer.wait(10)
        wait_for(lambda: _later(clock) and processes.is_gone(info))


def _later(clock: Clock) -> bool:
    clock.now += 1
    return True


@on_linux
def test_a_receiver_in_a_container_says_nothing_of_what_is_older_than_the_container(child: Child) -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no pid namespace can be made here")
    code = """
import sys, msgspec
from failpath_otel.records.process import read_process
from failpath_otel.records.record import ProcessInfo
from failpath_otel.local.liveness.liveness import Processes
info = msgspec.json.decode(sys.argv[1], type=ProcessInfo)
ended = ProcessInfo(info.pid, info.host, read_process().start_time)
processes = Processes()
print(*map(processes.is_gone, (info, ended, read_process())))
"""
    older = moved(child.info, -10)  # Within the tolerance the container could be as old as the child.
    said = subprocess.run(
        [*command, sys.executable, "-c", code, msgspec.json.encode(older)],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    assert said.split() == ["False", "True", "False"]
