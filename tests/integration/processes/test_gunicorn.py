"""gunicorn: what a worker recorded until it was killed appears while the server runs on."""

import os
import signal

import pytest

from tests.integration.processes.site import Site
from tests.integration.processes.web_server import start_gunicorn


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
def test_the_last_steps_of_a_killed_worker_appear_without_a_restart(site: Site, workers: int, preload: bool) -> None:
    server = start_gunicorn(site, workers, preload=preload)
    server.use_all(workers, "first")
    server.try_to_get("/die")
    server.in_background("/hold")
    [held] = site.wait_for_mark("entered", "/hold")
    os.kill(held.pid, signal.SIGKILL)
    # Nobody restarts anything and no further request comes: a sibling sees to it, or who takes the worker's place.
    site.wait_until_shown()
    assert {key for (_, key), step in site.told().items() if step.possible == {"running"}} == {"/die", "/hold"}

    server.use_all(workers, "last")
    server.program.process.terminate()
    assert server.program.wait() == 0
    # Workers that end as gunicorn has them end leave nothing behind.
    site.wait_until_shown()
    site.check()
    # And the end of no run has waited for anything.
    assert set(site.patience()) == {(False, 0.0)}
