"""Forks while steps are open: ``python -m …forking END``, where ``END`` is how the child ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

from tests.integration.processes.apps.telling import begin_run, block, connect, take, take_some


def leave() -> None:
    """Ends as any script does."""


def vanish() -> None:
    os._exit(0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def multiply() -> None:
    """Forks a grandchild while a step of the child is open, too."""
    if not os.fork():
        take_some(begin_run(failpath))
        return
    os.wait()


ENDS: Final[dict[str, Callable[[], None]]] = {
    function.__name__: function for function in (leave, vanish, die, multiply)
}

failpath: Final = connect()


def main(end: Callable[[], None]) -> None:
    run = begin_run(failpath)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        go_on.wait()

    # A thread that does not exist in the child, and whose step goes on here.
    thread = threading.Thread(target=take, args=(run, "of a thread", hold))
    thread.start()
    inside.wait()
    with block(run, "open"), block(run, "open within"):
        child = os.fork()
        take_some(run, f"inside, by {os.getpid()}: ")
        if child:
            os.waitpid(child, 0)
        else:
            with block(begin_run(failpath), "while the child ends"):
                end()
    take_some(run, f"behind, by {os.getpid()}: ")
    if child:
        go_on.set()
        thread.join()


if __name__ == "__main__":
    main(ENDS[sys.argv[1]])
