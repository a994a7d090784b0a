"""Errors are counted by their cause, and lead to all the runs that had them."""

import re
from typing import Any, Final

from playwright.sync_api import Page, expect

from failpath_otel.records.record import ErrorInfo
from tests.browser.browsing import Browsing, becomes, find, metric
from tests.browser.stories import record
from tests.receiver import Receiver

HOSTILE: Final = "<img src=x onerror=alert(1)>"


def failure(number: int, name: str, message: str, *, retried: bool = False) -> list[dict[str, Any]]:
    same: dict[str, Any] = {"run": f"order-{number:03}", "flow": "billing", "step": "charge"}
    events = [
        record("running", number * 10, span=f"{number}", **same),
        record("error", number * 10 + 1, span=f"{number}", started=number * 10, error=ErrorInfo(name, message), **same),
    ]
    if retried:
        events.append(record("success", number * 10 + 3, span=f"{number}+", started=number * 10 + 2, **same))
    return events


def ninety_one() -> list[dict[str, Any]]:
    """91 failures, of which 81 have one cause and an id each, and three runs that a retry made good."""
    events = [failure(n, "CardError", f"order {n} of customer c-{n * 37} has no {HOSTILE}") for n in range(81)]
    events += [failure(n, "OSError", "the bank is not there") for n in range(81, 91)]
    events += [failure(n, "TimeoutError", f"no answer within {n} ms", retried=True) for n in range(91, 94)]
    return [event for of_run in events for event in of_run]


def counts(page: Page) -> list[tuple[str, str]]:
    rows = find(page, "top-error").evaluate_all(
        """rows => rows.map(row => [row.querySelector(".top-error-name").textContent.trim(),
                                    row.querySelector("[data-metric=count]").textContent])"""
    )
    return [(name, number) for name, number in rows]


def test_errors_of_one_cause_are_one_that_stands_on_top_and_leads_to_all_its_runs(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*ninety_one())
    page = browsing.open(receiver)
    worst = find(page, "failing-error").first
    expect(worst).to_contain_text("CardError order * of customer * has no")
    expect(metric(worst, "count")).to_have_text("81")

    page.goto("/flows/billing")
    expect(find(page, "top-error")).to_have_count(3)
    assert counts(page) == [("CardError", "81"), ("OSError", "10"), ("TimeoutError", "3")]
    top, _, recovered = find(page, "top-error").all()
    expect(top).to_contain_text(HOSTILE)
    expect(top).to_contain_text("86.2 % of the runs")  # 81 of 94 that ended
    expect(recovered).to_contain_text("each made good by a retry")
    buckets = find(top, "spark").get_attribute("data-buckets") or ""
    assert sum(int(bucket) for bucket in buckets.split()) == 81
    assert metric(find(page, "flow-header"), "retries").inner_text() == "3 in 3.2 % of the runs, 0.03 a run"

    top.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/runs\?error=[0-9a-f]{16}$"))
    expect(find(page, "error-chip")).to_contain_text("CardError order * of customer * has no")
    expect(find(page, "run-row")).to_have_count(81)
    # Live: another run with it comes in, one with another error does not.
    receiver.post(*failure(95, "CardError", f"order 95 of customer c-1 has no {HOSTILE}"))
    receiver.post(*failure(96, "OSError", "the bank is not there"))
    expect(find(page, "run-row", run="order-095")).to_be_visible()
    expect(find(page, "run-row")).to_have_count(82)
    find(page, "remove-error").click()
    expect(page).to_have_url(re.compile(r"/runs$"))
    expect(find(page, "run-row", run="order-096")).to_be_visible()
    expect(find(page, "error-chip")).to_have_count(0)
    expect(find(page, "run-row", run="order-093")).to_contain_text("1 retry")

    # A loop is no retry.
    loop = {"run": "loop", "flow": "billing", "step": "charge"}
    receiver.post(*(record("success", 960 + n, span=f"l{n}", started=959.5 + n, **loop) for n in range(3)))
    page.goto("/runs/loop")
    expect(find(page, "run-header")).to_contain_text("Steps1")
    becomes(page, lambda: "retr" in find(page, "run-header").inner_text(), expected=False)
    page.goto("/runs/order-092")
    expect(find(page, "run-header")).to_contain_text("1 and 1 retry")
