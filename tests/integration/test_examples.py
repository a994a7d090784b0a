"""Every example and the demo, run as they stand, as processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.otlp_backend import OtlpBackend, start_otlp_backend
from tests.receiver import KEY, Receiver, start_receiver, wait_for

pytestmark = pytest.mark.process

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with start_receiver(tmp_path / "local.db") as started:
        yield started


@pytest.fixture
def backend() -> Iterator[OtlpBackend]:
    with start_otlp_backend() as started:
        yield started


def run_example(name: str, *arguments: str, **environment: str) -> str:
    """What the example prints; it has to end with 0 and with nothing on stderr."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL"))}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def statuses(run: dict[str, Any]) -> dict[str, str]:
    return {step["stepKey"]: step["status"] for step in run["steps"]}


def run_of(receiver: Receiver, run_id: str) -> dict[str, Any]:
    run = receiver.run(run_id)
    assert run is not None
    return run


def at(receiver: Receiver) -> dict[str, str]:
    return {"FAILPATH_PROJECT_KEY": KEY, "FAILPATH_DEV_ENDPOINT": receiver.url}


@pytest.mark.whole
def test_checkout_sells(receiver: Receiver) -> None:
    assert run_example("checkout.py", "--run-id", "r", **at(receiver)) == "Sold.\n"
    run = run_of(receiver, "r")
    assert statuses(run) == {"validate-cart": "success", "charge-card": "success", "send-receipt-email": "success"}
    assert run["steps"][1]["metadata"] == {"shop": "books", "total": 4999, "charge_id": "ch_1"}


def test_checkout_with_a_declined_card_shows_the_error(receiver: Receiver) -> None:
    out = run_example("checkout.py", "--run-id", "r", "--card", "declined", **at(receiver))
    assert out == "No sale: the bank declined the card.\n"
    run = run_of(receiver, "r")
    assert statuses(run) == {"validate-cart": "success", "charge-card": "error"}
    assert run["steps"][1]["error"]["message"] == "the bank declined the card"


def test_checkout_without_a_receipt_skips_that_step(receiver: Receiver) -> None:
    run_example("checkout.py", "--run-id", "r", "--no-receipt", **at(receiver))
    assert statuses(run_of(receiver, "r"))["send-receipt-email"] == "skipped"


def test_existing_otel_feeds_both_backends(receiver: Receiver, backend: OtlpBackend) -> None:
    endpoint = backend.endpoint.removesuffix("/v1/traces")
    out = run_example("existing_otel.py", **at(receiver), OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert out == "reserved\n"
    assert statuses(run_of(receiver, "order-17")) == {"reserve-stock": "success", "charge-card": "success"}
    spans = {span.name: span for span in backend.wait_for(lambda spans: len(spans) == 4)}
    assert set(spans) == {"checkout", "reserve-stock", "SELECT stock", "charge-card"}
    assert len({span.trace_id for span in spans.values()}) == 1
    assert spans["SELECT stock"].parent_span_id == spans["reserve-stock"].span_id
    assert spans["reserve-stock"].parent_span_id == spans["checkout"].span_id


def test_otlp_only_needs_no_key_and_sends_steps_as_spans(backend: OtlpBackend) -> None:
    endpoint = backend.endpoint.removesuffix("/v1/traces")
    assert run_example("otlp_only.py", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) == "[1, 2, 3]\n"
    spans = {span.name: span for span in backend.wait_for(lambda spans: len(spans) == 3)}
    assert {name: span.attributes["failpath.step.status"] for name, span in spans.items()} == {
        "load": "success",
        "sort": "success",
        "send": "skipped",
    }


def test_manual_steps_pair_up(receiver: Receiver) -> None:
    assert run_example("manual_steps.py", **at(receiver)) == "Delivered.\n"
    ship, signature = run_of(receiver, "parcel-4")["steps"]
    assert (ship["stepKey"], ship["status"], ship["durationMs"]) == ("ship", "success", 7_200_000)
    assert (signature["status"], signature["durationMs"]) == ("error", 300_000)
    assert signature["error"] == {"name": "NobodyHome", "message": "the door stayed closed"}


def test_async_flow_runs_its_steps_side_by_side(receiver: Receiver) -> None:
    assert run_example("async_flow.py", **at(receiver)) == "[6, 9] [0, 1, 2]\n"
    (run,) = wait_for(receiver.runs)
    assert statuses(run) == dict.fromkeys(("fetch-orders", "fetch-customers", "merge", "read-pages"), "success")
    merge = next(step for step in run["steps"] if step["stepKey"] == "merge")
    assert merge["metadata"] == {"rows": 15}


def test_the_demo_shows_a_success_an_error_a_skip_and_a_crash() -> None:
    out = run_example("demo.py")
    table = [line.split() for line in out.splitlines()]
    assert ["send-receipt-email", "skipped", "-"] in table
    assert ["charge-card", "gone", "-"] in table
    assert any(line[:2] == ["charge-card", "error"] for line in table)
    assert "the bank declined the card" in out
    address, advice = out.splitlines()[-2:]
    assert re.fullmatch(r"The same as a page, live: http://127\.0\.0\.1:\d+/", address)
    assert "make demo ARGS=--open" in advice
    assert [line[:3] for line in table if line and line[0].startswith("order-")][:4] == [
        ["order-1", "checkout", "success"],
        ["order-2", "checkout", "error"],
        ["order-3", "checkout", "success"],
        ["order-4", "checkout", "gone"],
    ]


@pytest.mark.skipif(os.name != "posix", reason="the browser is a shell script")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_opens_its_page_and_keeps_it_up_until_it_is_told_to_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f"#!/bin/sh\necho \"$1\" >'{opened}.part' && mv '{opened}.part' '{opened}'\n")
    browser.chmod(0o700)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL"))}
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "demo.py"), "--open"],
        env=environment | {"BROWSER": f"{browser} %s"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            wait_for(lambda: opened.exists() or demo.poll() is not None, 60)
            url = opened.read_text().strip()
            assert runs_at(url) == {"order-1", "order-2", "order-3", "order-4"}
            demo.send_signal(number)
            out, errors = demo.communicate(timeout=20)
        finally:
            demo.kill()
    assert (demo.returncode, errors) == (0, "")
    assert f"The same as a page, live: {url}\n" in out
    with pytest.raises(urllib.error.URLError, match="refused"):
        runs_at(url)


def runs_at(url: str) -> set[str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}api/runs", timeout=10) as response:
        return {run["runId"] for run in json.load(response)["runs"]}
