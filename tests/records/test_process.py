"""The process that a record names."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failpath_otel.records.process import ThisProcess, read_process, start_time

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


def test_a_process_is_named_by_pid_and_host() -> None:
    process = read_process()
    assert (process.pid, process.host) == (os.getpid(), socket.gethostname())


@on_linux
def test_the_start_time_is_when_the_process_began() -> None:
    began = start_time(os.getpid())
    assert began is not None
    at = datetime.strptime(began, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    # The kernel shows the boot in whole seconds.
    assert timedelta(days=-1) < datetime.now(timezone.utc) - at < timedelta(days=30)


@pytest.mark.process
@on_linux
def test_the_start_time_is_the_same_whenever_it_is_read_and_later_for_a_later_process() -> None:
    own = start_time(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = start_time(process.pid)
        process.kill()
    assert own is not None
    assert began is not None
    assert began > own == start_time(os.getpid())


@pytest.mark.process
@on_linux
def test_a_command_with_spaces_and_parentheses_hides_no_start_time() -> None:
    code = """
        import ctypes, sys
        sys.stdout.write(str(ctypes.CDLL(None).prctl(15, b"a ) b (", 0, 0, 0)))
        sys.stdout.flush()
        sys.stdin.read()
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    with subprocess.Popen([sys.executable, "-c", lines], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"0"
        assert ") b (" in Path(f"/proc/{process.pid}/stat").read_text()
        began, own = start_time(process.pid), start_time(os.getpid())
        process.kill()
    assert began is not None
    assert own is not None
    assert began >= own


def test_a_process_that_is_not_there_has_no_start_time() -> None:
    assert start_time(2**22 + 1) is None


@pytest.mark.forks("what a fork leaves in the child is what it shows")
def test_after_a_fork_the_child_names_itself() -> None:
    fork = multiprocessing.get_context("fork")
    this = ThisProcess()
    reading, writing = fork.Pipe(duplex=False)

    def named() -> dict[str, Any]:
        """As it stands in a record."""
        shown: dict[str, Any] = json.loads(msgspec.json.encode(this.info))
        return shown

    child = fork.Process(target=lambda: writing.send((named()["pid"], os.getpid(), named()["host"])))
    child.start()
    assert reading.poll(20)
    pid, actual, host = reading.recv()
    child.join(10)
    assert pid == actual == child.pid
    assert named()["pid"] == os.getpid() != child.pid
    assert host == named()["host"]
