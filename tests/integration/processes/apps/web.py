"""A WSGI application of which every request takes steps; gunicorn serves it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tests.integration.processes.apps.telling import begin_run, block, connect, take_some, tell_patience
from tests.integration.processes.ledger import read_ledger

failpath: Final = connect()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    answer(environ)
    tell_patience()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def answer(environ: dict[str, Any]) -> None:
    """One run, which has ended with this function."""
    run = begin_run(failpath)
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    take_some(run, "before: ")
    with block(run, f"{path}?{query}" if query else path):
        REQUESTS[path](query)
    take_some(run, "after: ")


def meet(meeting: str) -> None:
    """Waits until as many are in this step as the meeting's name begins with.

    A worker of gunicorn takes one request at a time, so that many of them are at work.
    """
    count = int(meeting.partition("-")[0])
    while sum(key == f"/meet?{meeting}" and "entered" in step.marks for (_, key), step in _told()) < count:
        time.sleep(0.01)


def die(_: str) -> None:
    """Dies of what no process can catch, before anything of the last 50 ms can have been sent."""
    os.kill(os.getpid(), signal.SIGKILL)


def hold(_: str) -> None:
    threading.Event().wait()


def rest(_: str) -> None:
    """Waits until the delivery thread sleeps for want of records."""
    while not failpath._join.reporter._pipelines[-1].wakeup.asleep:
        time.sleep(0.01)


def _told() -> Iterable[tuple[tuple[str, str], Any]]:
    return read_ledger(Path(os.environ["LEDGER"])).items()


REQUESTS: Final[dict[str, Callable[[str], None]]] = {"/meet": meet, "/die": die, "/hold": hold, "/rest": rest}
