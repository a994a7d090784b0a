"""The examples of frameworks: how they are started as their docstrings say, and what of them is shown."""

import os
import re
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.integration.processes.site import ROOT, Program, Site

EXAMPLES: Final = ROOT / "examples" / "frameworks"
Shown = list[tuple[str, str]]


def start_module(site: Site, *command: str) -> Program:
    """Starts ``python -m`` something that imports an example."""
    return site.start(sys.executable, "-m", *command)


def start_example(site: Site, name: str, *arguments: str) -> Program:
    return site.start(sys.executable, str(EXAMPLES / name), *arguments)


def run_example(site: Site, name: str, *arguments: str) -> str:
    """Runs an example to its end, which has to be a good one; returns what it printed."""
    program = start_example(site, name, *arguments)
    assert program.wait() == 0, program.output()
    return program.output()


def said(site: Site, program: Program, pattern: str) -> str:
    """Waits until the program has printed what ``pattern`` finds, and returns its group."""

    def found() -> str:
        assert program.process.poll() is None, program.output()
        return "".join(re.findall(pattern, program.output())[:1])

    return site.wait_for(found, f"{pattern} of {program.command}")


def post(url: str, request_id: str | None = None, *, method: str = "POST") -> str:
    headers = {} if request_id is None else {"X-Request-Id": request_id}
    request = urllib.request.Request(url, method=method, headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return str(answer.read().decode())


def shown(site: Site, run_id: str, flow: str) -> Shown:
    """The steps of a run and their statuses; a step whose process is gone, as the page says it."""
    run = site.receiver.run(run_id, flow=flow)
    steps = [] if run is None else run["steps"]
    return [(step["stepKey"], "gone" if step["liveness"] == "gone" else step["status"]) for step in steps]


def wait_until_shown(site: Site, run_id: str, flow: str, expected: Shown) -> None:
    last: list[Shown] = [[]]

    def same() -> bool:
        last[0] = shown(site, run_id, flow)
        return last[0] == expected

    try:
        site.wait_for(same, f"{expected} of {run_id}")
    except AssertionError as error:
        raise AssertionError(f"{last[0]}: {error}") from None


def step_of(site: Site, run_id: str, flow: str, key: str) -> dict[str, Any]:
    """The newest attempt of a step."""
    run = site.receiver.run(run_id, flow=flow)
    assert run is not None
    newest: dict[str, Any] = [step for step in run["steps"] if step["stepKey"] == key][-1]
    return newest


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_inside(site: Site, run_id: str, flow: str, before: Shown, key: str) -> None:
    """Waits until a step runs, kills its process, and waits until the step is shown as one whose process is gone."""
    wait_until_shown(site, run_id, flow, [*before, (key, "running")])
    kill(step_of(site, run_id, flow, key)["process"]["pid"])
    wait_until_shown(site, run_id, flow, [*before, (key, "gone")])


def python_path(site: Site) -> None:
    """Has programs import the examples, as ``PYTHONPATH`` in a docstring does."""
    site.variables["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), str(Path(ROOT))])
