"""The stock ``rq worker``, which knows no steps: each job has a process of its own, which ends by ``os._exit``."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import ROOT, Site

WORK = "tests.integration.processes.apps.jobs.work"
SECONDS = 2.0
"""Within which the outcome of a job is shown after its end."""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    directory = tmp_path / "redis"
    directory.mkdir()
    with open_redis(directory) as url, Redis.from_url(url) as connection:
        yield Queue(connection=connection)


def start_worker(site: Site, queue: Queue, *options: str) -> None:
    port = queue.connection.connection_pool.connection_kwargs["port"]
    url = f"redis://127.0.0.1:{port}/0"
    site.start(sys.executable, "-m", "rq.cli", "worker", "--url", url, "--path", str(ROOT), *options)


def seconds_until_shown(site: Site, queue: Queue, way: str) -> float:
    """Has the worker do a job; how long after the end of its process all is shown as it is, without a next job."""
    before = {step.pid for step in site.told().values()}
    job = queue.enqueue(WORK, way)
    site.wait_for(lambda: Job.fetch(job.id, queue.connection).get_status() in {"finished", "failed"}, f"end of {way}")
    [pid] = {step.pid for step in site.told().values()} - before
    site.wait_for(lambda: not is_alive(pid), f"end of process {pid}")
    ended = time.monotonic()
    while site.differences() and time.monotonic() < ended + SECONDS:
        time.sleep(0.01)
    return time.monotonic() - ended


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("way", ["release", "leave_block", "decline", "many"])
def test_the_outcome_of_a_job_is_shown_within_two_seconds_of_its_end_without_a_next_one(
    site: Site, queue: Queue, way: str
) -> None:
    start_worker(site, queue)
    # On a machine that is busy, the time that a run may take at its end may be too short: one of three is enough.
    assert any(seconds_until_shown(site, queue, way) < SECONDS for _ in range(3)), site.differences()
    site.wait_until_shown()
    # The job that fails has told this while its exception still kept its run.
    assert all(expected and (spent > 0) == (way != "decline") for expected, spent in site.patience())


def test_a_parent_that_is_configured_shows_within_two_seconds_that_a_job_has_died(site: Site, queue: Queue) -> None:
    # rq's own way to run code in the worker itself: a module of settings. It records nothing.
    start_worker(site, queue, "--config", "tests.integration.processes.apps.jobs")
    assert any(seconds_until_shown(site, queue, "vanish") < SECONDS for _ in range(3)), site.differences()
    assert {event["status"] for event in site.events()} == {"running"}
