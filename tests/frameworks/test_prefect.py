"""The preset for Prefect: its engine, as its client alone brings it, on an API of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("prefect", reason="Prefect needs Python 3.11")

from prefect import flow, task
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOGGING_LEVEL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from tests.frameworks.conftest import Watch
from tests.frameworks.prefect_api import prefect_api
from tests.presets.run_pages import documented, pages_of


@pytest.fixture
def _api(tmp_path: Path) -> Iterator[None]:
    with (
        prefect_api() as url,
        temporary_settings(
            {
                PREFECT_API_URL: url,
                PREFECT_HOME: tmp_path,
                PREFECT_LOGGING_TO_API_ENABLED: False,
                PREFECT_LOGGING_LEVEL: "CRITICAL",
            }
        ),
    ):
        yield


@pytest.mark.usefixtures("_api")
def test_task_runs_are_steps_by_their_task_in_the_run_of_their_flow_and_one_that_raises_is_its_error(
    watch: Watch,
) -> None:
    watched = watch("preset:prefect")

    @task(name="charge-card")
    def charge_card(order: int) -> str:
        watched.look()
        if order == 18:
            raise PermissionError("card declined")
        return "paid"

    @task(task_run_name="to the customer")
    def ship() -> None:
        pass

    @flow
    def checkout(order: int) -> str:
        paid = charge_card(order)
        ship()
        return paid

    assert checkout(17) == "paid"
    with pytest.raises(PermissionError):
        checkout(18)
    runs = list(dict.fromkeys(event["runId"] for event in watched.server.events))
    assert len(runs) == 2
    first = [
        *((runs[0], "flow run", "running"), (runs[0], "charge-card", "running")),
        *((runs[0], "charge-card", "success"), (runs[0], "ship", "running")),
        *((runs[0], "ship", "success"), (runs[0], "flow run", "success")),
    ]
    second = [
        *((runs[1], "flow run", "running"), (runs[1], "charge-card", "running")),
        *((runs[1], "charge-card", "error"), (runs[1], "flow run", "error")),
    ]
    assert watched.rows() == [*first, *second]
    assert watched.inside == [first[:2], [*first, *second[:2]]]
    assert watched.server.events[-2]["error"] == {"name": "PermissionError", "message": "card declined"}
    shown = pages_of(watched.server.events)
    for run_id in runs:
        shown = shown.replace(run_id, "<id of the flow run>")
    assert shown == documented("prefect")
