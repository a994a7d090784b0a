"""Celery's application, of which a worker runs the tasks; ``python -m …tasks WAY…`` asks for some."""

import os
import signal
import sys
import threading
import time
from typing import Any, Final

from celery import Celery
from celery.signals import worker_process_init

from failpath_otel import FailpathClient
from tests.integration.processes.apps.telling import begin_run, block, connect, take_some, tell_patience

app: Final[Any] = Celery("tasks", broker=os.environ["BROKER"])
_clients: Final[list[FailpathClient]] = []

if os.environ["CONFIGURE"] == "in the parent":
    _clients.append(connect())
else:

    @worker_process_init.connect  # type: ignore[untyped-decorator]
    def connect_child(**_: object) -> None:
        _clients.append(connect())


def vanish() -> None:
    os._exit(0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    message = "declined"
    raise ValueError(message)


def hold() -> None:
    """Until Celery's own time limit for the task ends the process."""
    threading.Event().wait()


def succeed() -> None:
    pass


def rest() -> None:
    """Until the delivery thread sleeps for want of records."""
    while not _clients[0]._join.reporter._pipelines[-1].wakeup.asleep:
        time.sleep(0.01)


WAYS: Final = {function.__name__: function for function in (vanish, die, fail, hold, succeed, rest)}


@app.task(name="work", ignore_result=True)  # type: ignore[untyped-decorator]
def work(way: str) -> None:
    try:
        take_steps(way)
    finally:
        tell_patience()


def take_steps(way: str) -> None:
    """One run, which has ended with this function where nothing is raised."""
    run = begin_run(_clients[0])
    take_some(run)
    with block(run, way):
        WAYS[way]()


if __name__ == "__main__":
    for way in sys.argv[1:]:
        work.apply_async((way,), time_limit=1 if way == "hold" else None)
