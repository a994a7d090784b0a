"""gevent's workers of gunicorn and Celery: they patch a process that is set up, and do much at a time on one thread.

Real servers, because where they patch, fork and end is what matters. Others, by rules, are in ``test_unaware.py``.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.instrumented import INSTRUMENT
from tests.integration.processes.redis_server import open_redis
from tests.integration.processes.site import Site
from tests.integration.processes.web_server import start_gunicorn

REQUESTS = 4


@pytest.mark.parametrize("place", ["before the fork", "in post_fork"])
def test_a_worker_of_gevent_that_was_set_up_before_it_patches_goes_on_and_delivers(site: Site, place: str) -> None:
    site.variables["CONFIGURE"] = place
    site.journal.mkdir()  # so that the delivery thread of `post_fork` runs when gevent patches
    server = start_gunicorn(site, 1, preload=place == "before the fork", kind="gevent")
    # All in one worker at the same time, so none of these requests has held up the others.
    server.use_all(REQUESTS, "first")
    site.wait_until_shown()
    # Where the thread waits for the next record, nothing waits with it, neither this request nor those that follow.
    server.get("/rest")
    server.use_all(REQUESTS, "second")
    server.in_background("/hold")
    [held] = site.wait_for_mark("entered", "/hold")
    site.wait_until_shown()
    assert {step.pid for step in site.told().values()} == {held.pid}

    os.kill(held.pid, signal.SIGKILL)
    server.use_all(REQUESTS, "last")  # of the worker in its place
    site.wait_until_shown()
    assert {key for (_, key), step in site.told().items() if step.possible == {"running"}} == {"/hold"}
    server.program.process.terminate()
    assert server.program.wait() == 0
    site.check()


def test_a_worker_of_celery_that_opentelemetry_has_set_up_before_it_patches_goes_on_and_delivers(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "redis").mkdir()
    with open_redis(tmp_path / "redis") as url:
        site.variables |= {"BROKER": url, "CONFIGURE": "in the parent"}
        # Celery itself is not instrumented: for that it is imported before it patches, and then it runs no task.
        site.variables |= {f"OTEL_{signals}_EXPORTER": "none" for signals in ("TRACES", "METRICS", "LOGS")}
        site.variables["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "celery"
        worker = site.start(
            *(str(INSTRUMENT), sys.executable, "-m", "celery", "--app", "tests.integration.processes.apps.tasks"),
            *("worker", "--pool", "gevent", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        )
        site.wait_for(lambda: " ready." in worker.output(), "worker")
        assert "Failed to auto initialize" not in worker.output()
        site.run_app("tasks", "succeed", "rest")
        site.wait_for_mark("success", "rest")
        site.run_app("tasks", "succeed", "fail")
        site.wait_for_mark("error", "fail")
        site.wait_for_mark("success", "succeed", 2)
        site.wait_until_shown()
        assert len({step.pid for step in site.told().values()}) == 1
        worker.process.terminate()
        assert worker.wait() == 0
    site.check()
