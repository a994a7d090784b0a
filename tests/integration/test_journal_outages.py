"""A real process whose journal cannot be written for a while: what another process finds of it afterwards."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.delivery.programs import environment
from tests.fault_server import FaultServer
from tests.ports import unused_url
from tests.receiver import COMMAND

pytestmark = pytest.mark.process

PROGRAM = Path(__file__).with_name("outages.py")


def run(endpoint: str, kind: str, steps: int, end: str) -> tuple[int, str, str]:
    """Run the program: how many steps it had, what it has counted as dropped, and what was complained about."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), kind, str(steps), end],
        env=environment(endpoint),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (-9 if end == "kill" else 0), done
    counted, _, dropped = done.stdout.partition(" ")
    return int(counted), dropped.strip(), done.stderr


def drained(server: FaultServer, endpoint: str) -> Counter[str]:
    """What the next process delivers, by status."""
    done = subprocess.run(
        [*COMMAND, "drain", "--rebind", "all"],
        env=environment(server.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    events = server.events
    assert len({event["id"] for event in events}) == len(events), "a record came twice"
    return Counter(event["status"] for event in events)


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["disk", "descriptors"])
def test_after_a_moment_without_room_or_descriptors_nothing_is_lost_at_a_kill(server: FaultServer, kind: str) -> None:
    """Failpath is down all the while: the journal is the only place that outlives the process."""
    steps, dropped, _ = run(unused_url(), kind, 1_000, "kill")
    assert dropped == "{}"
    assert drained(server, unused_url()) == {"running": steps, "success": steps}


@pytest.mark.parametrize("kind", ["disk", "descriptors"])
def test_at_its_end_a_process_writes_into_the_journal_what_waits_in_memory(server: FaultServer, kind: str) -> None:
    """There is room again, and the time to try that has not come yet."""
    steps, dropped, said = run(unused_url(), kind, 0, "exit")
    assert dropped == "{}"
    assert drained(server, unused_url()) == {"running": steps, "success": steps}
    assert "could not be delivered" not in said


def test_signal_handlers_that_record_while_a_file_is_begun_cost_nothing_at_a_kill(server: FaultServer) -> None:
    steps, dropped, _ = run(unused_url(), "signals", 1_500, "kill")
    assert dropped == "{}"
    assert drained(server, unused_url()) == {"running": steps, "success": steps}


def test_while_failpath_is_up_signal_handlers_that_record_cost_nothing(server: FaultServer) -> None:
    steps, dropped, _ = run(server.url, "signals", 1_500, "exit")
    assert dropped == "{}"
    assert Counter(event["status"] for event in server.events) == {"running": steps, "success": steps}
