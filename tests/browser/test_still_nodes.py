"""The nodes of a graph stay where they are, whatever happens to their steps."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import DECLINED, begun, ended, finished, now
from tests.local.events import event, wire
from tests.receiver import Receiver

STEPS = ["validate-cart", "reserve-stock", "charge-card", "send-receipt"]


def places(page: Page) -> dict[str, dict[str, float]]:
    """Where each node is on the screen."""
    found = find(page, "node").evaluate_all(
        """nodes => nodes.map(node => {
             const {x, y, width, height} = node.querySelector("rect.node-box")?.getBoundingClientRect()
               ?? node.getBoundingClientRect();
             return [node.dataset.step, {x, y, width, height}];
           })"""
    )
    return dict(found)


def test_nodes_stay_in_their_places_while_their_steps_run_fail_are_tried_again_and_succeed(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*finished("earlier", *STEPS), begun("now", "validate-cart"))
    # What is beside the graph may come and go, so the page is as high as need be, and both are looked at from its top.
    flow, run = browsing.open(receiver, "/flows/checkout"), browsing.open(receiver, "/runs/now")
    for page in (flow, run):
        expect(find(page, "node")).to_have_count(len(STEPS))
    expect(find(run, "node", step="validate-cart", kind="running")).to_be_visible()
    before = places(flow), places(run)
    assert set(before[0]) == set(before[1]) == set(STEPS)
    assert len({(place["x"], place["y"]) for place in before[0].values()}) == len(STEPS)

    def is_still(step: str, kind: str) -> None:
        expect(find(run, "node", step=step, kind=kind)).to_be_visible()
        expect(find(flow, "run-row", run="now")).to_be_visible()
        assert (places(flow), places(run)) == before

    receiver.post(ended("now", "validate-cart"))
    is_still("validate-cart", "success")
    receiver.post(begun("now", "charge-card"))
    is_still("charge-card", "running")
    receiver.post(ended("now", "charge-card", status="error"))
    is_still("charge-card", "error")
    again: dict[str, Any] = {"step": "charge-card", "span": "again", "run": "now"}
    receiver.post(wire(event("running", 0, **again), timestamp=now()))
    is_still("charge-card", "running")
    receiver.post(wire(event("error", 0, error=DECLINED, **again), timestamp=now()))
    is_still("charge-card", "error")
    receiver.post(wire(event("skipped", 0, step="send-receipt", span="skip", run="now"), timestamp=now()))
    is_still("send-receipt", "skipped")
    receiver.post(*finished("another", *STEPS, fails="reserve-stock"))
    expect(find(flow, "run-row", run="another")).to_be_visible()
    assert (places(flow), places(run)) == before
    for page in (flow, run):
        page.reload()
        expect(find(page, "node")).to_have_count(len(STEPS))
    assert (places(flow), places(run)) == before
