"""Makes the pictures of the page that the README shows: every view, light and dark, of a receiver that really runs.

    python tools/screenshots.py [DIRECTORY]

The receiver has the sample, and beside it checkouts by ``examples/checkout.py``: one waits for its bank while the
pictures are taken, one was killed while it did. Needs Debian's Chromium and the extra ``dev``.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).parent.parent
CHECKOUT: Final = ROOT / "examples" / "checkout.py"
FLOW: Final = "sample-checkout"
WIDTH: Final = 1280
SCALE: Final = 1.5
DEADLINE: Final = 30.0

WITHOUT_HOST: Final = """host => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.data.endsWith(` on ${host}`)) text.data = text.data.slice(0, -host.length) + "laptop";
  }
}"""
"""The name of the machine that makes the pictures is not for everybody to read."""

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


def main() -> None:
    """Take all pictures; about half a minute."""
    parser = argparse.ArgumentParser(description="Makes the pictures of the page that the README shows.")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "docs" / "images")
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="failpath-screenshots-")))
        url = stack.enter_context(receiver(temporary))
        ask(url, "/api/page/sample", "POST")
        for process in checkouts(url, temporary / "journal"):
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        stack.callback(browser.close)
        for scheme in SCHEMES:
            for name, (path, height, shown) in views(url).items():
                picture = directory / f"{name}-{scheme}.png"
                take(browser, url + path, picture, scheme=scheme, height=height, shown=shown)
                sys.stdout.write(f"{picture.name}: {picture.stat().st_size // 1000} kB\n")


def views(url: str) -> dict[str, tuple[str, int, str]]:
    """Yield the address, the height, and the test hook that marks a loaded view, for each picture."""
    failed = newest(url, flow=FLOW, status="error")
    step = urllib.parse.quote(failed["stepKey"], safe="")
    run = urllib.parse.quote(failed["runId"], safe="")
    return {
        "flows": ("/", 560, "flow-row"),
        "flow": (f"/flows/{FLOW}", 860, "node"),
        "runs": ("/runs", 760, "run-row"),
        "run": (f"/runs/{run}?flow={FLOW}&step={step}&attempt=1", 1000, "panel"),
        "live": ("/runs/order-4?flow=checkout", 760, "bar"),
    }


def take(
    browser: Browser, address: str, path: Path, *, scheme: Literal["light", "dark"], height: int, shown: str
) -> None:
    """Take one picture once the view has loaded and the stream is connected."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": height},
        device_scale_factor=SCALE,
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    page: Page = context.new_page()
    page.goto(address)
    page.locator('[data-testid="connection"][data-state="connected"]').first.wait_for(state="attached")
    page.locator(f'[data-testid="{shown}"]').first.wait_for()
    page.evaluate("document.fonts.ready.then(() => null)")
    page.evaluate(WITHOUT_HOST, socket.gethostname())
    page.screenshot(path=path, animations="disabled", caret="hide")
    context.close()


def checkouts(url: str, journal: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run four checkouts: good, declined, killed in the middle, and still inside its step; yield the last."""
    for number, arguments in enumerate(([], ["--card", "declined"]), start=1):
        start(url, journal, number, *arguments).wait(DEADLINE)
    killed = start(url, journal, 3, "--slow-bank")
    wait_for(lambda: charging(url, 3))
    killed.kill()
    killed.wait(DEADLINE)
    yield start(url, journal, 4, "--slow-bank")
    wait_for(lambda: charging(url, 4))
    wait_for(lambda: newest(url, flow="checkout", status="gone"))


def start(url: str, journal: Path, number: int, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start one checkout as a process of its own."""
    environment = {
        **os.environ,
        "FAILPATH_PROJECT_KEY": "fp_project_screenshots",
        "FAILPATH_DEV_ENDPOINT": url,
        "FAILPATH_JOURNAL": str(journal),
    }
    command = [sys.executable, str(CHECKOUT), "--run-id", f"order-{number}", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def charging(url: str, number: int) -> bool:
    """Return whether the checkout is inside its second step."""
    found = newest(url, flow="checkout", text=f"order-{number}")
    return bool(found) and found["stepKey"] == "charge-card"


def newest(url: str, **query: str) -> dict[str, Any]:
    """Return the newest run that matches the filter; empty if there is none."""
    runs: list[dict[str, Any]] = ask(url, f"/api/page/runs?{urllib.parse.urlencode(query)}")["runs"]
    return runs[0] if runs else {}


def ask(url: str, path: str, method: str = "GET") -> dict[str, Any]:
    """Return the receiver's answer."""
    with urllib.request.urlopen(urllib.request.Request(url + path, method=method), timeout=DEADLINE) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def wait_for(happened: Callable[[], object]) -> None:
    """Wait until a condition is met."""
    deadline = time.monotonic() + DEADLINE
    while not happened():
        if time.monotonic() >= deadline:
            sys.exit("The receiver does not show the checkouts.")
        time.sleep(0.05)


def chromium() -> str:
    """Return Debian's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or sys.exit("There is no Chromium; on Debian: apt-get install chromium")


@contextmanager
def receiver(directory: Path) -> Iterator[str]:
    """Run a receiver on a free port, with a database of its own; yield its address."""
    command = [sys.executable, "-m", "failpath_otel.cli", "local", "--port", "0", "--db", str(directory / "local.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", ready)
            yield found[0] if found else sys.exit("The receiver did not start.")
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
