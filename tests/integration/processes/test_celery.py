"""Celery's prefork pool on a real Redis: each task has a process of its own, which ends without ``atexit``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Program, Site

TASKS = ["succeed", "fail", "die", "vanish", "hold", "succeed"]
CUT_OFF = {"die", "vanish"}
EITHER = {"hold"}  # at its time limit Celery raises SystemExit in a task, and kills its process a moment later


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    directory = tmp_path / "redis"
    directory.mkdir()
    with open_redis(directory) as url:
        yield url


def start_worker(site: Site) -> Program:
    program = site.start(
        *(sys.executable, "-m", "celery", "--app", "tests.integration.processes.apps.tasks", "worker"),
        *("--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "1", "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    site.wait_for(lambda: " ready." in program.output(), "worker")
    return program


@pytest.mark.parametrize("place", ["in the parent", "in each child"])
def test_the_steps_of_tasks_whose_processes_are_gone_appear_while_the_worker_runs(
    site: Site, broker: str, place: str
) -> None:
    site.variables |= {"BROKER": broker, "CONFIGURE": place}
    worker = start_worker(site)
    site.run_app("tasks", *TASKS)
    for way in sorted(set(TASKS)):
        mark = {"fail": "error", "succeed": "success"}.get(way, "entered")
        site.wait_for_mark(mark, way, TASKS.count(way))
    site.wait_for(lambda: "Hard time limit" in worker.output(), "end of the task that takes too long")
    # Each process that ends is replaced by one that delivers what it has left.
    site.wait_until_shown()
    told = site.told()
    assert len({step.pid for step in told.values()}) == len(TASKS)
    assert {key for (_, key), step in told.items() if step.possible == {"running"}} - EITHER == CUT_OFF

    worker.process.terminate()
    assert worker.wait() == 0
    site.check()
    # And the end of no run has waited for anything.
    assert set(site.patience()) == {(False, 0.0)}
