"""A run of 500 steps is no slower to look at than a person notices."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import record
from tests.receiver import Receiver

STEPS = 500
LIMIT_SECONDS = 2.0
LOADS = 5


def long_run() -> list[dict[str, Any]]:
    events = []
    for number in range(STEPS):
        same: dict[str, Any] = {"step": f"step-{number:03}", "span": str(number), "run": "long"}
        events.append(record("running", number, **same))
        events.append(record("success", number + 0.9, started=number, duration_ms=900.0, **same))
    return events


def seconds_until_a_click_is_answered(page: Page) -> float:
    """The time of the processor that the page's thread takes from its start on: that of the clock is the machine's."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto("/runs/long", wait_until="commit")
    # The middle of a bar so narrow may be under the mark of its p50, so it is the row that is clicked.
    page.get_by_role("option").filter(has=find(page, "bar", step="step-003")).click()
    expect(find(page, "panel")).to_contain_text("step-003")
    expect(find(page, "bar")).to_have_count(STEPS)
    metrics = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
    return float(metrics["ThreadTime"])


def test_a_run_of_500_steps_answers_a_click_within_two_seconds(browsing: Browsing, receiver: Receiver) -> None:
    receiver.post(*long_run())
    taken: list[float] = []
    # More than once on a machine that is busy with something else: its processors are slower then.
    while not taken or (min(taken) >= LIMIT_SECONDS and len(taken) < LOADS):
        taken.append(seconds_until_a_click_is_answered(browsing.context(receiver).new_page()))
    assert 0 < min(taken) < LIMIT_SECONDS, taken


def test_a_run_of_500_steps_is_live_to_its_last_step(browsing: Browsing, receiver: Receiver) -> None:
    receiver.post(*long_run())
    page = browsing.open(receiver, "/runs/long")
    expect(find(page, "bar")).to_have_count(STEPS)
    expect(find(page, "node")).to_have_count(STEPS)
    receiver.post(record("error", STEPS + 1, step="the last", span="the last", run="long"))
    expect(find(page, "bar", step="the last", kind="error")).to_have_count(1)
    page.keyboard.press("e")
    expect(find(page, "panel")).to_contain_text("the last")
