"""A program whose journal cannot be written for a moment, or that handles signals meanwhile: what becomes of its steps.

The moment is one of a disk that is full, or of descriptors that have run out. The program waits until its log says that
the journal is off, and runs more steps then.
"""

import json
import os
import signal
import subprocess
from collections import defaultdict
from typing import Any, Final

import pytest

from tests.delivery.programs import environment, start_program
from tests.fault_server import FaultServer
from tests.receiver import COMMAND

pytestmark = pytest.mark.process

_DRAIN_SECONDS: Final = 60.0

PROGRAM: Final = """
    import json, logging, os, signal, sys, threading, time
    from failpath_otel import configure, limits
    from tests.integration.storm_faults import empty_disk, fill_disk, give_descriptors, take_descriptors
    from tests.integration.storm_faulty import LIMITS, amiss

    for limit, value in LIMITS.items():
        setattr(limits, limit, value)
    DEADLINE = time.monotonic() + 30
    faults = {"disk": (fill_disk, empty_disk), "descriptors": (take_descriptors, give_descriptors)}

    class Heard(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    said, wrong, entered = [], [], []
    logging.getLogger("failpath_otel").addHandler(Heard())
    failpath = configure()
    run = failpath.run("script", run_id="once")
    over = threading.Event()

    def step():
        key = f"step-{len(entered)}"
        entered.append(key)
        run.step(key, lambda: None, metadata={"text": "x" * 3000})

    def steps_until(text):
        while not any(text in each for each in said):
            assert time.monotonic() < DEADLINE, said
            step()
            time.sleep(0.001)

    def look():
        stats = failpath.stats()
        while not over.is_set():
            before, stats = stats, failpath.stats()
            wrong.extend(filter(None, [amiss(before, stats)]))
            time.sleep(0.0005)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()

    def go_through(begin, end):
        step()
        failpath.flush(0.2)  # connects, where it can
        begin()
        steps_until("wait in memory")
        for _ in range(400):
            step()
        end()
        steps_until("is written again")
        step()

    def tell():
        over.set()
        looking.join()
        stats = failpath.stats()
        counts = {"entered": len(entered), "accepted": stats.accepted, "dropped": dict(stats.dropped)}
        print(json.dumps({**counts, "wrong": wrong[:9], "said": said}), flush=True)
"""


def tell_all(server: FaultServer, code: str, *, up: bool, killed: bool = False, queue: int = 10_000) -> dict[str, Any]:
    """Runs a program, and the command that delivers what it has left: each of its steps is there whole and once."""
    if not up:
        server.go_down()
    more = {"FAILPATH_SEND_TIMEOUT": "30", "FAILPATH_MAX_QUEUE_SIZE": str(queue)}
    with start_program(PROGRAM + code, server.url, **more) as process:
        try:
            output, errors = process.communicate(timeout=_DRAIN_SECONDS)
        finally:
            process.kill()
    assert process.returncode == (-signal.SIGKILL if killed else 0), errors
    told: dict[str, Any] = json.loads(output)
    if not up:
        server.come_up()
    drained = subprocess.run(
        [*COMMAND, "drain"],
        env=environment(server.url),
        capture_output=True,
        text=True,
        timeout=_DRAIN_SECONDS,
        check=False,
    )
    assert drained.returncode == 0, drained
    statuses = defaultdict(list)
    for event in server.events:
        statuses[event["stepKey"]].append(event["status"])
    keys = [f"step-{number}" for number in range(told["entered"])]
    lost = [key for key in keys if statuses[key] != ["running", "success"]]
    assert lost == [], f"{len(lost)} of {len(keys)} are not whole; {told['said']} {errors}"
    assert (told["wrong"], told["dropped"], told["accepted"]) == ([], {}, 2 * len(keys))
    return told


@pytest.mark.parametrize(("fault", "up"), [("disk", True), ("descriptors", False)], ids=["disk", "descriptors"])
def test_a_script_whose_journal_was_off_and_on_again_tells_all_of_it(server: FaultServer, fault: str, up: bool) -> None:
    told = tell_all(server, f"    go_through(*faults[{fault!r}]); tell()", up=up)
    off_and_on = [text for text in told["said"] if "wait in memory" in text or "is written again" in text]
    assert ["wait in memory" in text for text in off_and_on] == [True, False], told["said"]


HANDLER: Final = """
    def handle(*_):
        handled.append(0)
        step()
        wrong.extend(filter(None, [amiss(failpath.stats(), failpath.stats())]))

    handled = []
    signal.signal(signal.SIGALRM, handle)
    fallocate = os.posix_fallocate

    def slow_fallocate(*arguments):
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGALRM)
        fallocate(*arguments)

    os.posix_fallocate = slow_fallocate
    while len(handled) < 6:
        assert time.monotonic() < DEADLINE, said
        step()
    tell()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no room is set aside")
def test_steps_of_a_signal_handler_while_segments_are_begun_leave_the_journal_on(server: FaultServer) -> None:
    told = tell_all(server, HANDLER, up=False, killed=True, queue=50)
    assert not any("memory" in text for text in told["said"]), told["said"]
