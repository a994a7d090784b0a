"""OpenTelemetry's SDK for JavaScript, which knows nothing of us, sends to the gateway and to the local receiver."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.gateway.gateways import start_gateway
from tests.integration.peers.node import Node
from tests.integration.peers.records import ERROR, METADATA, STEPS, Chain, assert_story, by_step, statuses
from tests.receiver import Receiver

ENCODINGS: Final = ("protobuf", "json")
GZIP: Final = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}

RULES: Final = """
[[rules]]
flow = "checkout"
step = "charge"
span_name = "POST /*"
run_id = "shop.order"

[[rules]]
flow = "checkout"
step = "insert-order"
span_name = "INSERT *"
scope = "driver-of-*"
run_id = "shop.order"

[[rules]]
flow = "pages"
step = "render"
span_name = "render"
"""


@pytest.fixture(scope="module")
def ruled(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A gateway with rules."""
    directory = tmp_path_factory.mktemp("ruled")
    rules = directory / "rules.toml"
    rules.write_text(RULES)
    failpath = chain.failpath
    with start_gateway(failpath.url, directory / "journal", FAILPATH_RULES=str(rules)) as gateway:
        yield Chain(gateway, failpath)


@pytest.mark.parametrize("variables", [{}, GZIP], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_gateway_makes_of_its_spans_the_records_of_each_step_once(
    node: Node, chain: Chain, run_id: str, encoding: str, variables: dict[str, str]
) -> None:
    before = chain.settle()
    told = node.act("steps", run_id, chain.url, encoding, **variables)
    assert (told.taken, told.every("complaint")) == ([True], [])
    after = chain.settle()
    counted = {name: after[name] - before[name] for name in after}
    assert counted == {"requests": 1, "refused": 0, "received": 6, "steps": 5, "ignored": 1, "rejected": 0}
    assert_story(chain.events_of(run_id), run_id, told.pid, told.trace)
    ship = chain.events_of(told.trace)
    assert [(event["stepKey"], event["status"]) for event in ship] == [("ship", "running"), ("ship", "success")]


@pytest.mark.parametrize(("encoding", "variables"), [("protobuf", {}), ("json", GZIP)], ids=ENCODINGS)
def test_the_local_receiver_shows_its_run(
    node: Node, receiver: Receiver, run_id: str, encoding: str, variables: dict[str, str]
) -> None:
    told = node.act("steps", run_id, receiver.url, encoding, **variables)
    assert (told.taken, told.every("complaint")) == ([True], [])
    run = receiver.run(run_id)
    assert run is not None
    assert (run["flowKey"], run["status"]) == ("checkout", "error")
    steps = {step["stepKey"]: step for step in run["steps"]}
    assert {key: step["status"] for key, step in steps.items()} == {key: said[-1] for key, said in STEPS.items()}
    assert len(run["steps"]) == len(STEPS)
    assert {step["attempt"] for step in run["steps"]} == {1}
    assert steps["validate"]["metadata"] == METADATA
    assert steps["validate"]["durationMs"] >= 20
    error = steps["charge"]["error"]
    assert {name: error[name] for name in ERROR} == ERROR
    assert "shop.cjs" in error["stack"], "which stays on this machine"
    assert {step["process"]["pid"] for step in run["steps"]} == {told.pid}
    assert receiver.run(told.trace) is not None, "the step without a run id"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rules_make_steps_of_spans_that_have_never_heard_of_us(
    node: Node, ruled: Chain, run_id: str, encoding: str
) -> None:
    before = ruled.settle()
    told = node.act("untouched", run_id, ruled.url, encoding)
    assert (told.taken, told.every("complaint")) == ([True], [])
    after = ruled.settle()
    assert {name: after[name] - before[name] for name in ("received", "steps", "ignored")} == {
        "received": 4,
        "steps": 3,
        "ignored": 1,  # an INSERT of another scope
    }
    events = ruled.events_of(run_id)
    assert statuses(events) == {"charge": ["running", "success"], "insert-order": ["running", "error"]}
    steps = by_step(events)
    assert steps["insert-order"][1]["error"] == {"name": "Error", "message": "table is locked"}
    assert [event["metadata"] for event in events] == [{}] * 4
    rendered = by_step(ruled.events_of(told.trace))
    assert [event["flowKey"] for event in rendered["render"]] == ["pages", "pages"]


def test_without_rules_such_spans_are_nothing(node: Node, chain: Chain, run_id: str) -> None:
    before = chain.settle()
    told = node.act("untouched", run_id, chain.url)
    after = chain.settle()
    assert (told.taken, after["ignored"] - before["ignored"]) == ([True], 4)
    assert chain.events_of(run_id) + chain.events_of(told.trace) == []


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_it_is_told_of_a_step_that_cannot_be_used(node: Node, chain: Chain, run_id: str, encoding: str) -> None:
    told = node.act("unusable", run_id, chain.url, encoding)
    assert told.taken == [True]
    (complaint,) = told.every("complaint")
    assert "Partial Success" in complaint
    assert "span 1: its step key or its flow key is no text, or empty" in complaint
    chain.settle()
    assert [event["stepKey"] for event in chain.events_of(run_id)] == ["validate", "validate"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_half_a_character_in_a_text_costs_nothing_but_itself(
    node: Node, chain: Chain, run_id: str, encoding: str
) -> None:
    """In JSON, JavaScript sends half a surrogate pair, on which other readers of JSON refuse the whole request."""
    told = node.act("cut", run_id, chain.url, encoding)
    assert (told.taken, told.every("complaint")) == ([True], [])
    chain.settle()
    notes = [event["metadata"]["note"] for event in chain.events_of(run_id)]
    assert notes == ["a cart: \N{REPLACEMENT CHARACTER}"] * 2


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_many_spans_in_several_requests_are_all_there_once(
    node: Node, chain: Chain, run_id: str, encoding: str
) -> None:
    told = node.act("many", run_id, chain.url, encoding, **GZIP)
    assert told.taken
    assert all(told.taken)
    chain.settle()
    assert statuses(chain.events_of(run_id)) == {f"step-{number}": ["running", "success"] for number in range(1200)}
