"""Jobs of rq, Dramatiq, Huey and Celery, whose workers know nothing of steps: this module alone calls `configure()`."""

import os
import signal
from contextlib import suppress
from typing import Final

from tests.integration.processes.apps.telling import begin_run, block, connect, fail, take, tell_patience

failpath: Final = connect()
_kept: Final[list[object]] = []


def release() -> None:
    """A run without a block: it ends when nothing refers to it any more."""
    take(begin_run(failpath), "release", lambda: None)


def leave_block() -> None:
    """A run with one, which is kept for longer than the process lives."""
    run = begin_run(failpath)
    _kept.append(run)
    with run:
        take(run, "leave_block", lambda: None)


def decline() -> None:
    """A step that fails, and the job with it."""
    run = begin_run(failpath)
    with block(run, "before"):
        pass
    take(run, "decline", fail)


def many() -> None:
    """Steps one after another, which are not waited for one by one."""
    run = begin_run(failpath)
    for number in range(200):
        with suppress(ValueError):
            take(run, f"many {number}", fail if number % 10 == 0 else str)
    with block(run, "many"):
        pass


def vanish() -> None:
    """A process that dies inside of a step."""
    take(begin_run(failpath), "vanish", lambda: os.kill(os.getpid(), signal.SIGKILL))


_WAYS: Final = {function.__name__: function for function in (release, leave_block, decline, many, vanish)}


def work(way: str) -> None:
    """What the workers run."""
    try:
        _WAYS[way]()
    finally:
        tell_patience()
