"""The comparison that the tests of this folder rest on sees every way in which a receiver can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.processes.ledger import Told, differences, doubles, read_ledger

CALLED = ["called"]
ENTERED = [*CALLED, "entered"]
LEAVING = [*ENTERED, "leaving"]
NAME = ("run", "pack")


def runs(*statuses: str) -> list[dict[str, Any]]:
    """What a receiver shows of the step: the status of each attempt."""
    return [{"runId": "run", "steps": [{"stepKey": "pack", "status": status} for status in statuses]}]


def event(name: str, status: str, key: str = "pack") -> dict[str, str]:
    return {"id": name, "runId": "run", "stepKey": key, "status": status}


@pytest.mark.parametrize(
    ("marks", "right"),
    [
        (CALLED, ["", "running"]),
        (ENTERED, ["running"]),
        (LEAVING, ["running", "success", "error"]),
        ([*LEAVING, "success"], ["success"]),
        ([*LEAVING, "error"], ["error"]),
    ],
    ids=lambda value: value[-1],
)
def test_only_the_truth_about_a_step_agrees_with_what_was_told(marks: list[str], right: list[str]) -> None:
    told = {NAME: Told(1, marks)}
    for status in ("", "running", "success", "error", "skipped"):
        shown = runs(status) if status else []
        assert (differences(told, shown) == []) == (status in right), status


def test_a_step_that_is_shown_twice_is_a_difference() -> None:
    assert len(differences({NAME: Told(1, ENTERED)}, runs("running", "running"))) == 1


def test_a_step_that_was_never_called_is_a_difference() -> None:
    assert len(differences({}, runs("running"))) == 1


def test_what_another_process_says_of_a_step_does_not_count(tmp_path: Path) -> None:
    lines = [["called", *NAME, 1], ["entered", *NAME, 1], ["leaving", *NAME, 2], ["success", *NAME, 2]]
    ledger = tmp_path / "ledger"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_ledger(ledger) == {NAME: Told(1, ENTERED)}


def test_a_name_that_is_used_twice_is_a_mistake_of_the_test(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text((json.dumps(["called", *NAME, 1]) + "\n") * 2)
    with pytest.raises(AssertionError, match="twice"):
        read_ledger(ledger)


def test_a_second_start_or_a_second_outcome_is_a_double_unless_its_id_is_the_same() -> None:
    whole = [event("1", "running"), event("2", "success")]
    assert doubles([*whole, *whole, event("3", "running", "ship")]) == []
    assert len(doubles([*whole, event("3", "running")])) == 1
    assert len(doubles([*whole, event("3", "error")])) == 1
