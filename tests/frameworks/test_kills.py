"""Programs that know nothing of steps, and are killed in the midst of one: what presets have shown of it by then."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.applications.conftest import database as database
from tests.integration.applications.conftest import order as order
from tests.integration.applications.conftest import receiver as receiver
from tests.integration.applications.conftest import site as site
from tests.integration.applications.examples import kill
from tests.integration.processes.site import Site

PROGRAMS = Path(__file__).parent / "programs"


def steps(site: Site) -> dict[str, str]:
    """The steps of the only run of the service; one whose process is gone, as such."""
    runs: list[dict[str, Any]] = site.receiver.runs(flow=site.flow)
    assert len(runs) < 2, runs
    found = [step for run in runs for step in run["steps"]]
    return {step["stepKey"]: "gone" if step["liveness"] == "gone" else step["status"] for step in found}


@pytest.mark.parametrize(
    ("program", "ended", "open_steps"),
    [
        ("dbos_by_preset.py", {"price-cart"}, {"checkout", "charge-card"}),
        ("agent_by_preset.py", {"chat test"}, {"invoke_agent support", "execute_tool look_up_order"}),
    ],
)
def test_what_was_open_when_the_process_was_killed_is_gone_and_what_had_ended_is_not(
    site: Site, order: str, program: str, ended: set[str], open_steps: set[str]
) -> None:
    arguments = (order, site.flow, str(site.directory / "dbos.sqlite")) if "dbos" in program else (site.flow,)
    started = site.start(sys.executable, str(PROGRAMS / program), *arguments)
    before = dict.fromkeys(ended, "success")

    def shows(status: str) -> bool:
        assert started.process.poll() in {None, -9}, started.output()
        return steps(site) == before | dict.fromkeys(open_steps, status)

    site.wait_for(lambda: shows("running"), f"{open_steps} that run")
    kill(started.pid)
    site.wait_for(lambda: shows("gone"), f"{open_steps} that are gone")
    if "dbos" in program:
        assert [run["runId"] for run in site.receiver.runs(flow=site.flow)] == [order]
