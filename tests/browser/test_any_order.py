"""The same records late, twice and out of order end on the identical page."""

import random
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser.browsing import Browsing, find, wait_until_live
from tests.browser.stories import DECLINED, finished, record
from tests.receiver import Receiver, start_receiver, wait_for

VIEWS = {
    "/": "flow-row",
    "/flows/checkout": "node",
    "/runs": "run-row",
    "/runs/run-2?flow=checkout": "bar",
    "/runs/run-3?flow=checkout&step=charge-card&attempt=1": "panel",
}
"""The addresses, and what each of them shows when it has loaded."""


def story() -> list[dict[str, Any]]:
    """Four runs in the order in which they happened: well, failed, failed and tried again, with a skip."""
    events = finished("run-1", start=0, cart=7)
    events += finished("run-2", start=10, fails="charge-card", cart=8)
    events += finished("run-3", start=20, fails="charge-card")
    again: dict[str, Any] = {"step": "charge-card", "span": "run-3/again", "run": "run-3"}
    events += [record("running", 21, **again), record("success", 22, started=21, **again)]
    events += finished("run-4", "validate-cart", start=30)
    events.append(record("skipped", 31, step="send-receipt", span="run-4/skip", run="run-4"))
    events += finished("nightly", "load", "import", flow="nightly-import", start=40)
    # Its end was reported by hand, from elsewhere.
    events.append(record("running", 50, step="ship", span="ship", run="run-5"))
    events.append(record("error", 52, step="ship", span="by-hand", run="run-5", error=DECLINED))
    return events


def shuffled_and_repeated(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    twice = [*events, *events[::2]]
    random.shuffle(twice)
    return twice


def ends_first(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda event: event["status"] == "running")


_MOVES_ON: Final = re.compile(r"received [^<]* later|just now|\d+ (s|min|h|d) ago")
"""What differs between two looks, or two receivers: when a record was received, and how long ago something was."""


def settled(page: Page, path: str, receiver: Receiver) -> list[str]:
    """Everything that a view shows, as markup, without what must differ: the port, and what moves on with time."""
    page.goto(path)
    find(page, VIEWS[path]).first.wait_for()
    markup = str(page.locator("main").evaluate("main => document.title + main.outerHTML"))
    return _MOVES_ON.sub("TIME", markup.replace(str(receiver.port), "PORT")).split(">")


def test_every_view_is_the_same_whatever_the_order_of_the_records(browsing: Browsing, tmp_path: Path) -> None:
    browsing.expect_complaints("404")  # of a run and a flow that are not there yet
    events = story()
    with ExitStack() as stack:
        shown: list[tuple[dict[str, Page], Receiver]] = []
        for number, stream in enumerate((events, shuffled_and_repeated(events), ends_first(events))):
            receiver = stack.enter_context(start_receiver(tmp_path / f"{number}.db"))
            context = browsing.context(receiver)
            pages = {path: context.new_page() for path in VIEWS}
            for path, page in pages.items():
                page.goto(path)
                wait_until_live(page)
            for line in stream:  # each by itself, so that the pages see every state in between
                assert receiver.post(line).json()["accepted"] == 1
            shown.append((pages, receiver))
        for path in VIEWS:
            expect_the_same([(pages[path], receiver) for pages, receiver in shown], path)


def expect_the_same(views: list[tuple[Page, Receiver]], path: str) -> None:
    """Fails with the difference where one of them does not become as the first."""

    def looks() -> list[list[str]]:
        return [settled(page, path, receiver) for page, receiver in views]

    def identical() -> bool:
        in_order, *others = looks()
        return all(other == in_order for other in others)

    # More than once, because a chart may reach to a later time in the second look.
    try:
        wait_for(identical, timeout=20)
    except AssertionError:
        in_order, *others = looks()
        for other in others:
            assert other == in_order
        raise
