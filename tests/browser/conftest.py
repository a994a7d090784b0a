from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.browsing import Browsing
from tests.browser.chromium import Outside, open_chromium
from tests.receiver import Receiver, start_receiver


# A browser for each module, not for the session: Playwright's synchronous interface leaves its event loop running on
# this thread between two calls, so that `asyncio.run` of any other test would fail. Tests of one module are never
# interrupted by those of another, and with the module all of Playwright is gone: loop, driver and threads. A thread of
# its own would keep it for longer, but a test that times out would block that thread for all that come after it.
@pytest.fixture(scope="module")
def chromium() -> Iterator[tuple[Browser, Outside]]:
    """A Chromium for the tests of a module."""
    with open_chromium() as started:
        yield started


@pytest.fixture
def browsing(chromium: tuple[Browser, Outside]) -> Iterator[Browsing]:
    """Opens pages for one test, which fails if one of them complains or asks for anything outside."""
    opened = Browsing(*chromium)
    complaints: list[str] = []
    try:
        yield opened
    finally:
        complaints = opened.close()
    assert complaints == []


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver with an empty database."""
    with start_receiver(tmp_path / "local.db") as started:
        yield started


@pytest.fixture(scope="module")
def shared_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver for tests that store nothing."""
    with start_receiver(tmp_path_factory.mktemp("receiver") / "local.db") as started:
        yield started
