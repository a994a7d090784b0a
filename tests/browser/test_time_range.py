"""A fault that began some hours ago: what, since when and for whom is found over a range of time."""

import re
from datetime import datetime, timezone
from typing import Any

from playwright.sync_api import expect

from tests.browser.browsing import Browsing, becomes, find, metric, wait_until_live
from tests.browser.stories import DECLINED, now
from tests.local.events import event, wire
from tests.receiver import Receiver

HOUR = 3600.0
RUNS = 180
"""A run each four minutes, for twelve hours; in the last six, all of one customer out of five fail."""


def run_ago(seconds: float, *, fails: bool, flow: str = "billing", **metadata: Any) -> dict[str, Any]:
    name = f"{flow} {seconds:.0f}"
    end = event(
        "error" if fails else "success",
        0,
        step="charge-card" if fails else "send-receipt",
        span=name,
        run=name,
        flow=flow,
        duration_ms=1500,
        error=DECLINED if fails else None,
        **metadata,
    )
    return wire(end, timestamp=now(-seconds), startedAt=now(-seconds - 1.5))


def a_fault_for_one_customer() -> list[dict[str, Any]]:
    events = []
    for number in range(RUNS):
        seconds = 12 * HOUR - number * 240 - 60
        customer = f"c-{810 + number % 5}"
        events.append(run_ago(seconds, fails=seconds < 6 * HOUR and customer == "c-814", customer=customer))
    return [*events, *[run_ago(number * HOUR + 1800, fails=False, flow="mail") for number in range(30)]]


def hours_ago(text: str | None) -> float:
    assert text is not None
    return (datetime.now(timezone.utc) - datetime.fromisoformat(text.replace("Z", "+00:00"))).total_seconds() / HOUR


def test_a_fault_is_told_by_a_sentence_that_leads_to_its_runs_and_the_range_goes_along(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*a_fault_for_one_customer())
    page = browsing.open(receiver)
    row = find(page, "flow-row").first
    expect(row).to_have_attribute("data-flow", "billing")
    sentence = find(row, "change", kind="failureRate", worse="true")
    expect(sentence).to_contain_text(
        re.compile(r"failed since .*, before 0 %, in charge-card, all with\s+customer=c-814")
    )
    assert 5.5 < hours_ago(sentence.get_attribute("data-since")) <= 6.1

    # By the keyboard alone: to the control, one to the left, and it is in the address.
    page.keyboard.press("t")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(find(page, "time-range", range="24h")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/\?range=24h$"))
    expect(row.locator(".sub").first).to_have_text(f"{RUNS} runs")
    expect(find(page, "flow-row", flow="mail").locator(".sub").first).to_have_text("24 runs")
    expect(find(page, "flow-row", flow="mail").locator(".chart-before")).to_have_count(2)
    expect(row.locator(".chart-before")).to_have_count(0)  # There was none the day before.

    # The chart of the flow says each bucket, by pointer and by key, and all of them in a table.
    row.get_by_role("link", name="billing", exact=True).click()
    expect(page).to_have_url(re.compile(r"/flows/billing\?range=24h$"))
    chart = find(page, "chart", kind="failureRate")
    slider = chart.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(find(chart, "chart-said")).to_contain_text("\N{EN DASH}")
    for _ in range(3):
        page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d+ %, [1-9] of \d+ runs$"))
    assert chart.locator("tbody tr").count() >= 24
    expect(find(page, "change")).to_have_count(1)

    # Its runs of the last hour, then those of the sentence.
    find(page, "time-range").get_by_role("button", name="the last hour").click()
    expect(metric(find(page, "flow-header"), "runs")).to_have_text("15")
    page.get_by_role("link", name="All its runs").click()
    expect(page).to_have_url(re.compile("/runs.*range=1h"))
    expect(find(page, "run-row")).to_have_count(15)
    page.go_back()
    find(page, "time-range").get_by_role("button", name="all time").click()
    find(page, "whom").click()
    expect(page).to_have_url(re.compile(r"/runs\?flow=billing&status=error&meta=customer%3Dc-814&from="))
    expect(find(page, "run-row")).to_have_count(18)

    # A begin and an end, in local time.
    find(page, "from-to").click()
    page.get_by_label("From", exact=True).fill("2020-01-01T00:00:00")
    page.get_by_label("Up to").fill("2019-01-01T00:00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("later")
    page.get_by_label("Up to").fill("2021-01-01T00:00:00")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("from=20(19-12-31|20-01-01)T.*&to=202"))
    expect(find(page, "run-row")).to_have_count(0)
    page.reload()
    wait_until_live(page)
    expect(find(page, "time-range", range="custom")).to_be_visible()
    becomes(page, lambda: find(page, "run-row").count(), 0)
