"""The logs of a run: with their step, in time between its events, live, and as many as there are."""

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import STACK, record
from tests.browser.test_accessibility import violations_light_and_dark
from tests.gateway.requests import JSON
from tests.logs import SPAN, TRACE, log, log_request
from tests.receiver import Receiver, start_receiver, wait_for

HOSTILE: Final = "<img src=x onerror=alert(1)>"
EXCEPTION: Final = {
    "exception.type": "shop.bank.CardDeclined",
    "exception.message": "the bank declined the card",
    "exception.stacktrace": STACK,
}
LATER: Final = "e" * 16


def step(status: Any, seconds: float, **fields: Any) -> dict[str, Any]:
    return record(status, seconds, run="order-1", **({"span": SPAN} | fields)) | {"traceId": TRACE}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver with a run of two steps, one after the other, and logs in and between them."""
    with start_receiver(tmp_path_factory.mktemp("logged") / "local.db") as receiver:
        receiver.post(step("running", 1), step("success", 4, started=1), step("running", 6, step="ship", span=LATER))
        send(
            receiver,
            line("charging the card", 2, attributes={"order": {"id": 7}, "password": "hunter2hunter2"}),
            line("asked the bank", 2.5, span="c" * 16, severity=5),
            line("declined", 3, severity=17, attributes=EXCEPTION),
            line("between the steps", 5, span="c" * 16, severity=13),
            line(HOSTILE, 7, span=LATER),
        )
        yield receiver


def line(body: str, seconds: float, **fields: Any) -> dict[str, Any]:
    """A log record at a time of the story's."""
    at = record("running", seconds)["timestamp"]
    fraction = at[19:].rstrip("Z").ljust(7, "0")[1:7]
    whole = time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    return log(body, **fields) | {"timeUnixNano": str(int(whole) * 10**9 + int(fraction) * 1000)}


def send(receiver: Receiver, *records: dict[str, Any]) -> None:
    body = log_request(*records)
    answer = receiver.request("/v1/logs", method="POST", body=body, headers={"Content-Type": JSON})
    assert (answer.status, answer.body) == (200, b"{}")


def test_logs_stand_in_the_panel_of_their_step_and_unfold_and_new_ones_come_by_themselves(
    browsing: Browsing, logged: Receiver
) -> None:
    page = browsing.open(logged, "/runs/order-1?step=pay", color_scheme="light")
    logs = find(find(page, "step-logs"), "log")
    expect(logs).to_have_count(3)
    expect(logs.nth(1)).to_have_attribute("data-relation", "during")
    expect(logs.nth(1)).to_contain_text("while it ran")
    expect(logs.nth(2)).to_have_attribute("data-severity", "error")
    expect(logs.nth(0)).to_contain_text("charging the card")
    logs.nth(0).get_by_role("button").press("Enter")
    expect(find(logs.nth(0), "log-details")).to_contain_text("[redacted]")
    expect(page.get_by_text("hunter2")).to_have_count(0)
    logs.nth(2).get_by_role("button").click()
    expect(logs.nth(2).locator("[data-application=true]").last).to_contain_text("bank.py")
    assert violations_light_and_dark(page) == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    send(logged, line("a new one", 3.5))
    expect(logs).to_have_count(4)
    expect(logs.nth(3)).to_contain_text("a new one")
    expect(find(logs.nth(0), "log-details")).to_be_visible()


def test_logs_stand_in_time_between_the_events_and_can_be_hidden(browsing: Browsing, logged: Receiver) -> None:
    page = browsing.open(logged, "/runs/order-1?step=ship")
    expect(find(find(page, "step-logs"), "log").locator(".log-body")).to_have_text([HOSTILE])
    log_of_events = find(page, "event-log")
    rows = log_of_events.locator("tbody tr")
    expect(rows.filter(has_text="between the steps")).to_have_attribute("data-relation", "run")
    # Another test may have sent one more.
    kinds = rows.filter(has_not_text="a new one").evaluate_all(
        "rows => rows.map((row) => row.dataset.status ?? row.dataset.severity)"
    )
    assert kinds == ["running", "info", "debug", "error", "success", "warn", "running", "info"]
    toggle = find(page, "logs-toggle")
    toggle.click()
    expect(rows).to_have_count(3)
    expect(toggle).to_have_attribute("aria-pressed", "false")
    toggle.click()
    expect(rows.last).to_contain_text(HOSTILE)


def test_of_a_thousand_logs_few_are_in_the_document(browsing: Browsing, logged: Receiver) -> None:
    trace, span = "d" * 32, "d" * 16
    logged.post(record("running", 1, run="order-2", flow="long", span=span) | {"traceId": trace})
    wait_for(lambda: logged.run("order-2"))  # Of a trace without a run fewer lines are kept.
    many = (line(f"line {number}", 2 + number / 1_000, trace=trace, span=span) for number in range(1_200))
    send(logged, *many)
    page = browsing.open(logged, "/runs/order-2?step=pay")
    panel = find(page, "step-logs")
    expect(find(panel, "log").first).to_be_visible()
    assert find(panel, "log").count() < 100
    expect(find(page, "logs-left-out")).to_contain_text("older lines")
    panel.get_by_role("region").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(panel.get_by_text("line 1199")).to_be_visible()
    assert find(panel, "log").count() < 100
