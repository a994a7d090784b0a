"""The view of a flow says how its runs differ from the file of declared flows."""

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browsing import Browsing, find
from tests.browser.stories import record
from tests.receiver import start_receiver


def test_a_misspelt_step_is_shown_with_the_one_that_was_meant(browsing: Browsing, tmp_path: Path) -> None:
    nodes = [{"sdkStepKey": key} for key in ("charge-card", "ship")]
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps({"flows": [{"slug": "checkout", "nodes": nodes}]}))
    with start_receiver(tmp_path / "local.db", "--flows", str(flows)) as receiver:
        receiver.post(record("success", 1, step="charge-crad", flow="checkout", run="run-1", span="a"))
        page = browsing.open(receiver, "/flows/checkout")

        expect(find(page, "drift-item", code="unknown-step")).to_have_text(
            "seen in 1 run: flow 'checkout' has no step 'charge-crad'; did you mean 'charge-card'?"
        )
        expect(find(page, "drift-item", code="unseen-step")).to_have_count(2)
        receiver.post(
            record("success", 2, step="charge-card", flow="checkout", run="run-2", span="b"),
            record("success", 3, step="ship", flow="checkout", run="run-2", span="c"),
        )
        expect(find(page, "drift-item", code="unseen-step")).to_have_count(0)
        expect(find(page, "drift-item")).to_have_count(1)
