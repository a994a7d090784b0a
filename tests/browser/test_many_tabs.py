"""Seven tabs of one browser, all of them live over one stream, and a server that ends all the same."""

import signal
import sys
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.browsing import Browsing, becomes, find, wait_until_live
from tests.browser.stories import finished
from tests.receiver import Receiver

TABS = 7
"""More than the six connections that a browser has to one server at a time."""

END_SECONDS = 20.0
_ESTABLISHED = "01"


def connections(port: int) -> int:
    """How many connections the server at this port has, by what the kernel says of its side of them."""
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        count += state == _ESTABLISHED and int(local.partition(":")[2], 16) == port
    return count


def open_tabs(context: BrowserContext) -> list[Page]:
    tabs = [context.new_page() for _ in range(TABS)]
    for number, tab in enumerate(tabs):
        tab.goto("/runs" if number % 2 else "/runs/shared?flow=checkout")
    return tabs


def shows(tab: Page, kind: str) -> None:
    run = tab.url.endswith("flow=checkout")
    expect(find(tab, "bar" if run else "run-row", kind=kind)).to_have_count(1)


@pytest.mark.skipif(sys.platform != "linux", reason="counts connections in /proc")
def test_ten_tabs_are_live_at_once_and_share_one_stream_and_the_server_ends_all_the_same(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*finished("shared", "first"))
    tabs = open_tabs(browsing.context(receiver))
    for tab in tabs:
        wait_until_live(tab)
        shows(tab, "success")
    # What served single requests is closed after a while of silence; streams are not.
    becomes(tabs[0], lambda: connections(receiver.port), 1)
    receiver.post(*finished("shared", "second", start=1, fails="second"))
    for tab in tabs:
        shows(tab, "error")

    for tab in tabs[1:5]:
        tab.close()
    receiver.post(*finished("shared", "third", start=2))
    expect(find(tabs[0], "bar", step="third", kind="success")).to_have_count(1)

    # How fast it ends while pages are open, `tests/local/test_server.py` shows.
    browsing.expect_complaints("net::ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)")
    receiver.process.send_signal(signal.SIGTERM)
    assert receiver.process.wait(END_SECONDS) == 0
    assert receiver.stderr() == ""
