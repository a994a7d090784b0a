"""The truth about a test's steps, as its programs told it, and whether a receiver shows the same."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

StepName = tuple[str, str]
"""A run's id and a step's key; no test uses one twice."""

_ENDED: Final = ("success", "error")


@dataclass
class Told:
    """What the process that called a step said of it, in order. Others may have inherited it, but cannot end it."""

    pid: int
    marks: list[str] = field(default_factory=list[str])

    @property
    def possible(self) -> set[str]:
        """What a receiver may show: one status, but where the process died between two marks either side's."""
        last = self.marks[-1]
        if last in _ENDED:
            return {last}
        return {"called": {"", "running"}, "entered": {"running"}, "leaving": {"running", *_ENDED}}[last]


def read_ledger(path: Path) -> dict[StepName, Told]:
    """Every step that was called."""
    told: dict[StepName, Told] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        mark, run_id, key, pid = json.loads(line)
        step = told.setdefault((run_id, key), Told(pid))
        if step.pid == pid:
            assert mark not in step.marks, f"{run_id} {key} was {mark} twice: a test must not use a name twice"
            step.marks.append(mark)
    return told


def differences(told: dict[StepName, Told], runs: Iterable[dict[str, Any]]) -> list[str]:
    """Where the runs that a receiver shows are not what was told, in words."""
    shown: dict[StepName, list[str]] = defaultdict(list)
    for run in runs:
        for step in run["steps"]:
            shown[run["runId"], step["stepKey"]].append(step["status"])
    found = [f"{name} was never called, and is shown as {shown[name]}" for name in shown.keys() - told.keys()]
    for name, step in told.items():
        attempts = shown.get(name, [])
        if len(attempts) > 1 or (attempts[0] if attempts else "") not in step.possible:
            found.append(f"{name} was {step.marks} by {step.pid}, and is shown as {attempts}")
    return found


def doubles(events: Iterable[dict[str, Any]]) -> list[str]:
    """Steps of which a receiver holds two starts or two outcomes; ids that repeat are its own business."""
    kept = {event["id"]: event for event in events}.values()
    held = Counter((event["runId"], event["stepKey"], event["status"] == "running") for event in kept)
    return [f"{name} {count} times" for name, count in held.items() if count > 1]
