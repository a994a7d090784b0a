"""The preset for DBOS: workflows on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dbos import DBOS, SetWorkflowID

from tests.frameworks.conftest import Watch
from tests.presets.run_pages import documented, pages_of


@pytest.fixture
def _dbos(tmp_path: Path, watch: Watch, attribute_format: str) -> Iterator[None]:
    DBOS(
        config={
            "name": "shop",
            "system_database_url": f"sqlite:///{tmp_path / 'dbos.sqlite'}",
            "enable_otlp": True,
            "otel_attribute_format": attribute_format,
            "run_admin_server": False,
            "log_level": "CRITICAL",
        }
    )
    yield
    DBOS.destroy(destroy_registry=True)


@pytest.mark.usefixtures("_dbos")
@pytest.mark.parametrize("attribute_format", ["legacy", "semconv"])
def test_steps_are_in_the_run_of_their_workflow_whose_id_it_has_and_one_that_raises_is_its_error(watch: Watch) -> None:
    watched = watch("preset:dbos")

    @DBOS.step(name="charge-card")
    def charge_card(order: int) -> str:
        # DBOS sets the id after the start of the span, so that this is reported a moment later.
        watched.server.wait_for_events(2 if order == 17 else 6)
        watched.look()
        if order == 18:
            raise PermissionError("card declined")
        return "paid"

    @DBOS.workflow(name="checkout")
    def checkout(order: int) -> str:
        return charge_card(order)

    DBOS.launch()
    with SetWorkflowID("order-17"):
        assert checkout(17) == "paid"
    with SetWorkflowID("order-18"), pytest.raises(PermissionError):
        checkout(18)

    def run(run_id: str, outcome: str) -> list[tuple[str, str, str]]:
        began = [(run_id, "checkout", "running"), (run_id, "charge-card", "running")]
        return [*began, (run_id, "charge-card", outcome), (run_id, "checkout", outcome)]

    first = run("order-17", "success")
    assert watched.rows() == [*first, *run("order-18", "error")]
    assert watched.inside == [first[:2], [*first, *run("order-18", "error")[:2]]]
    errors = [event["error"]["message"] for event in watched.server.events if event["status"] == "error"]
    assert errors == ["card declined"] * 2
    assert pages_of(watched.server.events) == documented("dbos")
