"""A fleet: one run goes through four services, two gateways take their spans, and one of the two is killed under load.

What is between the services and the gateways is a small balancer of these tests (``fleet/balancer.py``), in the place
of the Collector.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.delivery.programs import environment
from tests.fault_server import FaultServer, accepted, fault_server, status
from tests.gateway.gateways import Gateway, start_gateway
from tests.integration.fleet.balancer import balancing
from tests.integration.fleet.service import FLOW, STEPS
from tests.ports import unused_port
from tests.receiver import first_line, wait_for

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
SIZE: Final = int(os.environ.get("FLEET", "1"))
"""How much goes through the fleet; 4 in ``make test-storms``."""

pytestmark = pytest.mark.storm

Told = tuple[str, str, str, str, str]
"""A record as it is told apart from all others: trace, span, run, step and status."""


@dataclass
class Service:
    """A running service, and where it tells of its steps."""

    process: "subprocess.Popen[str]"
    url: str
    directory: Path

    def end(self) -> None:
        """Has it finish what is under way and send what it has not sent."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.wait(PATIENCE) == 0, self.said()

    def said(self) -> str:
        return (self.directory / "stderr").read_text()

    def told(self) -> set[Told]:
        """The records that its steps have to have at the receiver."""
        found: set[Told] = set()
        for line in (self.directory / "ledger").read_text().splitlines():
            trace_id, span_id, run_id, step, outcome = line.split(" ")
            found |= {(trace_id, span_id, run_id, step, status) for status in ("running", outcome)}
        return found


@contextmanager
def start_service(name: str, directory: Path, otlp: str, next_url: str) -> Iterator[Service]:
    place = directory / name
    place.mkdir()
    command = (sys.executable, "-m", "tests.integration.fleet.service", name, otlp, str(place / "ledger"), next_url)
    with (place / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment("http://127.0.0.1:9"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            yield Service(process, first_line(process).strip(), place)
        finally:
            process.kill()


def received(server: FaultServer) -> set[Told]:
    events = server.taken
    assert {event["flowKey"] for event in events} <= {FLOW}
    return {(event["traceId"], event["spanId"], event["runId"], event["stepKey"], event["status"]) for event in events}


def test_a_gateway_that_is_killed_under_load_costs_no_step_and_invents_none(tmp_path: Path) -> None:
    first_port, second_port = unused_port(), unused_port()
    with ExitStack() as fleet:
        failpath = fleet.enter_context(fault_server())
        journals = [tmp_path / "journal-1", tmp_path / "journal-2"]

        def gateway(number: int, port: int) -> Gateway:
            return fleet.enter_context(start_gateway(failpath.url, journals[number], "--port", str(port)))

        first, second = gateway(0, first_port), gateway(1, second_port)
        balancer = fleet.enter_context(balancing(first_port, second_port))
        services: list[Service] = []
        for name in reversed(STEPS):
            next_url = services[-1].url if services else ""
            services.append(fleet.enter_context(start_service(name, tmp_path, balancer.url, next_url)))
        assert services[-1].url == "ready"

        def steps(of: Gateway) -> int:
            taken: int = of.health()["spans"]["steps"]
            return taken

        wait_for(lambda: steps(first) > 50 * SIZE and steps(second) > 50 * SIZE and failpath.taken, PATIENCE)
        # From here on what the gateways say that they have taken is in their journals alone.
        failpath.answer_with(status(503))
        wait_for(lambda: first.health()["records"]["waiting"] > 100 * SIZE, PATIENCE)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(PATIENCE)
        before = steps(second)
        wait_for(lambda: steps(second) > before + 100 * SIZE and balancer.failed_over, PATIENCE)

        again = gateway(0, first_port)
        wait_for(lambda: steps(again) > 50 * SIZE, PATIENCE)
        failpath.answer_with(accepted)
        for service in reversed(services):
            service.end()

        expected = set[Told]().union(*(service.told() for service in services))
        assert len(expected) > 500 * SIZE
        wait_for(lambda: not any(each.health()["records"]["waiting"] for each in (again, second)), PATIENCE)
        with suppress(AssertionError):  # what is lost is said below
            wait_for(lambda: len(failpath.taken) >= len(expected), 20)
        for running in (again, second):
            running.process.terminate()
            assert running.process.wait(PATIENCE) == 0, running.stderr()
        events = failpath.taken
        there = received(failpath)
        assert not expected - there, f"lost {len(expected - there)} of {len(expected)}: {sorted(expected - there)[:3]}"
        assert not there - expected, f"invented {len(there - expected)}: {sorted(there - expected)[:3]}"
        assert len(events) == len(expected), "a record came under two ids"
        assert {event["status"] for event in events} == {"running", "success", "error"}
        check_runs(events)
        # What an SDK's exporter gives up, it has told there.
        assert [service.said() for service in services] == [""] * len(services)


def check_runs(events: list[dict[str, Any]]) -> None:
    """Every run has gone through all services, in one trace."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for event in sorted(events, key=lambda event: str(event["timestamp"])):
        if event["status"] == "running":
            runs.setdefault(event["runId"], []).append(event)
    assert {tuple(event["stepKey"] for event in begun) for begun in runs.values()} == {tuple(STEPS.values())}
