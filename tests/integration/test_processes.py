"""Processes that die or fork inside a step, at a real receiver."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.programs import start_program
from tests.forge import Started
from tests.receiver import Receiver, start_receiver, wait_for

FORMS = {
    "function": "run.step('charge-card', wait)",
    "block": "step = run.step('charge-card')\nwith step:\n    wait()",
    "decorator": "run.step('charge-card')(wait)()",
    "coroutine": "asyncio.run(run.step('charge-card', wait_async))",
    "generator": "list(run.step('charge-card')(items)())",
}
PROGRAM = """
import asyncio, os, sys, threading
import failpath_otel

def wait():
    threading.Event().wait(60)

async def wait_async():
    await asyncio.sleep(60)

def items():
    yield 1
    wait()

failpath = failpath_otel.configure()
run = failpath.run("checkout", run_id="killed")
run.step("validate-cart", lambda: None)
print("end", flush=True)
"""


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with start_receiver(tmp_path / "failpath.db") as running:
        yield running


def shown(receiver: Receiver, run_id: str) -> dict[str, str]:
    """The status of each step of a run, as the receiver has them."""
    run = receiver.run(run_id)
    return {} if run is None else {step["stepKey"]: step["status"] for step in run["steps"]}


def until(receiver: Receiver, run_id: str, steps: dict[str, str]) -> None:
    wait_for(lambda: shown(receiver, run_id) == steps, 30, f"not {steps}: {shown(receiver, run_id)}")


def stop(process: Started) -> None:
    process.kill()
    process.communicate(timeout=30)


@pytest.mark.whole
@pytest.mark.parametrize("form", FORMS)
def test_a_process_killed_inside_a_step_leaves_the_step_running(receiver: Receiver, form: str) -> None:
    process = start_program(PROGRAM + FORMS[form], receiver.url, FAILPATH_PROJECT_KEY=receiver.key)
    try:
        until(receiver, "killed", {"validate-cart": "success", "charge-card": "running"})
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        stop(process)
    assert shown(receiver, "killed") == {"validate-cart": "success", "charge-card": "running"}


def test_os_exit_inside_a_step_leaves_the_step_running(receiver: Receiver) -> None:
    program = PROGRAM + "with run.step('charge-card'):\n    failpath.flush()\n    os._exit(9)"
    process = start_program(program, receiver.url, FAILPATH_PROJECT_KEY=receiver.key)
    try:
        assert process.wait(30) == 9
    finally:
        stop(process)
    assert shown(receiver, "killed") == {"validate-cart": "success", "charge-card": "running"}


def test_a_step_that_a_forked_child_inherits_is_not_ended_by_the_child(receiver: Receiver) -> None:
    program = PROGRAM + (
        "with run.step('charge-card'):\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        os.waitpid(child, 0)\n"
        "        failpath.run('checkout', run_id='parent').step('after-the-child', lambda: None)\n"
        "        failpath.flush()\n"
        "        wait()\n"
        "failpath.run('checkout', run_id='child').step('of-the-child', lambda: None)\n"
        "print(failpath.flush(), flush=True)\n"
        "os._exit(0)\n"
    )
    process = start_program(
        program, receiver.url, FAILPATH_PROJECT_KEY=receiver.key, PYTHONWARNINGS="ignore::DeprecationWarning"
    )
    try:
        # The child has left the block, flushed and ended before the parent reports its next step.
        until(receiver, "parent", {"after-the-child": "success"})
        assert shown(receiver, "child") == {"of-the-child": "success"}
        assert shown(receiver, "killed") == {"validate-cart": "success", "charge-card": "running"}
    finally:
        stop(process)


def test_the_parent_of_a_fork_ends_its_step_itself(receiver: Receiver) -> None:
    program = PROGRAM + (
        "with run.step('charge-card'):\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        os.waitpid(child, 0)\n"
        "if not child:\n"
        "    failpath.flush()\n"
        "    os._exit(0)\n"
    )
    process = start_program(
        program, receiver.url, FAILPATH_PROJECT_KEY=receiver.key, PYTHONWARNINGS="ignore::DeprecationWarning"
    )
    try:
        assert process.wait(30) == 0
    finally:
        stop(process)
    assert shown(receiver, "killed") == {"validate-cart": "success", "charge-card": "success"}


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_steps_of_a_multiprocessing_child_arrive_when_it_flushes(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import multiprocessing, sys, failpath_otel\n"
        "def work():\n"
        "    failpath = failpath_otel.configure()\n"
        "    failpath.run('checkout', run_id='child').step('pack', lambda: None)\n"
        "    sys.exit(0 if failpath.flush() else 1)\n"
        "if __name__ == '__main__':\n"
        "    failpath_otel.configure().run('checkout', run_id='main').step('pack', lambda: None)\n"
        f"    child = multiprocessing.get_context({method!r}).Process(target=work)\n"
        "    child.start()\n"
        "    child.join()\n"
        "    sys.exit(child.exitcode)\n"
    )
    process = start_program(
        f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')",
        receiver.url,
        FAILPATH_PROJECT_KEY=receiver.key,
        NO_FORGE="1",  # `multiprocessing` looks for how its parent was started
    )
    try:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    finally:
        stop(process)
    assert shown(receiver, "main") == shown(receiver, "child") == {"pack": "success"}
