"""What the page is answered about the steps that one node of a graph stands for."""

from tests.local.events import event
from tests.local.page import Page

STEPS = [f"resize-{number:02}" for number in range(12)]


def add_fan_out(page: Page, run: str, failing: str) -> None:
    page.add(
        event("success", 1, step="list", span=f"{run}/list", run=run, started=0, duration_ms=1000.0),
        *(
            event(
                "error" if step == failing else "success",
                3 + number / 100,
                step=step,
                span=f"{run}/{step}",
                run=run,
                started=2,
                duration_ms=1000.0 + 10 * number,
            )
            for number, step in enumerate(STEPS)
        ),
    )


def test_each_of_the_steps_that_are_one_node_has_its_own_figures(page: Page) -> None:
    add_fan_out(page, "first", "resize-07")
    add_fan_out(page, "second", "resize-07")
    add_fan_out(page, "third", "resize-03")
    (node,) = (node for node in page.flow("checkout")["graph"]["nodes"] if node["members"])
    assert (node["stepKey"], node["members"], node["failedMembers"]) == ("resize-*", STEPS, 2)

    steps = page.get("steps", flow="checkout", node="resize-*")["steps"]
    assert [step["stepKey"] for step in steps] == STEPS
    figures = {step["stepKey"]: (step["runs"], step["failed"], step["failureRate"], step["p50Ms"]) for step in steps}
    assert figures["resize-07"] == (3, 2, 2 / 3, 1070.0)
    assert figures["resize-03"] == (3, 1, 1 / 3, 1030.0)
    assert figures["resize-11"] == (3, 0, 0.0, 1110.0)


def test_a_node_that_is_one_step_and_one_that_is_not_there_have_no_such_steps(page: Page) -> None:
    add_fan_out(page, "first", "resize-07")
    for flow, node in (("checkout", "list"), ("checkout", "resize-07"), ("nowhere", "resize-*"), ("", "")):
        assert page.ask("steps", flow=flow, node=node).status_code == 404
