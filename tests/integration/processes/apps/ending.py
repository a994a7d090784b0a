"""Ends in the middle of steps: ``python -m …ending HOW``."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

from tests.integration.processes.apps.telling import begin_run, block, connect, take, take_some


def os_exit() -> None:
    os._exit(9)


def terminate() -> None:
    """With Python's own handling of SIGTERM, which is the system's: death at once."""
    os.kill(os.getpid(), signal.SIGTERM)


def abort() -> None:
    os.abort()


def replace() -> None:
    """The same process goes on with another program."""
    os.execv(sys.executable, [sys.executable, "-m", __spec__.name, "nothing"])


def exit_with_an_error() -> None:
    sys.exit(3)


def interrupt() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()


def record_at_exit() -> None:
    """A function that was registered before ``configure()`` runs after everything that was registered by it."""
    atexit.register(record, "registered after configure()")


def leave_a_daemon_thread() -> None:
    run = begin_run(failpath)
    inside = threading.Event()

    def hold() -> None:
        take_some(run, "inside: ")
        inside.set()
        threading.Event().wait()

    threading.Thread(target=take, args=(run, "of a daemon thread", hold), daemon=True).start()
    inside.wait()


def nothing() -> None:
    pass


def record(key: str) -> None:
    take_some(begin_run(failpath), key)


WAYS: Final[dict[str, Callable[[], None]]] = {
    function.__name__: function
    for function in (
        os_exit,
        terminate,
        abort,
        replace,
        exit_with_an_error,
        interrupt,
        record_at_exit,
        leave_a_daemon_thread,
        nothing,
    )
}

atexit.register(lambda: record("registered before configure()"))
failpath: Final = connect()

if __name__ == "__main__":
    whole = begin_run(failpath)
    take_some(whole)
    with block(whole, "in the middle"), block(whole, "further in"):
        WAYS[sys.argv[1]]()
