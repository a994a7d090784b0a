"""A fault that began six hours ago, in one step of one flow and for one customer, is found in a few actions."""

import time
from collections.abc import Iterator
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page, expect

from failpath_otel.local.store.store import Store
from failpath_otel.records.record import ErrorInfo, Record, record_id, rfc3339
from tests.browser.browsing import Browsing, find, metric
from tests.browser.stories import STACK
from tests.browser.test_accessibility import violations
from tests.gateway.requests import JSON
from tests.local.rows import stored
from tests.logs import log, log_request
from tests.receiver import Receiver, start_receiver

HOUR: Final = 3_600_000_000_000
FLOWS: Final = {
    "checkout": ("validate-cart", "charge-card"),
    "invoicing": ("load-order", "render-pdf"),
    "refund": ("find-payment", "refund-card"),
    "signup": ("create-account", "send-welcome"),
    "reporting": ("query", "publish"),
}
RUNS: Final = 1_500
BEGAN: Final = time.time_ns() - 6 * HOUR
MOST_ACTIONS: Final = 5

CHECKED: Final = {
    ("light", 1440): "{resultTypes: ['violations']}",
    ("dark", 400): "{runOnly: ['color-contrast', 'link-in-text-block'], resultTypes: ['violations']}",
}
"""Each scheme and each width once; what axe is to look at, of which another scheme changes only colours."""


def records() -> Iterator[Record]:
    """Runs over two days, of which one in fifty fails anywhere, and since six hours all invoices of one customer."""
    flows = ("checkout", "invoicing", "refund", "invoicing", "signup", "reporting")
    for number in range(RUNS):
        flow, customer = flows[number % 6], f"c-{810 + number // 2 % 5}"
        at = BEGAN + 6 * HOUR - (RUNS - number) * 48 * HOUR // RUNS
        faulty = flow == "invoicing" and customer == "c-814" and at >= BEGAN
        for place, step in enumerate(FLOWS[flow]):
            error = None
            if faulty and place == 1:
                error = ErrorInfo("TemplateNotFound", f"template invoice-{number} of tenant 814 was not found", STACK)
            elif number % 97 == 7 + place:
                error = ErrorInfo("TimeoutError", f"no answer from 10.0.{number % 256}.7 within {number} ms")
            trace, span = f"{number + 1:032x}", f"{number * 2 + place + 1:016x}"
            started = at + place * 1_000_000_000
            milliseconds = 300 + number % 37 * 10
            ended = started + milliseconds * 1_000_000
            yield Record(
                id=record_id(trace, span, "end", ended),
                flow_key=flow,
                run_id=f"{flow}-{number:04}",
                step_key=step,
                status="error" if error else "success",
                timestamp=rfc3339(ended),
                trace_id=trace,
                span_id=span,
                metadata={"customer": customer, "region": "eu"},
                started_at=rfc3339(started),
                duration_ms=milliseconds,
                error=error,
            )
            if error is not None:
                break


def log_of(failed: Record) -> dict[str, Any]:
    at = BEGAN + 6 * HOUR - HOUR // 100  # about the end of the newest runs; the span says where it belongs
    line = log("looked in templates/814, which is empty", trace=failed.trace_id, span=failed.span_id, severity=13)
    return line | {"timeUnixNano": str(at)}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver with the fault, and a log line in each step that it stopped."""
    path = tmp_path_factory.mktemp("faulty") / "local.db"
    made = list(records())
    store = Store(path)
    stored(store, *made)
    store.close()
    with start_receiver(path) as receiver:
        lines = [log_of(each) for each in made if each.error is not None and each.error.name == "TemplateNotFound"]
        body = log_request(*lines)
        answer = receiver.request("/v1/logs", method="POST", body=body, headers={"Content-Type": JSON})
        assert answer.status == 200
        yield receiver


class User:
    """What a user does and sees: each action is a click on something visible, and no view has a violation."""

    def __init__(self, page: Page, scheme: str, width: int) -> None:
        self.page = page
        self.actions = 0
        self._options = CHECKED.get((scheme, width))
        self._width = width
        if self._options is not None:
            page.evaluate(AXE_SCRIPT)  # once: all views are one document

    def click(self, target: Locator) -> None:
        self.actions += 1
        target.click()

    def looks(self) -> None:
        """The view is no wider than the screen, and right for axe."""
        if self._options is not None:
            assert violations(self.page, self._options) == []
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self._width


@pytest.mark.parametrize("width", [1440, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_fails_since_when_why_and_for_whom_is_found_from_the_first_page_in_five_actions(
    browsing: Browsing, faulty: Receiver, scheme: Literal["light", "dark"], width: int
) -> None:
    page = browsing.open(faulty, color_scheme=scheme, viewport={"width": width, "height": 900}, timezone_id="UTC")
    user = User(page, scheme, width)

    # The first flow and the first error say what fails, since when and for whom, before anything is done.
    row = find(page, "flow-row").first
    expect(row).to_have_attribute("data-flow", "invoicing")
    sentence = find(row, "change", kind="failureRate", worse="true")
    expect(sentence).to_contain_text("in render-pdf")
    expect(find(sentence, "whom")).to_have_text("customer=c-814")
    worst = find(page, "failing").get_by_role("listitem").first
    expect(worst).to_contain_text("TemplateNotFound template invoice-* of tenant * was not found")
    expect(worst).to_contain_text("invoicing / render-pdf")
    expect(worst).to_contain_text("first 5 h ago")
    failures = int(metric(worst, "count").inner_text())
    expect(find(worst, "error-whom")).to_have_text(f"all {failures} with customer=c-814")
    user.looks()

    # Of the flow: the step, on its chart and in its grid, and the error with its share.
    user.click(row.get_by_role("link", name="invoicing", exact=True))
    since = find(find(page, "flow-header"), "change", kind="failureRate").get_attribute("data-since")
    assert since is not None
    assert rfc3339(BEGAN - HOUR // 2) <= since <= rfc3339(BEGAN + HOUR)
    expect(find(page, "grid-verdict")).to_contain_text("render-pdf")
    top = find(page, "errors").get_by_role("listitem").first
    expect(top).to_contain_text("new since yesterday")
    user.looks()

    # The runs of that error and that customer: all of them, and nothing else.
    user.click(find(top, "error-whom").get_by_role("link"))
    expect(find(page, "run-row")).to_have_count(failures)
    expect(find(page, "error-chip")).to_contain_text("TemplateNotFound")
    user.looks()

    # Why: the page of a run says it on top, and the step has the stack, the logs and the metadata.
    user.click(find(page, "run-row").first.get_by_role("link").first)
    expect(find(page, "trouble")).to_contain_text("of tenant 814 was not found")
    user.click(find(page, "bar", kind="error"))
    panel = find(page, "panel")
    expect(panel).to_contain_text("of tenant 814 was not found")
    expect(find(panel, "stack")).to_contain_text("bank.py")
    expect(find(panel, "log")).to_contain_text("looked in templates/814, which is empty")
    expect(panel.get_by_title("All runs with customer=c-814")).to_be_visible()
    user.looks()
    assert user.actions <= MOST_ACTIONS
