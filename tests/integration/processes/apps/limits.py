"""Celery tasks that take short steps until their soft time limit; ``python -m …limits COUNT`` asks for some."""

import os
import sys
import time
from typing import Any, Final

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from tests.integration.processes.apps.telling import begin_run, connect, tell

app: Final[Any] = Celery("limits", broker=os.environ["BROKER"])
_failpath: Final = connect()


def _charge() -> None:
    time.sleep(0.0005)


@app.task(name="work", ignore_result=True, soft_time_limit=1, time_limit=20)  # type: ignore[untyped-decorator]
def work(way: str) -> None:
    run = begin_run(_failpath)
    try:
        while True:
            if way == "call":
                run.step("charge", _charge)
            else:
                with run.step("charge"):
                    _charge()
    except SoftTimeLimitExceeded:
        tell("limited", run, "charge")


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        work.apply_async((("call", "block")[number % 2],))
