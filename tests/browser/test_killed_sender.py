"""A crash is distinguished from a slow step: the page shows that the process is gone, until a record says otherwise."""

import os
import re
import socket
from typing import Any

from playwright.sync_api import expect

from failpath_otel.records.process import start_time
from tests.browser.browsing import Browsing, find
from tests.browser.senders import start_sender
from tests.browser.stories import now
from tests.receiver import Receiver, wait_for


def only_step(receiver: Receiver) -> dict[str, Any] | None:
    run = receiver.run("crashed")
    return run["steps"][0] if run else None


def test_a_killed_process_is_said_to_be_gone_while_its_step_is_stored_as_running_and_a_late_record_clears_it(
    browsing: Browsing, receiver: Receiver
) -> None:
    with start_sender(receiver, "crashed") as sender:
        sender.begin("charge")
        step = wait_for(lambda: only_step(receiver))
        assert step is not None
        runs, run = browsing.open(receiver, "/runs"), browsing.open(receiver, "/runs/crashed?step=charge&attempt=1")
        row = find(runs, "run-row", run="crashed")
        header, bar, node = find(run, "run-header"), find(run, "bar", step="charge"), find(run, "node", step="charge")
        for shown in (row, header, bar, node):
            expect(shown).to_have_attribute("data-kind", "running")
        sender.kill()

    for shown in (row, header, bar, node):
        expect(shown).to_have_attribute("data-kind", "gone")
    for words in (row, header, find(run, "panel")):
        expect(words).to_contain_text("process gone")
    stored = receiver.run("crashed")
    assert stored is not None
    assert (stored["status"], stored["steps"][0]["status"]) == ("running", "running")

    late = {
        **{name: step[name] for name in ("stepKey", "spanId", "traceId", "startedAt")},
        "id": "late",
        "runId": "crashed",
        "flowKey": "checkout",
        "status": "success",
        "timestamp": now(),
        "metadata": {},
    }
    assert receiver.post(late).json()["accepted"] == 1
    for shown in (row, header, bar, node):
        expect(shown).to_have_attribute("data-kind", "success")
    for words in (row, header, find(run, "panel")):
        expect(words).not_to_contain_text("process gone")


def test_the_page_of_flows_has_a_bar_for_a_run_whose_process_is_gone(browsing: Browsing, receiver: Receiver) -> None:
    with start_sender(receiver, "crashed") as sender:
        sender.begin("charge")
        wait_for(lambda: only_step(receiver))
        page = browsing.open(receiver)
        expect(find(page, "outcome", kind="running")).to_have_count(1)
        expect(find(page, "silent-bar")).to_have_count(0)
        sender.kill()
    expect(find(page, "silent-bar")).to_contain_text("crashed")
    expect(find(page, "outcome", kind="gone")).to_have_count(1)


def test_a_silent_run_says_what_the_receiver_knows_of_its_process_and_of_a_clock_that_is_ahead(
    browsing: Browsing, receiver: Receiver
) -> None:
    own = {"pid": os.getpid(), "host": socket.gethostname(), "startTime": start_time(os.getpid())}
    same = {"flowKey": "checkout", "runId": "quiet", "stepKey": "charge", "traceId": "t", "metadata": {}}
    receiver.post(
        {"id": "1", "status": "running", "timestamp": now(-31), "spanId": "s", "process": own, **same},
        {"id": "2", "status": "success", "timestamp": now(-5), "spanId": "s2", **same, "stepKey": "pack"},
    )
    page = browsing.open(receiver, "/runs/quiet")
    trouble = find(page, "trouble")
    expect(trouble).to_contain_text("No further record of charge has arrived since it began at")
    expect(trouble).to_contain_text(f"Process {os.getpid()} is still running here.")
    expect(trouble).to_contain_text(re.compile(r"The last event of the run was \d+ s ago"))
    expect(find(page, "clock-ahead")).to_have_count(0)

    elsewhere = {"pid": 12, "host": "elsewhere"}
    receiver.post(
        {
            "id": "3",
            "status": "running",
            "timestamp": now(-40),
            "spanId": "s",
            "process": elsewhere,
            **same,
            "runId": "far",
        },
        {
            "id": "4",
            "status": "success",
            "timestamp": now(600),
            "spanId": "b",
            **same,
            "runId": "far",
            "stepKey": "pack",
        },
    )
    page.goto("/runs/far")
    expect(trouble).to_contain_text("Whether process 12 on elsewhere is still running is not known here.")
    expect(find(page, "clock-ahead")).to_contain_text("ahead of this receiver's")


def test_a_step_without_further_records_is_silent_and_not_gone(browsing: Browsing, receiver: Receiver) -> None:
    same = {"flowKey": "checkout", "runId": "quiet", "stepKey": "charge", "traceId": "t", "spanId": "s", "metadata": {}}
    receiver.post({"id": "1", "status": "running", "timestamp": now(-31), **same})
    page = browsing.open(receiver, "/runs")
    row = find(page, "run-row", run="quiet")
    expect(row).to_have_attribute("data-kind", "silent")
    expect(row).to_contain_text("silent")
    run = receiver.run("quiet")
    assert run is not None
    assert run["status"] == "running"
