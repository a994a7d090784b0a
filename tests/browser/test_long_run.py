"""A run of 10,000 steps costs the page less than a second, and opens at what matters in it."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import CDPSession, Page, expect

from failpath_otel.local.store.store import Store
from failpath_otel.records.record import ErrorInfo
from tests.browser.browsing import Browsing, find, wait_until_live
from tests.browser.stories import STACK
from tests.local.events import event
from tests.local.rows import project, received_events
from tests.receiver import Receiver, start_receiver

STEPS: Final = 10_000
FAILED: Final = 7_000
SHORTER: Final = 1_001
TRIES: Final = 300
LIMIT_SECONDS: Final = 1.0
"""Of computing in the page, which leaves as much for the receiver and the way: two seconds in all."""
MOST_NODES: Final = 3_000

CLIPBOARD: Final = ["clipboard-read", "clipboard-write"]
MESSAGE: Final = "the bank declined the card: " + "no money " * 340


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver with a run of 10,000 steps of which one failed, a shorter one, and one of a step tried often."""
    path = tmp_path_factory.mktemp("long") / "local.db"
    declined = ErrorInfo("CardDeclined", MESSAGE, STACK)
    records = []
    for run, steps in (("long", STEPS), ("shorter", SHORTER)):
        for number in range(steps):
            same: dict[str, Any] = {"step": f"step-{number:05}", "span": f"s{number}", "run": run, "flow": run}
            same |= {"started": number / 100, "error": declined if number == FAILED else None, "file": number}
            records.append(event("error" if number == FAILED else "success", number / 100 + 1, **same))
    for number in range(TRIES):
        same = {"step": "charge", "span": f"c{number}", "run": "tries", "flow": "tries"}
        records.append(event("error" if number < TRIES - 1 else "success", number + 0.5, started=number, **same))
    store = Store(path)
    store.add(received_events(*records), time.time_ns() // 1000)
    project(store)
    store.close()
    with start_receiver(path) as receiver:
        yield receiver


def busy_seconds(session: CDPSession) -> float:
    """How long the page's thread has computed: unlike time by the clock, no longer where the machine is busy."""
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


def test_a_run_of_10000_steps_opens_at_its_failure_after_less_than_a_second_of_computing_and_loses_nothing(
    browsing: Browsing, long_runs: Receiver
) -> None:
    page = browsing.context(long_runs).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto("/runs/long", wait_until="commit")
    expect(find(page, "panel")).to_contain_text(f"step-{FAILED:05}")
    assert busy_seconds(session) < LIMIT_SECONDS
    wait_until_live(page)
    assert nodes(page) < MOST_NODES

    # At the failure, which is in sight; the page is at its top, and the focus where it was.
    assert page.url.endswith(f"?step=step-{FAILED:05}&attempt=1")
    expect(find(page, "bar", step=f"step-{FAILED:05}", kind="error")).to_be_in_viewport()
    assert page.evaluate("[window.scrollY, document.activeElement.tagName]") == [0, "BODY"]
    # The rest of the step comes by itself, and of a long message the beginning.
    expect(find(page, "frame").first).to_contain_text("bank.py")
    expect(find(page, "panel")).to_contain_text("file")
    expect(page.locator(".step-error-message")).to_contain_text("declined the card: no money")
    assert len(page.locator(".step-error-message").inner_text()) < 700
    find(page, "show-all").click()
    expect(page.locator(".step-error-message")).to_have_text(MESSAGE.rstrip())
    # The day is not today's.
    expect(find(page, "run-header")).to_contain_text("2023-11-14")
    expect(find(page, "panel")).to_contain_text("UTC")

    # By scrolling, which rows that come into sight do not disturb.
    page.evaluate("document.querySelector('.waterfall').scrollTop = 250_000")
    expect(find(page, "bar", step="step-07812")).to_be_in_viewport()
    assert page.evaluate("document.querySelector('.waterfall').scrollTop") == 250_000

    # By keys and by searching, also to steps that are not in the document.
    page.keyboard.press("j")
    expect(find(page, "panel")).to_contain_text(f"step-{FAILED + 1:05}")
    page.keyboard.press("/")
    page.keyboard.type("STEP-0999")
    expect(page.get_by_role("option")).to_have_count(10)
    page.keyboard.press("Escape")
    page.get_by_role("option").last.click()
    expect(find(page, "panel")).to_contain_text("step-09999")
    find(page, "find-step").fill("")
    expect(page.get_by_role("option").last).to_have_attribute("aria-setsize", str(STEPS))
    assert nodes(page) < MOST_NODES

    # The events in sight, and at the end the last.
    find(page, "event-log").locator("summary").click()
    expect(find(page, "event").first).to_contain_text("step-00000")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(find(page, "event").last).to_contain_text("step-09999")
    assert nodes(page) < MOST_NODES


def test_all_of_a_run_is_copied_that_the_page_has_in_parts(browsing: Browsing, long_runs: Receiver) -> None:
    page = browsing.context(long_runs, permissions=CLIPBOARD).new_page()
    page.goto("/runs/shorter")
    find(page, "copy-json").click()
    expect(find(page, "copy-json")).to_contain_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (len(copied["run"]["steps"]), len(copied["events"])) == (SHORTER, SHORTER)
    assert copied["run"]["steps"][7]["metadata"] == {"file": 7}


def test_many_attempts_leave_the_panel_to_the_one_that_is_selected(browsing: Browsing, long_runs: Receiver) -> None:
    page = browsing.open(long_runs, "/runs/tries?step=charge&attempt=3")
    attempts = find(page, "attempts").get_by_role("button")
    expect(attempts).to_have_count(6)
    numbers = attempts.evaluate_all("buttons => buttons.map(button => button.dataset.attempt)")
    assert numbers == ["1", "3", "297", "298", "299", "300"]
    expect(find(page, "panel")).to_contain_text("300 attempts, 299 failed")
    find(page, "all-attempts").click()
    box = page.locator(".attempts-all")
    # In a box that is no higher than a part of the panel, which has those in sight, wherever it is scrolled to.
    assert box.evaluate("box => [box.clientHeight < 300, box.scrollHeight]") == [True, TRIES * 32]
    box.evaluate("box => box.scrollTop = 6000")
    wanted = box.locator('[data-attempt="190"]')
    expect(wanted).to_be_in_viewport()
    assert box.evaluate("box => box.scrollTop") == 6000
    wanted.click()
    expect(wanted).to_have_attribute("aria-pressed", "true")
    # A run that succeeded in the end opens without a selection.
    page = browsing.open(long_runs, "/runs/tries")
    expect(page.get_by_role("option").first).to_be_visible()
    expect(find(page, "panel")).to_have_count(0)
