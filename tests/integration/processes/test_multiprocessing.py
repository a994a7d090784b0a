"""``multiprocessing``: most of its children end without ``atexit``, and leave their records in the journal."""

import pytest

from tests.integration.processes.site import Site


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_steps_of_children_are_there_however_these_end(site: Site, method: str) -> None:
    program = site.start_app("children", method)
    site.wait_for_mark("entered", "is terminated")
    program.write("go on")
    assert program.wait() == 0, program.output()
    told = site.told()
    assert len({step.pid for step in told.values()}) in {5, 6}  # one worker of the pool may do the work of both
    assert {key for (_, key), step in told.items() if step.possible == {"running"}} == {"vanishes", "is terminated"}
    site.check()
