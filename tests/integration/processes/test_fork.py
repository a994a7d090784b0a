"""``os.fork`` with open steps: only the process that opened a step ends it, however either of them ends."""

import signal

import pytest

from tests.integration.processes.site import Site

hosts = pytest.mark.parametrize("host", [{}, {"HOST": "1"}], ids=["no provider", "a provider of its own"])


@hosts
@pytest.mark.parametrize("end", ["leave", "vanish", "die", "multiply"])
def test_a_step_that_is_open_in_a_fork_is_ended_by_the_process_that_opened_it(
    site: Site, end: str, host: dict[str, str]
) -> None:
    site.variables |= host
    site.run_app("forking", end)
    told = site.told()
    assert len({step.pid for step in told.values()}) == (3 if end == "multiply" else 2)
    assert [key for (_, key), step in told.items() if step.possible == {"running"}] == (
        ["while the child ends"] if end in {"vanish", "die"} else []
    )
    site.check()


@hosts
def test_a_child_delivers_what_its_parent_had_no_time_for(site: Site, host: dict[str, str]) -> None:
    site.variables |= host
    program = site.start_app("orphaning")
    assert program.wait() == -signal.SIGKILL
    site.wait_for_mark("success", "of the child: outer")
    # The child lives, and has the descriptors that it inherited.
    site.wait_until_shown()
    assert [key for (_, key), step in site.told().items() if step.possible == {"running"}] == ["open"]
    program.write("end")
    site.wait_for(program.is_gone, "end of the child")
    site.check()
