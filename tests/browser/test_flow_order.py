"""The list of flows: problems first, still under the pointer, sorted, searched, and as quick with thousands."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, becomes, find, metric, wait_until_live
from tests.browser.stories import begun, ended, record
from tests.receiver import Receiver

MANY = 1500


def flows_shown(page: Page) -> list[str]:
    found: list[str] = find(page, "flow-row").evaluate_all("rows => rows.map(row => row.dataset.flow)")
    return found


def one_run(flow: str, seconds: float = 1.0, run: str = "1") -> dict[str, Any]:
    return record("success", seconds, flow=flow, run=f"{flow} {run}", span=f"{flow} {run}", step="work")


def test_rows_stay_under_the_pointer_until_it_leaves_or_asks_for_the_order(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*[one_run(flow, number) for number, flow in enumerate("abcd", 1)])
    page = browsing.context(receiver).new_page()
    page.clock.install()
    page.goto("/")
    wait_until_live(page)
    becomes(page, lambda: flows_shown(page), ["a", "b", "c", "d"])
    page.evaluate(
        """() => {
            window.moves = 0;
            new MutationObserver(changes => {
              for (const {addedNodes} of changes) {
                window.moves += [...addedNodes].filter(node => node.dataset?.flow).length;
              }
            }).observe(document.querySelector('tbody'), {childList: true});
        }"""
    )
    find(page, "flow-row", flow="b").hover()
    place = find(page, "flow-row", flow="b").bounding_box()
    receiver.post(begun("bad", flow="d"), ended("bad", flow="d", status="error"))
    expect(metric(find(page, "flow-row", flow="d"), "failure-rate")).to_have_text("50 %")
    receiver.post(*[one_run("c", 10 + number, f"again {number}") for number in range(5)])
    expect(find(page, "flow-row", flow="c").locator(".sub").first).to_have_text("6 runs")
    expect(find(page, "reorder")).to_be_visible()
    assert (flows_shown(page), page.evaluate("window.moves")) == (["a", "b", "c", "d"], 0)
    # Nor does what stands above push them away: that something fails is said there when the pointer has left.
    assert find(page, "flow-row", flow="b").bounding_box() == place
    find(page, "reorder").click()
    expect(find(page, "failing")).to_be_visible()
    becomes(page, lambda: flows_shown(page), ["d", "a", "b", "c"])

    # By itself, when nobody points at it.
    receiver.post(begun("bad", flow="b"), ended("bad", flow="b", status="error"))
    expect(metric(find(page, "flow-row", flow="b"), "failure-rate")).to_have_text("50 %")
    page.clock.fast_forward(5000)
    becomes(page, lambda: flows_shown(page), ["b", "d", "a", "c"])

    heads = page.locator("thead")
    heads.get_by_role("button", name="Flow").click()
    expect(page).to_have_url(re.compile("sort=flow"))
    becomes(page, lambda: flows_shown(page), ["a", "b", "c", "d"])
    heads.get_by_role("button", name="Flow").click()
    becomes(page, lambda: flows_shown(page), ["d", "c", "b", "a"])
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    heads.get_by_role("button", name="Flow").click()
    becomes(page, lambda: flows_shown(page), ["b", "d", "a", "c"])


def test_fifteen_hundred_flows_are_found_and_scrolled_with_the_rows_in_sight_alone(
    browsing: Browsing, receiver: Receiver
) -> None:
    for start in range(0, MANY, 500):
        receiver.post(*[one_run(f"flow-{number:04}", number) for number in range(start, start + 500)])
    page = browsing.open(receiver)
    becomes(page, lambda: find(page, "flow-count").inner_text(), "1,500")
    assert find(page, "flow-row").count() < 60
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(find(page, "flow-row", flow="flow-1499")).to_be_in_viewport()
    assert find(page, "flow-row").count() < 60
    assert page.evaluate("document.querySelectorAll('*').length") < 5000
    page.keyboard.press("/")
    page.keyboard.type("-071")
    expect(find(page, "flow-count")).to_have_text("10")
    assert flows_shown(page) == [f"flow-071{number}" for number in range(10)]
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/flows/flow-0710$"))
