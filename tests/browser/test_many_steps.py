"""A run of 500 steps is no slower to look at than a person notices."""

import time
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import record
from tests.receiver import Receiver

STEPS = 500
LIMIT_MS = 2000.0
PATIENCE_SECONDS = 60.0

NOTE_PANEL = """
  new MutationObserver(() => {
    if (window.panelAt === undefined && document.querySelector('[data-testid="panel"]')) {
      window.panelAt = performance.now();
    }
  }).observe(document, {subtree: true, childList: true});
"""
"""Notes when the panel was first there, counted from the start of the navigation."""


def long_run() -> list[dict[str, Any]]:
    events = []
    for number in range(STEPS):
        same: dict[str, Any] = {"step": f"step-{number:03}", "span": str(number), "run": "long"}
        events.append(record("running", number, **same))
        events.append(record("success", number + 0.9, started=number, duration_ms=900.0, **same))
    return events


def steps_listed(page: Page, number: int) -> Locator:
    """The first row of a list of so many; only those in sight are in the document."""
    return page.get_by_role("option").first.and_(page.locator(f'[aria-setsize="{number}"]'))


def milliseconds_until_a_click_is_answered(page: Page) -> float:
    page.add_init_script(NOTE_PANEL)
    page.goto("/runs/long", wait_until="commit")
    # The middle of a bar so narrow may be under the mark of its p50, so it is the row that is clicked.
    page.get_by_role("option").filter(has=find(page, "bar", step="step-003")).click()
    expect(find(page, "panel")).to_contain_text("step-003")
    expect(steps_listed(page, STEPS)).to_be_visible()
    return float(page.evaluate("window.panelAt"))


def test_a_run_of_500_steps_answers_a_click_within_two_seconds(browsing: Browsing, receiver: Receiver) -> None:
    receiver.post(*long_run())
    taken: list[float] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    # More than once on a machine that is busy with something else: that can only make it longer than it is.
    while not taken or (min(taken) >= LIMIT_MS and time.monotonic() < deadline):
        context = browsing.context(receiver)
        taken.append(milliseconds_until_a_click_is_answered(context.new_page()))
        context.close()
    assert min(taken) < LIMIT_MS, taken


def test_a_run_of_500_steps_is_live_to_its_last_step(browsing: Browsing, receiver: Receiver) -> None:
    receiver.post(*long_run())
    page = browsing.open(receiver, "/runs/long")
    expect(steps_listed(page, STEPS)).to_be_visible()
    expect(find(page, "node")).to_have_count(STEPS)
    receiver.post(record("error", STEPS + 1, step="the last", span="the last", run="long"))
    expect(steps_listed(page, STEPS + 1)).to_be_visible()
    page.keyboard.press("e")
    expect(find(page, "panel")).to_contain_text("the last")
    expect(find(page, "bar", step="the last", kind="error")).to_be_in_viewport()
