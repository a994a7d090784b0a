"""A process that is forked beside a journal: the parent keeps its journal, whichever process lives longer."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from failpath_otel.journal.discovery import lock_orphans
from tests.journal.conftest import BINDING
from tests.journal.reading import take_all
from tests.receiver import wait_for

pytestmark = pytest.mark.process

PARENT = """
    import os, sys, time
    from failpath_otel.journal.journal import Journal
    from failpath_otel.journal.discovery import lock_orphans
    from failpath_otel.runtime.forking import after_fork_in_child
    base, binding = sys.argv[1:]
    journal = Journal(base, binding, lambda _: None)
    after_fork_in_child(journal.reset_in_child)
    for number in range(5):
        assert journal.append(b"parent%d" % number)
    read = journal.read(2, 0, journal.appended)
    journal.take(read)
    journal.confirm(2)
"""


@contextmanager
def program(base: Path, code: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT) + textwrap.dedent(code), str(base), BINDING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline()))


def found_by_and_by(base: Path, count: int) -> list[list[bytes]]:
    """So many of :func:`found`; a child that was forked a moment ago may not have closed what is its parent's."""
    all_of_them: list[list[bytes]] = []

    def enough() -> bool:
        all_of_them.extend(found(base))
        return len(all_of_them) >= count

    wait_for(enough)
    return all_of_them


def found(base: Path) -> list[list[bytes]]:
    """The records of each journal whose process is gone, which goes with this."""
    all_of_them = []
    for orphan in lock_orphans(str(base), BINDING, lambda *_: None):
        all_of_them.append(take_all(orphan))
        orphan.remove()
    return all_of_them


LEFT = [b"parent2", b"parent3", b"parent4"]


def test_a_child_that_outlives_its_parent_does_not_keep_the_parents_journal(base: Path) -> None:
    code = """
        child = os.fork()
        if child == 0:
            assert journal.append(b"child")
            print(os.getpid(), flush=True)
            sys.stdin.readline()
            os._exit(0)
        os.waitpid(child, 0)
    """
    with program(base, code) as parent:
        child = said(parent)
        try:
            assert found(base) == []
            parent.send_signal(signal.SIGKILL)
            parent.wait(10)
            assert found(base) == [LEFT]
            os.kill(child, signal.SIGKILL)
            assert wait_for(lambda: found(base)) == [[b"child"]]
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "journal.reset_in_child(); os._exit(0)", "sys.exit()"]
)
def test_a_child_that_ends_first_neither_frees_nor_changes_what_is_the_parents(base: Path, end: str) -> None:
    code = f"""
        child = os.fork()
        if child == 0:
            {end}
        os.waitpid(child, 0)
        print(child, flush=True)
        sys.stdin.readline()
        assert journal.append(b"parent5")
        read = journal.read(512, 0, journal.appended)
        journal.take(read)
        print(len(read.records), flush=True)
        sys.stdin.readline()
    """
    with program(base, code) as parent:
        said(parent)
        assert found(base) == [], "the parent's lock is free"
        assert parent.stdin is not None
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert said(parent) == 4
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    assert found(base) == [[*LEFT, b"parent5"]]


@pytest.mark.parametrize("moment", ["flock", "rename"])
def test_a_fork_while_another_thread_begins_a_journal_does_not_keep_it(base: Path, moment: str) -> None:
    """The child must not have the lock of a journal that no object named yet when it was forked."""
    code = f"""
        import fcntl, threading
        holder, name = (fcntl, "flock") if {moment!r} == "flock" else (os, "rename")
        original = getattr(holder, name)
        inside = threading.Event()
        def slowly(*arguments, **more):
            result = original(*arguments, **more)
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                time.sleep(0.3)
            return result
        setattr(holder, name, slowly)
        second = Journal(base, binding, lambda _: None)
        after_fork_in_child(second.reset_in_child)
        thread = threading.Thread(target=second.append, args=(b"second",))
        thread.start()
        inside.wait()
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        thread.join()
        print(child, flush=True)
        sys.stdin.readline()
    """
    with program(base, code) as parent:
        child = said(parent)
        try:
            parent.send_signal(signal.SIGKILL)
            parent.wait(10)
            assert sorted(found_by_and_by(base, 2)) == sorted([LEFT, [b"second"]])
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_child_does_not_keep_the_orphans_that_its_parent_has_locked(base: Path) -> None:
    with program(base, "os.kill(os.getpid(), 9)") as gone:
        gone.wait(10)
    code = """
        found = lock_orphans(base, binding, lambda *_: None)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        print(child if len(found) == 1 else 0, flush=True)
        sys.stdin.readline()
    """
    with program(base, code) as parent:
        child = said(parent)
        assert child
        try:
            assert found(base) == []
            parent.send_signal(signal.SIGKILL)
            parent.wait(10)
            assert found_by_and_by(base, 2) == [LEFT, LEFT]
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_fault_in_a_forked_child_does_not_keep_others_from_letting_go(base: Path) -> None:
    code = """
        class Faulty:
            def begin(self):
                raise ZeroDivisionError
        faulty = Faulty()
        after_fork_in_child(faulty.begin)
        second = Journal(base, binding, lambda _: None)
        second.append(b"second")
        after_fork_in_child(second.reset_in_child)
        child = os.fork()
        if child == 0:
            print(second.appended, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        sys.stdin.readline()
    """
    with program(base, code) as parent:
        assert said(parent) == 0, "the child goes on writing where its parent does"
