"""Debian's Chromium, driven by Playwright, which can reach nothing but this machine."""

import os
import re
import shutil
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

REQUIRED: Final = "CHROMIUM_REQUIRED"
"""With this variable a test that finds no Chromium fails; without it, it is skipped."""

DEADLINE_MS: Final = 15_000.0
"""How long anything that is waited for may take; an exception is what a test says so of."""

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_FEATURES_OFF: Final = (
    # The browser would load pages of its own for each window, which cost more than the one that is looked at.
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    # This list replaces Playwright's, so it repeats what matters here.
    *("AimEnabled", "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay"),
    *("MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch"),
)

_ITS_OWN: Final = re.compile(
    r"[/ .](google\.com|gvt1\.com|(content-autofill|safebrowsing|update|[a-z-]+-pa)\.googleapis\.com)[:/]"
)
"""What Chromium itself asks for, whatever page it shows. Fonts and libraries for pages are elsewhere."""

_A_PATH: Final = re.compile(r"[A-Z]+ /")


class Outside(socketserver.ThreadingTCPServer):
    """A proxy that lets nothing through and remembers what was asked of it.

    Chromium asks it for everything that is not on the loopback interface. So it sees what a shared worker requests,
    which Playwright does not tell, and nothing leaves this machine.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self._asked: list[str] = []

    @property
    def asked(self) -> list[str]:
        """The request lines so far, without those of Chromium's own and those that are not sent to a proxy.

        A program of another test that takes this port for that of a server which has ended asks for a path.
        """
        return [line for line in self._asked if not (_ITS_OWN.search(line) or _A_PATH.match(line))]

    def remember(self, line: str) -> None:
        self._asked.append(line)


class _Refusal(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline(65_536).decode("latin-1").strip()
        if line:
            assert isinstance(self.server, Outside)
            self.server.remember(line)
        self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


def find_chromium() -> str:
    """The path of a Chromium; without one the test is skipped, or fails where it is required."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        missing = f"none of {', '.join(_NAMES)} is installed (on Debian: apt-get install chromium)"
        if os.environ.get(REQUIRED):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@contextmanager
def open_chromium() -> Iterator[tuple[Browser, Outside]]:
    """Starts a headless Chromium, yields it with the proxy in front of the world, and ends both."""
    path = find_chromium()
    with Outside() as outside:
        threading.Thread(target=outside.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        arguments = [
            "--no-sandbox",  # root has no sandbox, and the pages are our own
            "--disable-dev-shm-usage",
            "--disable-component-update",
            f"--disable-features={','.join(_FEATURES_OFF)}",
            f"--proxy-server=http://127.0.0.1:{outside.server_address[1]}",
        ]
        try:
            with sync_playwright() as playwright:
                expect.set_options(timeout=DEADLINE_MS)
                browser = playwright.chromium.launch(executable_path=path, args=arguments)
                try:
                    yield browser, outside
                finally:
                    browser.close()
        finally:
            outside.shutdown()
