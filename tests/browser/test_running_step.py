"""A step shows the moment it starts, and until it ends it grows."""

import statistics
from functools import partial

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.browsing import Browsing, find
from tests.browser.senders import start_sender
from tests.receiver import Receiver, wait_for

NOTE_RUNNING = """() => {
  window.seenAt = {};
  const look = () => {
    for (const bar of document.querySelectorAll('[data-testid="bar"][data-kind="running"]')) {
      window.seenAt[bar.dataset.step] ??= Date.now();
    }
  };
  new MutationObserver(look).observe(document, {subtree: true, childList: true, attributes: true});
  look();
}"""
"""Notes when the bar of a running step was first there, by the same clock that the test reads."""

LIMIT_SECONDS = 1.0


def width(bar: Locator) -> float:
    box = bar.bounding_box()
    assert box is not None
    return box["width"]


def grows(bar: Locator) -> bool:
    """Whether it became wider from one look to the next; the axis may be drawn anew, by which every bar shrinks."""
    before = width(bar)
    return width(bar) > before


def test_a_started_step_shows_as_running_within_a_second_grows_and_settles(
    browsing: Browsing, receiver: Receiver
) -> None:
    with start_sender(receiver, "live") as sender:
        sender.begin("first")
        sender.end()
        wait_for(lambda: receiver.run("live"))
        # With less motion a bar grows once a second.
        page = browsing.open(receiver, "/runs/live", reduced_motion="no-preference")
        expect(find(page, "bar", step="first", kind="success")).to_be_visible()
        page.evaluate(NOTE_RUNNING)

        delays = []
        for step in ("second", "third", "fourth"):
            before = sender.begin(step)
            bar = find(page, "bar", step=step, kind="running")
            expect(bar).to_be_visible()
            delays.append(page.evaluate("step => window.seenAt[step]", step) / 1000 - before)
            expect(find(page, "run-header", kind="running")).to_be_visible()

            wait_for(partial(grows, bar), message=f"the bar of {step} does not grow")
            sender.end()
            expect(find(page, "bar", step=step)).to_have_attribute("data-kind", "success")
        assert statistics.median(delays) < LIMIT_SECONDS, delays

    expect(find(page, "run-header")).to_have_attribute("data-kind", "success")
    expect(find(page, "bar", kind="running")).to_have_count(0)


@pytest.mark.whole
def test_a_step_that_fails_turns_from_running_to_error_in_every_view(browsing: Browsing, receiver: Receiver) -> None:
    with start_sender(receiver, "live") as sender:
        sender.begin("charge")
        wait_for(lambda: receiver.run("live"))
        context = browsing.context(receiver)
        flows, flow, runs, run = (context.new_page() for _ in range(4))
        flows.goto("/")
        flow.goto("/flows/checkout")
        runs.goto("/runs")
        run.goto("/runs/live")
        for kind in ("running", "error"):
            expect(find(flows, "outcome", kind=kind)).to_have_count(1)
            expect(find(flow, "run-row", run="live", kind=kind)).to_be_visible()
            expect(find(runs, "run-row", run="live", kind=kind)).to_be_visible()
            expect(find(run, "run-header", kind=kind)).to_be_visible()
            expect(find(run, "node", step="charge", kind=kind)).to_be_visible()
            expect(find(run, "bar", step="charge", kind=kind)).to_be_visible()
            if kind == "running":
                sender.fail("the bank is closed")
    expect(find(runs, "run-row", run="live")).to_contain_text("the bank is closed")
