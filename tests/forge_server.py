"""``python -m tests.forge_server SOCKET MODULE...``: forks programs that find their imports done (:mod:`tests.forge`).

This process has one thread, reads requests from one socket, and ends when that is closed. For each request it forks a
keeper, which forks the program, and reports its process id and its end. A program that has ended stays a zombie until
its test has closed the keeper's socket, so that its process id is never that of another while a test may send signals.
"""

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import time
from types import ModuleType
from typing import Any, Final, NoReturn

MAXIMUM_BYTES: Final = 180_000
"""Of a request: less than the least buffer that Linux gives a socket by default."""


MEASURED: Final = "TESTS_COVERAGE"
"""A variable of this process, and not of programs: the folder for what coverage.py has measured of each of these."""


def _next_program(control: socket.socket) -> list[str]:
    """Fork keepers until, in a process that is to be a program, return that program's arguments."""
    while True:
        request, passed, _, _ = socket.recv_fds(control, MAXIMUM_BYTES, 4)
        if not request:
            sys.exit()
        if not os.fork():
            control.close()
            return _keep(json.loads(request), passed)
        for descriptor in passed:
            os.close(descriptor)


def _keep(program: dict[str, Any], passed: list[int]) -> list[str]:
    """Fork the program, in which this returns its arguments; the keeper itself never returns."""
    status, *streams = passed
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        _report(socket.socket(fileno=status), pid)
    os.close(status)
    # A shell has what it runs in the background ignore Ctrl-C, and so would the programs of tests that run there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    _open_streams()
    measured = os.environ.get(MEASURED)
    os.environ.clear()
    os.environ.update({name: value for name, value in program["environment"].items() if name != MEASURED})
    time.tzset()
    os.chdir(program["directory"])
    sys.path[:1] = [program["directory"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    random.seed()
    if measured:
        _measure(measured)
    command: list[str] = program["command"]
    return command


def _measure(folder: str) -> None:
    """Have what this program runs of the package measured, and saved at its end."""
    from coverage import Coverage  # noqa: PLC0415 - not everywhere installed

    coverage = Coverage(f"{folder}/.coverage", data_suffix=True, config_file=f"{folder}/pyproject.toml")

    def save() -> None:
        coverage.stop()
        coverage.save()

    atexit.register(save)
    coverage.start()


def _open_streams() -> None:
    """Make new objects of the standard streams: those of this process may have been files, which can seek."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, f"__{name}__")
        by_line = 1 if old.line_buffering or old.write_through else -1
        new = os.fdopen(number, old.mode, by_line, encoding=old.encoding, errors=old.errors, closefd=False)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _report(status: socket.socket, pid: int) -> NoReturn:
    try:
        status.sendall(f"{pid}\n".encode())
        poll = select.poll()
        poll.register(os.pidfd_open(pid), select.POLLIN)
        poll.register(status, select.POLLIN)
        poll.poll()
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if end is None:  # the process of the tests is gone, or has forgotten this
            os.kill(pid, signal.SIGKILL)
            os._exit(0)
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        status.sendall(f"{code}\n".encode())
        status.recv(1)  # ends when the test has closed its side
    finally:
        os._exit(0)


def _started(control: socket.socket, modules: list[str]) -> list[str]:
    for module in [*modules, *(["coverage"] if MEASURED in os.environ else [])]:
        importlib.import_module(module)
    assert threading.active_count() == 1, threading.enumerate()
    # Keepers are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What is here stays, and is not written to by collections in each program.
    gc.collect()
    gc.freeze()
    return _next_program(control)


def _run(kind: str, text: str) -> None:
    """Run what the interpreter's option ``-m`` or ``-c`` would."""
    if kind == "-m":
        runpy.run_module(text, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(text, "<string>", "exec"), main.__dict__)


# At the level of the module, so that a program stands below no function of this one: the package looks for a name that
# ends processes abruptly in the functions that it runs below.
if __name__ == "__main__":
    sys.argv[0], _text, *sys.argv[1:] = _started(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
    _run(sys.argv[0], _text)
