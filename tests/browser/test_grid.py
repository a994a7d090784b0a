"""The grid of a flow, in which it is seen which step began to fail, and the comparison of a run with a good one."""

import re

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import begun, finished
from tests.receiver import Receiver

HOSTILE = '<img src=x onerror="window.broken=1">'
STEPS = ("validate-cart", "charge-card", "send-receipt")


def furnish(receiver: Receiver) -> None:
    events = [event for number in range(6) for event in finished(f"good-{number}", start=10 * number)]
    for number in range(3):
        events += finished(f"bad-{number}", start=100 + 10 * number, fails="charge-card")
    receiver.post(*events, begun("now", "validate-cart"))


def columns(page: Page) -> list[tuple[str, str]]:
    runs = find(page, "grid-run")
    return [tuple(pair) for pair in runs.evaluate_all("all => all.map(one => [one.dataset.run, one.dataset.kind])")]


def letters(page: Page, step: str) -> list[str]:
    cells = find(page, "grid-row", step=step).locator("[role=gridcell]")
    kinds: list[str] = cells.evaluate_all("all => all.map(one => one.dataset.kind)")
    return kinds


def test_the_grid_shows_which_step_began_to_fail_and_opens_the_run_by_mouse_and_by_keys(
    browsing: Browsing, receiver: Receiver
) -> None:
    furnish(receiver)
    page = browsing.open(receiver, "/flows/checkout")
    grid = find(page, "grid")
    expect(find(page, "grid-row")).to_have_count(3)
    rows = find(page, "grid-row").evaluate_all("rows => rows.map(row => row.dataset.step)")
    assert rows == list(STEPS)
    runs = [run for run, _ in columns(page)]
    assert runs == [*(f"good-{n}" for n in range(6)), *(f"bad-{n}" for n in range(3)), "now"]
    assert letters(page, "validate-cart") == ["success"] * 9 + ["running"]
    assert letters(page, "charge-card") == ["success"] * 6 + ["error"] * 3 + ["none"]
    colours = grid.locator("[role=gridcell]").evaluate_all(
        "all => new Set(all.map(one => getComputedStyle(one).backgroundColor)).size"
    )
    assert colours == 4

    expect(find(page, "grid-since")).to_have_text(re.compile(r"^\s*fails since .*\d\d:\d\d$"))
    expect(find(page, "grid-verdict")).to_contain_text("charge-card fails since")
    expect(find(page, "grid-verdict")).to_contain_text("all 3 runs, before 0 of 6")

    cell = find(page, "grid-row", step="charge-card").locator("[data-kind=error]").first
    cell.hover()
    detail = find(page, "grid-detail")
    expect(detail).to_contain_text("bad-0")
    expect(detail).to_contain_text("200 ms")
    expect(detail).to_contain_text("the bank declined the card")

    # Under the pointer nothing moves; what is new comes when it has left.
    before = cell.bounding_box()
    receiver.post(*finished("newer", start=200, fails="charge-card"))
    expect(find(page, "grid-waiting")).to_have_text(re.compile("Show 1 newer run"))
    assert cell.bounding_box() == before
    assert len(columns(page)) == 10
    page.mouse.move(5, 5)
    expect(find(page, "grid-run")).to_have_count(11)
    expect(find(page, "grid-verdict")).to_contain_text("all 4 runs")

    # One stop of the Tab key; the arrows move from cell to cell, and Enter opens the run at the step.
    page.keyboard.press("Escape")
    page.goto("/flows/checkout")
    expect(find(page, "grid-run")).to_have_count(11)
    find(page, "grid-verdict").focus()
    page.keyboard.press("Tab")  # the next stop, however many stand before
    expect(grid).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    expect(detail).to_contain_text("good-0")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(detail).to_contain_text("newer")
    expect(grid.locator(".grid-active")).to_have_attribute("aria-label", re.compile("^error, 200 ms, .*declined"))
    page.keyboard.press("Enter")
    expect(find(page, "run-header")).to_contain_text("newer")
    expect(find(page, "panel")).to_contain_text("the bank declined the card")


def test_a_run_is_compared_with_the_last_good_one_by_a_key_and_with_any_other(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(
        *finished("older", start=0, customer="c-1"),
        *finished("good", start=10, customer="c-2"),
        *finished("bad", start=20, fails="charge-card", customer=HOSTILE),
        *finished("slow", start=30, seconds=3.0, customer="c-2"),
    )
    page = browsing.open(receiver, "/runs/bad?flow=checkout")
    expect(find(page, "run-header")).to_be_visible()
    page.keyboard.press("c")
    expect(find(page, "compare-header", own="bad", other="good")).to_be_visible()
    steps = find(page, "compare-step")
    assert steps.evaluate_all("all => all.map(one => [one.dataset.step, one.dataset.differs])") == [
        ["charge-card", "outcome"],
        ["send-receipt", "missing"],
    ]
    expect(find(page, "compare-error")).to_contain_text("the bank declined the card")
    change = find(page, "compare-change", key="customer")
    expect(change).to_have_text(re.compile(rf"customer\s+{re.escape(HOSTILE)}\s+against\s+c-2"))
    assert page.evaluate("window.broken") is None
    find(page, "compare-group", group="same").click()
    expect(steps).to_have_count(3)

    find(page, "compare-with").fill("older")
    find(page, "compare-with").press("Enter")
    expect(find(page, "compare-header", other="older")).to_be_visible()
    assert "with=older" in page.url
    find(page, "compare-next").click()
    expect(find(page, "compare-header", other="slow")).to_be_visible()
    expect(steps).to_have_count(3)
    assert steps.first.get_attribute("data-differs") == "faster"
    find(page, "compare-with").fill("bad")
    find(page, "compare-with").press("Enter")
    expect(find(page, "compare-problem", problem="same")).to_be_visible()
    find(page, "compare-good").click()
    expect(find(page, "compare-header", other="good")).to_be_visible()
    find(page, "compare-with").blur()

    page.keyboard.press("j")
    expect(page.locator('[data-testid="compare-step"][aria-selected="true"]')).to_have_attribute(
        "data-step", "charge-card"
    )
    page.keyboard.press("Enter")
    expect(find(page, "panel")).to_contain_text("the bank declined the card")
    page.keyboard.press("c")
    expect(find(page, "compare-header", own="bad")).to_be_visible()
    page.keyboard.press("Escape")
    expect(find(page, "run-header")).to_contain_text("bad")
