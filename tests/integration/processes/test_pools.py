"""``concurrent.futures``: steps of the workers of pools, also of one that the end of the interpreter shuts down."""

import pytest

from tests.integration.processes.site import Site


@pytest.mark.parametrize("kind", ["threads", "fork", "spawn", "forkserver"])
def test_steps_of_pools_are_there(site: Site, kind: str) -> None:
    site.run_app("pools", kind)
    told = site.told()
    assert sum(key.startswith("at the end") for _, key in told) == 6
    assert all(step.possible <= {"success", "error"} for step in told.values())
    assert (len({step.pid for step in told.values()}) == 1) == (kind == "threads")
    site.check()
