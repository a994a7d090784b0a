"""What a test looks at: pages of one receiver or of several, and whatever is wrong with them."""

import json
import re
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, WebError

from tests.browser.chromium import DEADLINE_MS, Outside
from tests.receiver import Receiver

WIDTH: Final = 1440
HEIGHT: Final = 900

_NO_SERVER: Final = "net::ERR_CONNECTION_REFUSED"
"""What Chromium says when a receiver has ended, as it may before its pages do; no fault of theirs."""


class Browsing:
    """Opens contexts of a browser, each as fresh as a new profile, and collects the errors of their pages."""

    def __init__(self, browser: Browser, outside: Outside) -> None:
        self._browser = browser
        self._outside = outside
        self._heard_outside = len(outside.asked)
        self._contexts: list[BrowserContext] = []
        self._ports: set[int] = set()
        self._complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def context(self, receiver: Receiver, **options: Any) -> BrowserContext:
        """A new context, in which paths are those of the receiver."""
        self._ports.add(receiver.port)
        chosen = {"viewport": {"width": WIDTH, "height": HEIGHT}, "reduced_motion": "reduce"} | options
        context = self._browser.new_context(base_url=receiver.url, **chosen)
        context.set_default_timeout(DEADLINE_MS)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("dialog", self._on_dialog)
        self._contexts.append(context)
        return context

    def open(self, receiver: Receiver, path: str = "/", **options: Any) -> Page:
        """A page in a new context that shows the path, and has its live stream."""
        page = self.context(receiver, **options).new_page()
        page.goto(path)
        wait_until_live(page)
        return page

    def expect_complaints(self, pattern: str) -> None:
        """From now on, complaints in which the pattern is found are what the test provokes."""
        self._expected.append(re.compile(pattern))

    def close(self) -> list[str]:
        """Closes all contexts; returns what was wrong."""
        for context in self._contexts:
            for page in context.pages:
                page.evaluate("0")  # what it has said so far arrives before this answer
            context.close()
        return [
            *(text for text in self._complaints if not any(pattern.search(text) for pattern in self._expected)),
            *(f"a request went out: {line}" for line in self._outside.asked[self._heard_outside :]),
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and _NO_SERVER not in message.text:
            self._complaints.append(f"console: {message.text} at {message.location}")

    def _on_error(self, error: WebError) -> None:
        self._complaints.append(f"exception: {error.error}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme == "blob" or (address.hostname == "127.0.0.1" and address.port in self._ports):
            return
        self._complaints.append(f"a request to {request.url}")


def hook(name: str, **data: str) -> str:
    """The CSS selector of a test hook with these ``data-`` attributes."""
    return f'[data-testid="{name}"]' + "".join(
        f"[data-{key}={json.dumps(value, ensure_ascii=False)}]" for key, value in data.items()
    )


def find(within: Page | Locator, name: str, **data: str) -> Locator:
    """The elements of a test hook with these ``data-`` attributes."""
    return within.locator(hook(name, **data))


def metric(within: Locator, name: str) -> Locator:
    """The element that shows one number."""
    return within.locator(f'[data-metric="{name}"]')


def wait_until_live(page: Page) -> None:
    """Waits until the page says that it is connected."""
    page.locator(hook("connection", state="connected")).first.wait_for(state="attached")


def kinds(within: Page, name: str = "run-row") -> list[tuple[str, str]]:
    """What a list shows: of each of its rows the run and how it looks."""
    rows = find(within, name)
    pairs = rows.evaluate_all("rows => rows.map(row => [row.dataset.run, row.dataset.kind])")
    return [(run, kind) for run, kind in pairs]


def becomes(page: Page, look: Callable[[], object], expected: object) -> None:
    """Waits until what is looked at equals what is expected; fails with the difference if it does not within 15 s."""
    deadline = time.monotonic() + DEADLINE_MS / 1000
    while look() != expected:
        if time.monotonic() >= deadline:
            assert look() == expected
        page.wait_for_timeout(20)  # in which Playwright receives events
