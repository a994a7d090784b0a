"""Hostile requests: each gets a response, and affects none of the others."""

import base64
import json
from typing import Any

import pytest

from failpath_otel.local.api.events import read_events
from failpath_otel.local.runs.event import MAX_DEPTH
from tests.local.events import event, wire
from tests.receiver import Receiver


def _nested(depth: int, **changes: Any) -> bytes:
    """A request with one event, of which the innermost list is that many levels deep."""
    text = json.dumps({"events": [wire(event("running", 1), **changes) | {"metadata": {"deep": 0}}]})
    # The event itself and its metadata are levels, too.
    return text.replace('"deep": 0', '"deep": ' + "[" * (depth - 2) + "]" * (depth - 2)).encode()


def test_an_event_may_be_nested_so_deep_and_no_deeper() -> None:
    assert [len(part) for part in read_events(_nested(MAX_DEPTH))] == [1, 0]
    received_events, (rejection,) = read_events(_nested(MAX_DEPTH + 1))
    assert (received_events, rejection.index, rejection.reason) == ([], 0, f"nested deeper than {MAX_DEPTH}")


def test_brackets_in_texts_and_beside_each_other_are_no_depth() -> None:
    wide = wire(event("running", 1), metadata={"text": '[{\\"' * 1000, "wide": [[]] * 1000})
    received_events, rejected = read_events(json.dumps({"events": [wide]}).encode())
    assert (len(received_events), rejected) == (1, [])


@pytest.mark.parametrize("depth", [MAX_DEPTH, 970, 985])
def test_no_event_is_accepted_that_the_lists_cannot_show(receiver: Receiver, depth: int) -> None:
    receiver.post(wire(event("running", 1), runId="other"))
    shown = {"other", *(["run-1"] if receiver.send(_nested(depth)).json().get("accepted") else [])}
    assert {run["runId"] for run in receiver.runs()} == shown
    rows = receiver.request("/api/page/runs")
    assert (rows.status, {row["runId"] for row in rows.json()["runs"]}) == (200, shown)
    assert {receiver.request(f"/api/page/run/{run}").status for run in shown} == {200}


@pytest.mark.parametrize("active_at", [1 << 63, 1 << 70, -1])
def test_a_place_in_the_list_that_no_answer_named_is_400(shared_receiver: Receiver, active_at: int) -> None:
    before = base64.urlsafe_b64encode(json.dumps([active_at, "flow", "run"]).encode()).decode()
    assert shared_receiver.request(f"/api/page/runs?before={before}").status == 400
