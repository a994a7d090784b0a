"""Thousands of runs pass over every view, and leave neither elements nor memory behind."""

import time
from typing import Final

from playwright.sync_api import CDPSession, Page, expect

from tests.browser.browsing import Browsing, find, wait_until_live
from tests.browser.stories import begun, ended, finished
from tests.receiver import Receiver

RUNS: Final = 2_000
BATCH: Final = 200
WARM: Final = 400
"""After so many runs every list has its full length."""

VIEWS: Final = ("/", "/flows/checkout", "/runs", "/runs/watched?flow=checkout")
DETACHED_NODES: Final = 1_500
"""How many nodes may be outside of the document: what was shown last is held until the next status of the receiver."""

SETTLE_SECONDS: Final = 6.0
HEAP_BYTES: Final = 3_000_000
"""How many more bytes there may be at the end."""

SHOWN_NODES: Final = """() => {
  const walker = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
  let count = 1;
  while (walker.nextNode()) count += 1;
  return count;
}"""


def counted(page: Page, session: CDPSession) -> tuple[int, int]:
    """Returns the nodes outside of the document, and the bytes, that are left after garbage collections."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        session.send("HeapProfiler.collectGarbage")
        nodes = session.send("Memory.getDOMCounters")["nodes"] - page.evaluate(SHOWN_NODES)
        if nodes <= DETACHED_NODES or time.monotonic() >= deadline:
            return nodes, session.send("Runtime.getHeapUsage")["usedSize"]
        page.wait_for_timeout(100)


def test_two_thousand_runs_leave_no_nodes_and_no_memory_behind_in_any_view(
    browsing: Browsing, receiver: Receiver
) -> None:
    receiver.post(*finished("watched", "first"))
    context = browsing.context(receiver)
    pages: list[tuple[Page, CDPSession]] = []
    for path in VIEWS:
        page = context.new_page()
        page.goto(path)
        wait_until_live(page)
        pages.append((page, context.new_cdp_session(page)))
    runs = pages[VIEWS.index("/runs")][0]
    watched = pages[-1][0]
    warm: list[tuple[int, int]] = []
    for start in range(0, RUNS, BATCH):
        names = [f"run-{number:04}" for number in range(start, start + BATCH)]
        receiver.post(*[begun(name) for name in names], begun("watched", f"step-{start % WARM}"))
        expect(find(runs, "run-row", run=names[-1], kind="running")).to_have_count(1)
        outcomes = [ended(name, status="error" if number % 5 == 0 else "success") for number, name in enumerate(names)]
        receiver.post(*outcomes, ended("watched", f"step-{start % WARM}"))
        expect(find(runs, "run-row", run=names[-1], kind="success")).to_have_count(1)
        expect(find(watched, "bar", step=f"step-{start % WARM}", kind="success").first).to_be_attached()
        if start + BATCH == WARM:
            warm = [counted(page, session) for page, session in pages]
    after = [counted(page, session) for page, session in pages]
    for view, before, now in zip(VIEWS, warm, after, strict=True):
        assert now[0] <= DETACHED_NODES, view
        assert now[1] <= before[1] + HEAP_BYTES, view
