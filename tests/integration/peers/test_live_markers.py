"""A step that runs is at Failpath while it runs, by way of OpenTelemetry's exporters alone, and is told of once."""

from typing import Any

import pytest

from failpath_otel import Failpath
from tests.integration.peers.exporters import ENCODINGS, exporting
from tests.integration.peers.records import Chain
from tests.receiver import Receiver, wait_for


def said(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["stepKey"], event["status"]) for event in events]


@pytest.mark.parametrize(("way", "encoding"), [*(("chain", encoding) for encoding in ENCODINGS), ("rotel", "protobuf")])
def test_a_running_step_is_at_failpath_before_it_ends(
    request: pytest.FixtureRequest, chain: Chain, run_id: str, way: str, encoding: str
) -> None:
    url = request.getfixturevalue(way).url
    with exporting(url, encoding) as provider:
        run = Failpath(tracer_provider=provider, start_markers=True).run("checkout", run_id=run_id)
        with run.step("charge"):
            wait_for(lambda: chain.events_of(run_id))
            with run.step("ask-bank"):
                wait_for(lambda: len(chain.events_of(run_id)) == 2)
            assert said(chain.events_of(run_id)[:2]) == [("charge", "running"), ("ask-bank", "running")]
        assert provider.force_flush()
    wait_for(lambda: ("charge", "success") in said(chain.events_of(run_id)))
    chain.settle()
    kept = chain.kept_of(run_id)
    assert said(kept) == [
        ("charge", "running"),
        ("ask-bank", "running"),
        ("ask-bank", "success"),
        ("charge", "success"),
    ]
    assert kept[0]["spanId"] == kept[3]["spanId"] != kept[1]["spanId"] == kept[2]["spanId"]
    assert {event["id"] for event in chain.events_of(run_id)} == {event["id"] for event in kept}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_local_receiver_shows_a_step_that_runs(receiver: Receiver, run_id: str, encoding: str) -> None:
    def steps() -> list[tuple[str, str, int]]:
        run = receiver.run(run_id)
        return [] if run is None else [(step["stepKey"], step["status"], step["attempt"]) for step in run["steps"]]

    with exporting(receiver.url, encoding) as provider:
        run = Failpath(tracer_provider=provider, start_markers=True).run("checkout", run_id=run_id)
        with run.step("charge"):
            assert wait_for(steps) == [("charge", "running", 1)]
        assert provider.force_flush()
    assert steps() == [("charge", "success", 1)]
