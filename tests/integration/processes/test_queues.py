"""Dramatiq, Huey, and Celery without prefork: workers that live long, and whose parents know nothing of steps."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Site

APP = "tests.integration.processes.apps.queues"
SECONDS = 2.0
CELERY = ("celery", "--app", APP, "worker", "--without-gossip", "--without-mingle", "--without-heartbeat", "--pool")
WORKERS = {
    "dramatiq": ("dramatiq", APP, "--processes", "1", "--threads", "1"),
    "huey": ("huey.bin.huey_consumer", f"{APP}.huey", "--workers", "1", "--worker-type", "thread"),
    "huey by processes": ("huey.bin.huey_consumer", f"{APP}.huey", "--workers", "1", "--worker-type", "process"),
    "celery solo": (*CELERY, "solo"),
    "celery threads": (*CELERY, "threads", "--concurrency", "1"),
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    directory = tmp_path / "redis"
    directory.mkdir()
    with open_redis(directory) as url:
        yield url


@pytest.mark.parametrize("worker", WORKERS)
def test_the_outcome_of_a_task_is_shown_within_two_seconds_though_nothing_waits(
    site: Site, broker: str, worker: str
) -> None:
    site.variables |= {"BROKER": broker, "LIBRARY": worker.partition(" ")[0]}
    site.start(sys.executable, "-m", *WORKERS[worker])
    site.run_app("queues", "decline", "release")
    # In this order: one after another.
    site.wait_for_mark("error", "decline")
    site.wait_for_mark("success", "release")
    ended = time.monotonic()
    site.wait_until_shown()
    assert time.monotonic() - ended < SECONDS
    site.wait_for(lambda: len(site.patience()) == 2, "end of the tasks")
    assert set(site.patience()) == {(False, 0.0)}
