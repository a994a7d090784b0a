"""The server is restarted while the page is open: it goes on where it was, without a gap and without a double."""

from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.browsing import Browsing, becomes, find, hook, kinds
from tests.browser.senders import start_sender
from tests.browser.stories import begun, ended, finished
from tests.ports import unused_port
from tests.receiver import Receiver, start_receiver, wait_for

CUT_SHORT = "net::ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)"
"""What Chromium says of answers that the end of the server cuts short."""


def connection(page: Page, state: str) -> None:
    page.locator(hook("connection", state=state)).first.wait_for(state="attached")


def events(page: Page) -> list[str]:
    return find(page, "event").all_inner_texts()


def test_a_page_that_is_open_over_a_restart_has_no_gap_and_no_double(browsing: Browsing, tmp_path: Path) -> None:
    browsing.expect_complaints(CUT_SHORT)
    database = tmp_path / "local.db"
    with ExitStack() as first, ExitStack() as second:
        port = unused_port()
        receiver = first.enter_context(start_receiver(database, port=port))
        sender = second.enter_context(start_sender(receiver, "over-the-restart"))
        sender.begin("before")
        sender.end()
        receiver.post(*finished("old"))
        wait_for(lambda: len(receiver.runs()) == 2)
        runs, run = browsing.open(receiver, "/runs"), browsing.open(receiver, "/runs/over-the-restart")
        for page in (runs, run):
            page.evaluate("window.sameDocument = true")
        expect(find(runs, "run-row")).to_have_count(2)

        first.close()
        connection(runs, "lost")
        connection(run, "lost")
        sender.begin("while it was down")
        sender.end()

        receiver = second.enter_context(start_receiver(database, port=port))
        connection(runs, "connected")
        connection(run, "connected")
        receiver.post(*finished("new"))
        sender.begin("after")
        sender.end()

        steps = ["before", "while it was down", "after"]
        for step in steps:
            expect(find(run, "bar", step=step, kind="success")).to_have_count(1)
        expect(find(run, "bar")).to_have_count(len(steps))
        expect(find(run, "event")).to_have_count(2 * len(steps))
        expect(find(runs, "run-row")).to_have_count(3)
        shown = {"old": "success", "new": "success", "over-the-restart": "success"}
        becomes(runs, lambda: dict(kinds(runs)), shown)
        assert {found["runId"]: found["status"] for found in receiver.runs()} == shown
        for page in (runs, run):
            assert page.evaluate("window.sameDocument") is True
        # What they have come to while they lived on is what they are when they are loaded now.
        lived = kinds(runs), events(run)
        runs.reload()
        run.reload()
        becomes(runs, lambda: (kinds(runs), events(run)), lived)


def test_a_view_that_could_not_load_a_change_does_so_after_the_restart(browsing: Browsing, tmp_path: Path) -> None:
    browsing.expect_complaints("ERR_")
    database = tmp_path / "local.db"
    port = unused_port()
    with start_receiver(database, port=port) as receiver:
        receiver.post(begun("one"))
        page = browsing.open(receiver, "/runs/one")
        expect(find(page, "run-header", kind="running")).to_be_visible()
        # The receiver ends between the change and the question about it.
        page.route("**/api/page/run/*", lambda route: route.abort())
        with page.expect_event("requestfailed"):
            receiver.post(ended("one"))
    connection(page, "lost")
    page.unroute_all()
    with start_receiver(database, port=port):
        expect(find(page, "run-header", kind="success")).to_be_visible()


def test_a_view_asks_again_where_the_receiver_could_not_answer(browsing: Browsing, receiver: Receiver) -> None:
    browsing.expect_complaints("503")
    receiver.post(begun("one"))
    page = browsing.open(receiver, "/runs/one")
    expect(find(page, "run-header", kind="running")).to_be_visible()
    busy = {"status": 503, "json": {"error": "the database is locked"}}
    page.route("**/api/page/run/*", lambda route: route.fulfill(**busy), times=1)
    receiver.post(ended("one"))
    expect(find(page, "run-header", kind="success")).to_be_visible()


def test_another_database_at_the_same_address_replaces_what_the_page_shows(browsing: Browsing, tmp_path: Path) -> None:
    browsing.expect_complaints(CUT_SHORT)
    port = unused_port()
    with start_receiver(tmp_path / "one.db", port=port) as receiver:
        receiver.post(*finished("of the one"))
        page = browsing.open(receiver, "/runs")
        expect(find(page, "run-row", run="of the one")).to_be_visible()
    connection(page, "lost")
    with start_receiver(tmp_path / "other.db", port=port) as receiver:
        receiver.post(*finished("of the other"))
        expect(find(page, "run-row", run="of the other")).to_be_visible()
        expect(find(page, "run-row")).to_have_count(1)
