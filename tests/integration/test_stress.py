"""An outage, a storm and a stingy endpoint, one after another, under 200 steps a second: nothing is lost or doubled."""

import json
import os
import random
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.programs import environment
from tests.docs.pages import ROOT
from tests.fault_server import FaultServer, fault_server
from tests.faults import storm, too_large_beyond
from tests.integration.stressed import END, LARGE_PHASE, TOO_LARGE, place

SECONDS = float(os.environ.get("STRESS_SECONDS", "4"))
"""How long each phase lasts."""

MEMORY_KILOBYTES = 30 * 1024
UP, DOWN, STORM = "flushed up", "down", "flushed storm"

pytestmark = [
    pytest.mark.storm,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc"),
    pytest.mark.timeout(180 + 8 * SECONDS),
]


def test_an_outage_a_storm_and_a_stingy_endpoint_cost_no_record_and_no_order(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(10_000)

    def trouble(phase: str) -> None:
        if phase == DOWN:
            server.go_down()
        elif phase == STORM:
            server.answer_with(storm(seed))
        elif phase == LARGE_PHASE:
            server.answer_with(too_large_beyond(TOO_LARGE))

    with fault_server() as beside:
        said = application([server, beside], [UP, DOWN, "flushed up again", STORM, LARGE_PHASE, END], trouble)
        assert by_run(beside.taken) == expected(said["steps"])
    taken = server.taken
    with capsys.disabled():
        report(said, seed, len(server.requests))
    assert (said["complete"], said["dropped"]) == (True, {}), f"seed {seed}"
    assert said["delivered"] == 2 * said["steps"]
    assert by_run(taken) == expected(said["steps"]), f"seed {seed}"
    cut = [event for event in taken if "failpath.cut_down" in event["metadata"]]
    assert len(cut) >= 4
    assert len(cut) + sum("number" in event["metadata"] for event in taken) == len(taken)
    growth = max(said["memory"].values()) - said["memory"][UP]
    assert growth <= MEMORY_KILOBYTES


def application(servers: list[FaultServer], phases: list[str], trouble: Callable[[str], None]) -> dict[str, Any]:
    """What an application says at its end that goes through ``phases``, each with the trouble that it brings."""
    server, beside = servers
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.stressed", beside.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(server.url),
    ) as process:
        try:
            assert process.stdin is not None
            for last, phase in zip([None, *phases[:-1]], phases, strict=True):
                if last == DOWN:
                    server.come_up()
                trouble(phase)
                process.stdin.write(phase + "\n")
                process.stdin.flush()
                if phase != END:
                    # The length of a phase is what the test is about.
                    threading.Event().wait(SECONDS)
            out, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    said: dict[str, Any] = json.loads(out)
    return said


def by_run(events: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """The step and the status of each event, in their order, of every run."""
    runs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for event in events:
        runs[event["runId"]].append((event["stepKey"], event["status"]))
    return runs


def expected(steps: int) -> dict[str, list[tuple[str, str]]]:
    runs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for number in range(steps):
        run_id, key = place(number)
        runs[run_id] += [(key, "running"), (key, "success")]
    return runs


def report(said: dict[str, Any], seed: int, requests: int) -> None:
    """Prints what it cost, for whoever compares."""
    sys.stdout.write(f"\n{said['steps']} steps, {requests} requests, seed {seed}, {SECONDS:.0f} s a phase\n")
    sys.stdout.write("  microseconds a step:   p50 (beside, always up)   p99 (beside)     memory\n")
    for phase, ((p50, p99), (beside50, beside99)) in said["microseconds"].items():
        memory = said["memory"][phase] - said["memory"][UP]
        sys.stdout.write(
            f"  {phase:20} {p50:6.0f} ({beside50:6.0f})        {p99:6.0f} ({beside99:6.0f})  {memory:+7} kB\n"
        )
