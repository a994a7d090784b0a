"""The numbers on the page are those that a person gets who counts by hand."""

import re
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, expect

from failpath_otel.records.record import Status
from tests.browser.browsing import Browsing, find, metric
from tests.browser.stories import DECLINED, record
from tests.receiver import Receiver

RUNS = 8

CHARGES = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0, 6: 6.0}
"""How long the first and only charge of a run took, in seconds. In run 6 it failed."""


def step_of(
    run: int, step: str, begin: float, seconds: float | None, status: Status = "success", *, span: str | None = None
) -> list[dict[str, Any]]:
    same: dict[str, Any] = {"run": f"run-{run}", "flow": "billing", "step": step, "span": f"{run}/{span or step}"}
    base = run * 100.0
    events = [record("running", base + begin, **same)]
    if seconds is not None:
        error = DECLINED if status == "error" else None
        facts: dict[str, Any] = {"started": base + begin, "duration_ms": seconds * 1000, "error": error}
        events.append(record(status, base + begin + seconds, **same, **facts))
    return events


def billing() -> list[dict[str, Any]]:
    """Eight runs, begun 100 s apart.

    ``fetch`` takes 0.1 s in run 1, 0.2 s in run 2 … 0.8 s in run 8. ``charge`` begins 1 s after its run; in run 7 it
    fails after 0.5 s and a second attempt, from second 2 on, succeeds after 7 s; in run 8 it still runs. ``mail``
    begins at second 10 and takes 40, 50 and 60 ms in runs 1 to 3; in runs 4, 5 and 7 it is skipped at second 10; runs
    6 and 8 do not come to it.
    """
    events: list[dict[str, Any]] = []
    for run in range(1, RUNS + 1):
        events += step_of(run, "fetch", 0, run / 10)
    for run, seconds in CHARGES.items():
        events += step_of(run, "charge", 1, seconds, "error" if run == 6 else "success")
    events += step_of(7, "charge", 1, 0.5, "error") + step_of(7, "charge", 2, 7.0, span="again")
    events += step_of(8, "charge", 1, None)
    for run, milliseconds in {1: 40, 2: 50, 3: 60}.items():
        events += step_of(run, "mail", 10, milliseconds / 1000)
    for run in (4, 5, 7):
        same: dict[str, Any] = {"run": f"run-{run}", "flow": "billing", "step": "mail", "span": f"{run}/mail"}
        events.append(record("skipped", run * 100 + 10, **same))
    return events


# By hand, with nearest ranks: of n values in order p50 is number ceil(n/2), p95 number ceil(0.95 n), from n = 5 on.
STEPS: Final[dict[str, dict[str, str | None]]] = {
    # Eight times well: 100 … 800 ms; number 4, and number 8.
    "fetch": {
        "runs": "8",
        "failure-rate": "0 %",
        "skip-rate": "0 %",
        "p50": "400 ms",
        "p95": "800 ms",
        "running": None,
    },
    # Newest attempts: 6 well, 1 failed, 1 runs: 1/7 failed. Eight ended attempts: 0.5 1 2 3 4 5 6 7 s.
    "charge": {
        "runs": "8",
        "failure-rate": "14.3 %",
        "skip-rate": "0 %",
        "p50": "3.00 s",
        "p95": "7.00 s",
        "running": "1",
        "retries": "1",
    },
    # 3 of 6 skipped; 40 50 60 ms: too few for a p95.
    "mail": {"runs": "6", "failure-rate": "0 %", "skip-rate": "50 %", "p50": "50 ms", "p95": None, "running": None},
}

# Run 6 failed, run 8 runs: 1/7. From begin to end: 7.0, 10.0 three times (a skip is an end), 10.04 10.05 10.06 s.
FLOW: Final[dict[str, str | None]] = {"failure-rate": "14.3 %", "p50": "10.0 s", "p95": "10.1 s", "running": "1"}


def shows(within: Locator, numbers: dict[str, str | None]) -> None:
    for name, value in numbers.items():
        shown = metric(within, name)
        if value is None:
            # Either left out, or said to be nothing.
            text = shown.inner_text() if shown.count() else ""
            assert text.strip() in {"", "0", "\N{EN DASH}"}, (name, text)
        else:
            expect(shown).to_have_text(re.compile(rf"(?<![\d.,]){re.escape(value)}(?![\d.,])"))


@pytest.mark.parametrize("live", [False, True], ids=["loaded", "arriving"])
def test_the_rates_and_percentiles_of_a_flow_and_its_steps_are_those_counted_by_hand(
    browsing: Browsing, receiver: Receiver, *, live: bool
) -> None:
    events = billing()
    if live:
        receiver.post(events[0])
    else:
        receiver.post(*events)
    flow, flows = browsing.open(receiver, "/flows/billing"), browsing.open(receiver)
    receiver.post(*events)

    for step, numbers in STEPS.items():
        shows(find(flow, "node", step=step), numbers)
    shows(find(flows, "flow-row", flow="billing"), FLOW)

    outcomes = ["success"] * 5 + ["error", "success", "silent"]
    kinds = find(find(flows, "flow-row", flow="billing"), "outcome")
    expect(kinds).to_have_count(RUNS)
    assert kinds.evaluate_all("all => all.map(one => one.dataset.kind)") == outcomes


def test_an_edge_says_how_often_it_was_taken(browsing: Browsing, receiver: Receiver) -> None:
    receiver.post(*billing())
    page = browsing.open(receiver, "/flows/billing")
    expect(find(page, "edge", source="fetch", target="charge")).to_contain_text("8")
    # Six runs came to the mail.
    expect(find(page, "edge", source="charge", target="mail")).to_contain_text("6")
