"""The first minute: nothing is there yet, and the page says how something gets there."""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browsing import Browsing, find, wait_until_live
from tests.delivery.programs import environment
from tests.receiver import Receiver

CLIPBOARD = ["clipboard-read", "clipboard-write"]


def test_running_the_copied_snippet_makes_a_run_appear_without_a_reload(
    browsing: Browsing, receiver: Receiver, tmp_path: Path
) -> None:
    page = browsing.context(receiver, permissions=CLIPBOARD).new_page()
    page.goto("/")
    wait_until_live(page)
    page.evaluate("window.sameDocument = true")
    expect(find(page, "empty")).to_be_visible()
    expect(find(page, "flow-row")).to_have_count(0)

    find(page, "copy-snippet").click()
    snippet = page.evaluate("navigator.clipboard.readText()")
    assert receiver.url in snippet
    assert snippet.strip() == find(page, "snippet").inner_text().strip()
    program = tmp_path / "snippet.py"
    program.write_text(snippet)
    # Only the snippet itself says where the receiver is and under which key.
    variables = environment("", FAILPATH_PROJECT_KEY="")
    subprocess.run([sys.executable, program], env=variables, check=True, timeout=60, capture_output=True)

    expect(find(page, "flow-row")).to_have_count(1)
    expect(find(page, "empty")).to_have_count(0)
    assert page.evaluate("window.sameDocument") is True
    (run,) = receiver.runs()
    expect(find(page, "outcome", kind=run["status"])).to_have_count(1)


def test_the_sample_comes_at_a_click_and_goes_at_another(browsing: Browsing, receiver: Receiver) -> None:
    page = browsing.open(receiver)
    find(page, "load-sample").click()
    for flow in ("sample-checkout", "sample-nightly-import"):
        expect(find(page, "flow-row", flow=flow)).to_be_visible()
    assert receiver.runs()
    find(page, "remove-sample").click()
    expect(find(page, "empty")).to_be_visible()
    assert receiver.runs() == []
