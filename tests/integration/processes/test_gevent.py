"""gevent's workers of gunicorn: they patch a process that is set up already, and run many requests on one thread.

Real servers, because where they patch, fork and end is what matters. Celery's are in ``test_unaware.py``.
"""

import os
import signal

import pytest

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
