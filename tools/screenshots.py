"""Makes the pictures of the page that the README and the documentation show, of a receiver that really runs.

    python tools/screenshots.py [DIRECTORY]

The receiver has the sample, logs of the run whose picture is taken, and a run whose process is killed for its picture.
Each view is taken light and dark. Needs Debian's Chromium and the extra ``dev``.
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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).parent.parent
FLOW: Final = "sample-checkout"
STEP: Final = "pack"
LINES: Final = (
    (0.02, 9, "parcel of 2 items, 1.4 kg"),
    (0.35, 9, "asked the carriers for a label"),
    (0.60, 13, "no carrier has a route to depot south-3, whose table is from yesterday"),
)
"""Logs of the step: seconds after its start, severity, text."""

KILLED: Final = "order-1042"
"""The run whose process is killed in a step."""

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
        kill_in_a_step(url, temporary)
        ask(url, "/api/page/sample", "POST")
        run = failed_run(url)
        send_logs(url, run)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        stack.callback(browser.close)
        for scheme in SCHEMES:
            for name, (path, height, shown) in views(run).items():
                picture = directory / f"{name}-{scheme}.png"
                take(browser, url + path, picture, scheme=scheme, height=height, shown=shown)
                sys.stdout.write(f"{picture.name}: {picture.stat().st_size // 1000} kB\n")


def views(run: dict[str, Any]) -> dict[str, tuple[str, int, str]]:
    """Return the address, the height, and the test hook that marks a loaded view, for each picture."""
    of_run = f"{urllib.parse.quote(run['runId'], safe='')}?flow={FLOW}"
    return {
        "flows": ("/", 850, "flow-row"),
        "flow": (f"/flows/{FLOW}", 1055, "node"),
        "run": (f"/runs/{of_run}&step={STEP}&attempt=1", 1080, "log"),
        "compare": (f"/compare/{of_run}", 700, "compare-step"),
        "gone": (f"/runs/{KILLED}?flow=checkout&step=charge-card&attempt=1", 720, "panel"),
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


def kill_in_a_step(url: str, temporary: Path) -> None:
    """Run a checkout that waits for its bank, and kill it when the receiver shows that step as running."""
    variables = {
        **os.environ,
        "FAILPATH_PROJECT_KEY": "fp_project_pictures",
        "FAILPATH_DEV_ENDPOINT": url,
        "FAILPATH_JOURNAL": str(temporary / "journal"),
    }
    command = [sys.executable, str(ROOT / "examples" / "checkout.py"), "--slow-bank", "--run-id", KILLED]
    with subprocess.Popen(command, env=variables) as process:
        until = time.monotonic() + DEADLINE
        while "charge-card" not in {step["stepKey"] for run in newest(url) for step in run["steps"]}:
            if time.monotonic() > until:
                sys.exit("The step that was to be killed has not begun.")
            time.sleep(0.05)
        process.kill()


def newest(url: str) -> list[dict[str, Any]]:
    """Return the newest runs, as scripts get them."""
    runs: list[dict[str, Any]] = ask(url, "/api/runs")["runs"]
    return runs


def failed_run(url: str) -> dict[str, Any]:
    """Return the newest run of the fault that repeated another step before."""
    query = urllib.parse.urlencode({"flow": FLOW, "status": "error", "text": STEP})
    runs: list[dict[str, Any]] = ask(url, f"/api/page/runs?{query}")["runs"]
    return next(run for run in runs if run["retries"])


def send_logs(url: str, run: dict[str, Any]) -> None:
    """Send what the failing step of a run would have logged, by OTLP."""
    path = f"/api/page/run/{urllib.parse.quote(run['runId'], safe='')}?flow={FLOW}"
    (step,) = [step for step in ask(url, path)["run"]["steps"] if step["stepKey"] == STEP]
    started = datetime.fromisoformat(step["startedAt"]).timestamp()
    records = [
        {
            "timeUnixNano": str(round((started + seconds) * 1e9)),
            "severityNumber": severity,
            "body": {"stringValue": text},
            "traceId": step["traceId"],
            "spanId": step["spanId"],
        }
        for seconds, severity, text in LINES
    ]
    scope = {"scope": {"name": "shop.packing"}, "logRecords": records}
    service = {"key": "service.name", "value": {"stringValue": "shop"}}
    resource = {"resource": {"attributes": [service]}, "scopeLogs": [scope]}
    ask(url, "/v1/logs", "POST", {"resourceLogs": [resource]})


def ask(url: str, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the receiver's answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=DEADLINE) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


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
