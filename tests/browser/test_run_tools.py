"""What a person takes along from a run: a report, a link, the next run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, find, wait_until_live
from tests.browser.stories import finished
from tests.receiver import Receiver, start_receiver

CLIPBOARD = ["clipboard-read", "clipboard-write"]


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver with three runs that knows where the user's traces are."""
    with start_receiver(tmp_path / "local.db", "--trace-url", "http://127.0.0.1:16686/trace/{trace_id}") as receiver:
        receiver.post(*finished("order-1"), *finished("order-2", start=10, fails="charge-card", cart=7))
        receiver.post(*finished("order-3", start=20))
        yield receiver


def open_failed(browsing: Browsing, receiver: Receiver) -> Page:
    page = browsing.context(receiver, permissions=CLIPBOARD).new_page()
    page.goto("/runs/order-2?step=charge-card&attempt=1")
    wait_until_live(page)
    expect(find(page, "panel")).to_be_visible()
    return page


def test_a_run_is_copied_as_json_and_as_text_for_a_bug_report(browsing: Browsing, traced: Receiver) -> None:
    page = open_failed(browsing, traced)
    find(page, "copy-json").click()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    stored = traced.run("order-2")
    assert stored is not None
    run = copied.get("run", copied)
    assert run["runId"] == "order-2"
    assert [step["spanId"] for step in run["steps"]] == [step["spanId"] for step in stored["steps"]]

    find(page, "copy-text").click()
    text = page.evaluate("navigator.clipboard.readText()")
    for part in ("order-2", "checkout", "charge-card", "the bank declined the card", "bank.py", "cart"):
        assert part in text


def test_the_trace_of_a_step_opens_in_the_viewer_of_the_user(browsing: Browsing, traced: Receiver) -> None:
    page = open_failed(browsing, traced)
    expect(find(page, "trace-link").first).to_have_attribute("href", "http://127.0.0.1:16686/trace/trace")
    expect(find(page, "trace-link").first).to_have_attribute("rel", "noopener noreferrer")


def test_the_runs_before_and_after_are_one_click_away(browsing: Browsing, traced: Receiver) -> None:
    page = open_failed(browsing, traced)
    find(page, "next-run").click()
    expect(find(page, "run-header")).to_contain_text("order-3")
    find(page, "previous-run").click()
    find(page, "previous-run").click()
    expect(find(page, "run-header")).to_contain_text("order-1")


def test_the_log_has_every_event_and_the_stack_has_the_application_first(browsing: Browsing, traced: Receiver) -> None:
    page = open_failed(browsing, traced)
    expect(find(page, "event")).to_have_count(4)
    expect(find(page, "frame").first).to_have_attribute("data-application", "true")
    expect(find(page, "frame").first).to_contain_text("bank.py")
    expect(find(page, "frame", application="false").first).to_contain_text("sessions.py")
