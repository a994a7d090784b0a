"""``random.seed(1)`` in every worker: the SDK's ids repeat between them, and nobody's steps are taken for another's."""

import pytest

from tests.integration.processes.site import Site
from tests.integration.processes.web_server import start_gunicorn

SEEDED = {"HOST": "1", "SEED": "1"}


def assert_ids_repeat(site: Site, workers: int) -> None:
    """What the tests are about: as many processes made spans with the same ids."""
    makers: dict[tuple[str, str], set[int]] = {}
    for event in site.events():
        makers.setdefault((event["traceId"], event["spanId"]), set()).add(event["process"]["pid"])
    assert max(map(len, makers.values())) >= workers


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
def test_workers_of_gunicorn_that_are_seeded_alike_keep_their_own_steps(site: Site, preload: bool) -> None:
    site.variables |= SEEDED
    server = start_gunicorn(site, 4, preload=preload)
    server.use_all(4, "first")
    server.try_to_get("/die")
    # By now the ids of the worker in place of the dead one repeat those of the others' first request.
    server.use_all(4, "last")
    site.wait_until_shown()
    server.program.process.terminate()
    assert server.program.wait() == 0
    site.check()
    assert_ids_repeat(site, 4)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_that_are_seeded_alike_keep_their_own_steps(site: Site, method: str) -> None:
    site.variables |= SEEDED
    program = site.start_app("children", method)
    site.wait_for_mark("entered", "is terminated")
    program.write("go on")
    assert program.wait() == 0, program.output()
    site.check()
    assert_ids_repeat(site, 3)
