"""How what was seen of a flow differs from what is declared, and the graph that it makes by itself."""

import json
from pathlib import Path

import pytest

from failpath_otel.checking.drift import drift
from failpath_otel.flows.draft import draft_of
from failpath_otel.flows.drift import drift_of
from failpath_otel.flows.flow import Flow, Node
from failpath_otel.flows.flows_file import read_flows
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.flows.seen import SeenEdge, SeenFlow, SeenStep

EDGES = (("cart", "charge"), ("charge", "pack"), ("charge", "mail"), ("pack", "ship"), ("mail", "ship"))
KNOWN = KnownKeys({"checkout": ["cart", "charge", "pack", "mail", "ship"], "refund": ["pay-back"]})


def seen(*edges: tuple[str, str], flow: str = "checkout", steps: str = "cart charge pack mail ship") -> SeenFlow:
    return SeenFlow(
        flow,
        3,
        [SeenStep(step, number) for number, step in enumerate(steps.split(), 1)],
        [SeenEdge(*edge, 2) for edge in edges],
    )


@pytest.mark.parametrize(
    "edges",
    [EDGES, [("cart", "ship")], [("pack", "mail"), ("mail", "pack")], [("x", "cart"), ("ship", "x")], []],
    ids=["as declared", "steps left out", "steps without an order", "a step that is not declared", "none"],
)
def test_an_order_that_the_graph_allows_is_no_difference(edges: list[tuple[str, str]]) -> None:
    assert list(drift_of(KNOWN, EDGES, seen(*edges))) == []


def test_an_order_that_the_graph_has_the_other_way_round_is_one() -> None:
    (found,) = drift_of(KNOWN, EDGES, seen(("ship", "charge")))

    assert (found.code, found.step_key) == ("other-order", "ship")
    assert found.message == (
        "'ship' came before 'charge' in 2 runs of 'checkout'; the graph has them the other way round"
    )


def test_steps_of_a_loop_may_come_in_any_order() -> None:
    assert list(drift_of(KNOWN, [*EDGES, ("ship", "charge")], seen(("ship", "pack")))) == []


def test_steps_that_are_not_declared_and_steps_that_were_not_seen_are_named() -> None:
    found = list(drift_of(KNOWN, EDGES, seen(steps="cart chrage pay-back mail ship")))

    assert [(each.code, each.message, each.suggestion) for each in found] == [
        (
            "unknown-step",
            "seen in 2 runs: flow 'checkout' has no step 'chrage'; did you mean 'charge'?",
            "charge",
        ),
        (
            "unknown-step",
            "seen in 3 runs: flow 'checkout' has no step 'pay-back'; it is a step of 'refund'",
            None,
        ),
        ("unseen-step", "step 'charge' of 'checkout' was in none of 3 runs", None),
        ("unseen-step", "step 'pack' of 'checkout' was in none of 3 runs", None),
    ]


def test_of_a_flow_that_is_not_declared_only_that_is_said_and_of_one_without_runs_nothing() -> None:
    (found,) = drift_of(KNOWN, (), seen(flow="chekout"))
    assert found.message == "seen in 3 runs: there is no flow 'chekout'; did you mean 'checkout'?"
    assert list(drift_of(KNOWN, EDGES, SeenFlow("checkout", 0, [], []))) == []


def test_as_findings_wrong_keys_are_errors_and_all_else_are_warnings() -> None:
    flows = [Flow("checkout", (Node("cart", "Cart"), Node("ship", "Ship")), (("cart", "ship"),)), Flow("refund", ())]
    found = list(drift(flows, [seen(("ship", "cart"), steps="cart ship shipp")], "http://127.0.0.1:3001"))

    assert [(each.severity, each.code, each.flow, each.step, str(each.place)) for each in found] == [
        ("error", "unknown-step", "checkout", "shipp", "http://127.0.0.1:3001"),
        ("warning", "other-order", "checkout", "ship", "http://127.0.0.1:3001"),
        ("warning", "unseen-flow", "refund", None, "http://127.0.0.1:3001"),
    ]


def test_a_draft_is_a_file_of_flows_with_steps_and_order_as_they_were_seen(tmp_path: Path) -> None:
    path = tmp_path / "flows.json"
    path.write_text(draft_of([seen(("charge", "ship"), steps="charge-card ship"), seen(flow="a b", steps="x_y")]))

    assert read_flows(path) == (
        Flow("a b", (Node("x_y", "X Y"),), ()),
        Flow("checkout", (Node("charge-card", "Charge Card"), Node("ship", "Ship")), ()),
    )
    assert json.loads(path.read_text())["flows"][1]["edges"] == [{"source": "charge", "target": "ship"}]


def test_the_closest_key_is_found_whatever_its_case_and_always_the_same() -> None:
    known = KnownKeys({"a": ["chargeCard", "charge-card-2", "charge-card"], "b": ["---"]})

    for _ in range(3):
        mistake = known.wrong_step("CHARGE_CARD", ["a"])
        assert mistake is not None
        assert mistake.suggestion == "charge-card"
    assert known.wrong_step("", ["a"]) == ("flow 'a' has no step ''", None)
    assert known.wrong_step("charge-card", ["gone"]) is None
    assert KnownKeys({}).wrong_step("x") == ("no flow has a step 'x'", None)


def test_a_draft_has_nothing_that_steers_a_terminal_and_keeps_letters_of_any_language(tmp_path: Path) -> None:
    key = "b\x9b31m\x7f\u202e\U000e0001é注"
    text = draft_of([seen(flow=key, steps="charge")])
    assert text.replace("\n", "").isprintable()
    assert "é注" in text
    path = tmp_path / "flows.json"
    path.write_text(text, encoding="utf-8")
    assert read_flows(path)[0].slug == key
