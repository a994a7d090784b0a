"""What is handed on and put away: a run as a file that is dropped on another receiver, pins, deletions, filters."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests.browser.browsing import Browsing, becomes, find, kinds, wait_until_live
from tests.browser.stories import finished
from tests.browser.test_accessibility import violations
from tests.receiver import Receiver, start_receiver

DROP = """async ([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name, {type: "application/json"}));
    const event = (type) => window.dispatchEvent(new DragEvent(type, {dataTransfer: data, cancelable: true}));
    event("dragenter");
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    const held = document.querySelector("[data-testid=drop-zone]") !== null;
    event("drop");
    return held;
}"""


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[tuple[Receiver, Receiver]]:
    """Two receivers, one with runs of two customers, and one that is empty."""
    with start_receiver(tmp_path / "here.db") as here, start_receiver(tmp_path / "there.db") as there:
        here.post(*finished("order-1", customer="c-1"), *finished("order-2", fails="charge-card", customer="<b>c-814"))
        here.post(*finished("order-3", start=20, customer="<b>c-814"))
        yield here, there


def test_a_run_is_filtered_pinned_exported_dropped_elsewhere_and_deleted(
    browsing: Browsing, shops: tuple[Receiver, Receiver]
) -> None:
    here, there = shops
    page = browsing.open(here, "/runs/order-2?step=charge-card", color_scheme="light")
    find(page, "meta-filter").filter(has_text="c-814").click()
    becomes(page, lambda: kinds(page), [("order-3", "success"), ("order-2", "error")])
    expect(find(page, "meta-chip")).to_have_text("customer=<b>c-814remove")
    page.evaluate(AXE_SCRIPT)
    assert violations(page) == []
    find(page, "meta-chip").click()
    becomes(page, lambda: len(kinds(page)), 3)

    page.goto("/runs/order-2")
    find(page, "pin").click()
    expect(find(page, "pin")).to_have_attribute("aria-pressed", "true")
    find(page, "export").click()
    find(page, "export-process").uncheck()
    page.evaluate(AXE_SCRIPT)
    assert violations(page) == []
    with page.expect_download() as download:
        find(page, "export-yes").click()
    assert download.value.suggested_filename == "order-2.failpath-run.json"
    text = download.value.path().read_text()
    assert json.loads(text)["without"] == ["process"]

    other = browsing.open(there, "/")
    assert other.evaluate(DROP, ["order-2.failpath-run.json", text]) is True
    expect(find(other, "run-header")).to_contain_text("order-2")
    expect(find(other, "import-note")).to_contain_text("It stands as it did there")
    browsing.expect_complaints("422|404")  # of a file that is none, and of the run that is deleted
    find(other, "run-header").get_by_role("link", name="Flows").click()
    other.evaluate(DROP, ["other.json", "{}"])
    expect(find(other, "import-result")).to_contain_text("its format is not 'failpath-run'")

    page.goto("/runs?pinned=1")
    becomes(page, lambda: kinds(page), [("order-2", "error")])
    second = browsing.open(here, "/runs")
    becomes(second, lambda: len(kinds(second)), 3)
    page.goto("/runs/order-2?flow=checkout")
    find(page, "delete").click()
    expect(find(page, "delete-question")).to_contain_text("order-2 of checkout, which is pinned, is deleted")
    page.keyboard.press("Enter")  # which is on `Cancel`
    expect(find(page, "delete-question")).to_be_hidden()
    find(page, "delete").click()
    find(page, "delete-yes").click()
    becomes(page, lambda: kinds(page), [("order-3", "success"), ("order-1", "success")])
    becomes(second, lambda: kinds(second), [("order-3", "success"), ("order-1", "success")])
    find(second, "delete").click()
    expect(find(second, "delete-question")).to_contain_text("2 runs of all flows are deleted")
    find(second, "delete-yes").click()
    expect(find(second, "empty")).to_be_visible()
    expect(page.locator(".nothing")).to_contain_text("No run matches")


NOTICED = """
window.noticed = [];
const Real = window.Notification;
window.Notification = class extends Real {
    constructor(title, options) {
        super(title, options);
        window.noticed.push(this);
    }
};
"""


def test_a_flow_that_begins_to_fail_is_noticed_once_by_one_tab_and_not_by_the_one_that_looks_at_it(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*finished("old", fails="charge-card"), *finished("good", start=10), *finished("good", flow="refund"))
    context = browsing.context(receiver, permissions=["notifications"])
    context.add_init_script(NOTICED)
    page, other = context.new_page(), context.new_page()
    for each in (page, other):
        each.goto("/")
        wait_until_live(each)
    find(page, "notices").click()
    expect(find(page, "notices")).to_have_attribute("data-state", "on")
    expect(find(other, "notices")).to_have_attribute("data-state", "on")

    def said() -> list[str]:
        return [title for each in (page, other) for title in each.evaluate("noticed.map(({title}) => title)")]

    becomes(page, lambda: sum(find(each, "notices", holds="true").count() for each in (page, other)), 1)
    receiver.post(*finished("bad", start=20, fails="charge-card"))
    becomes(page, lambda: "checkout fails again" in said(), True)
    receiver.post(*finished("fine", start=30), *finished("worse", start=40, fails="charge-card"))
    receiver.post(*finished("first", start=50, flow="refund", fails="charge-card"))
    becomes(page, lambda: "refund fails again" in said(), True)
    assert said().count("checkout fails again") == 1
    browsing.expect_complaints("404")
    other.goto("/runs/watched?flow=mail")
    receiver.post(*finished("m-1", flow="mail"), *finished("audit-1", flow="audit"))
    receiver.post(*finished("watched", start=60, flow="mail", fails="charge-card"))
    expect(find(other, "run-header")).to_be_visible()
    receiver.post(*finished("audit-2", start=70, flow="audit", fails="charge-card"))
    becomes(page, lambda: "audit fails again" in said(), True)
    assert "mail fails again" not in said()
    holder = page if page.evaluate("noticed.length") else other
    holder.evaluate("noticed.at(-1).onclick()")
    expect(find(holder, "run-header")).to_contain_text("audit-2")
