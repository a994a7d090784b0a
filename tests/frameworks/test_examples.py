"""The examples of DBOS and Pydantic AI, as they stand; each is killed in a step."""

from tests.integration.applications.conftest import database as database
from tests.integration.applications.conftest import order as order
from tests.integration.applications.conftest import receiver as receiver
from tests.integration.applications.conftest import site as site
from tests.integration.applications.examples import kill_inside, run_example, shown, start_example, wait_until_shown
from tests.integration.processes.site import Site

PRICED = [("price-cart", "success")]


def test_a_workflow_of_dbos_that_was_killed_in_a_step_is_recovered_in_the_same_run(site: Site, order: str) -> None:
    site.variables["DBOS_FILE"] = str(site.directory / "dbos.sqlite")
    start_example(site, "dbos_workflow.py", order, "--slow")
    kill_inside(site, order, "checkout", PRICED, "charge-card")

    assert run_example(site, "dbos_workflow.py", order).splitlines()[-1].startswith("ch_")
    # What had ended before is not executed again.
    wait_until_shown(site, order, "checkout", [*PRICED, ("charge-card", "gone"), ("charge-card", "success")])


def test_requests_and_tools_of_an_agent_are_steps_of_its_run_also_of_one_that_is_killed(site: Site, order: str) -> None:
    start_example(site, "pydantic_ai_agent.py", f"slow-{order}", "--slow")
    assert run_example(site, "pydantic_ai_agent.py", order) == f"Your order is on its way ({order}).\n"
    asked = ("ask-model", "success")
    assert shown(site, order, "support") == [asked, asked, ("look-up-order", "success")]
    kill_inside(site, f"slow-{order}", "support", [asked], "look-up-order")
