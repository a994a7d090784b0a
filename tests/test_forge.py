"""Programs that are forked by :mod:`tests.forge`: they behave as if they had been started."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.forge import IS_USABLE, Process, start

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not IS_USABLE, reason="programs are started here, and not forked"),
]


def forked(code: str, *arguments: str, **more: Any) -> Process:
    process = start([sys.executable, "-c", textwrap.dedent(code), *arguments], **more)
    assert isinstance(process, Process)
    return process


def told(code: str, *arguments: str, **more: Any) -> Any:
    """What a program prints, as JSON, that complains of nothing."""
    with forked(code, *arguments, **more) as process:
        printed, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
    return json.loads(printed)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("pass", 0), ("import sys; sys.exit(7)", 7), ("import os; os._exit(3)", 3), ("raise SystemExit('no')", 1)],
)
def test_a_program_ends_with_its_own_code(code: str, expected: int) -> None:
    with forked(code) as process:
        assert process.wait(30) == expected
    assert process.poll() == expected


def test_a_program_has_its_own_arguments_environment_directory_and_session(tmp_path: Path) -> None:
    program = """
        import json, os, sys
        print(json.dumps([sys.argv, dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), __name__]))
    """
    kept = ("PYTHON", "LANG", "LC_", "LD_")  # with others the start is a real one
    variables = {**{name: value for name, value in os.environ.items() if name.startswith(kept)}, "OWN": "1"}
    argv, environment, directory, leads, name = told(program, "a", "b c", env=variables, cwd=tmp_path)
    assert argv == ["-c", "a", "b c"]
    assert environment == variables
    assert (directory, leads, name) == (str(tmp_path), True, "__main__")


def test_a_program_reads_and_writes_streams_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as errors:
        program = "import sys; print(input()); print('no', file=sys.stderr)"
        with forked(program, stdin=subprocess.PIPE, stderr=errors) as process:
            assert process.communicate("yes\n", timeout=30) == ("yes\n", "")
    assert log.read_text() == "no\n"


def test_programs_draw_different_numbers() -> None:
    program = "import json, random, uuid; print(json.dumps([random.random(), str(uuid.uuid4())]))"
    first, second = told(program), told(program)
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_a_program_as_it_does_elsewhere(number: signal.Signals) -> None:
    with forked("print('ready', flush=True); import time; time.sleep(60)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == -number


def test_a_program_whose_end_was_not_seen_is_a_zombie_whose_pid_is_nobody_elses() -> None:
    with forked("import os; os._exit(0)", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert process._line(30) == b"0"
        os.kill(process.pid, 0)
        process._said = b"0\n"


def test_a_program_does_not_outlive_the_process_of_the_tests() -> None:
    process = forked("print('ready', flush=True); import time; time.sleep(60)")
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process._status.close()
        # The end of its standard output is that of the program, whatever becomes of its keeper.
        assert process.stdout.read() == ""
        process.returncode = -signal.SIGKILL


def test_what_runs_at_exit_runs_and_the_main_thread_waits_for_others() -> None:
    program = """
        import atexit, threading
        atexit.register(print, '"the end"]')
        threading.Thread(target=lambda: print('["a thread",')).start()
    """
    assert told(program) == ["a thread", "the end"]


def test_a_program_starts_with_one_thread_the_default_handlers_and_no_descriptor_of_others() -> None:
    program = """
        import json, os, signal, threading
        handlers = signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGCHLD)
        print(json.dumps([threading.active_count(), handlers, sorted(map(int, os.listdir("/proc/self/fd")))]))
    """
    threads, handlers, descriptors = told(program)
    assert (threads, handlers) == (1, [True, signal.SIG_DFL])
    assert descriptors[:3] == [0, 1, 2]
    assert len(descriptors) == 4  # and the folder that is listed


def test_a_program_does_not_stand_below_what_ends_abruptly() -> None:
    program = """
        from failpath_otel.runtime.exits import AbruptExit
        print("true" if AbruptExit().is_expected() else "false")
    """
    assert told(program) is False
