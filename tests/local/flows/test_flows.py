"""What the page says of flows: numbers counted by hand, shapes, and that nothing old stays."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.local.flows import flows as flows_module
from failpath_otel.local.flows.flows import Flows
from failpath_otel.local.flows.flows_file import FlowsFile
from failpath_otel.local.receiver import ReceiverSettings
from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.run_row import RunKey, StoredRun
from failpath_otel.records.record import ErrorInfo, Record
from tests.local.events import at, event
from tests.local.page import Page, opened_page

DECLINED = ErrorInfo("Declined", "no money")


def run_of(number: int, *, fails: bool = False, milliseconds: float = 10) -> list[Record]:
    """Two steps in a row, ten seconds after the run before."""
    begin, run = number * 10.0, f"run-{number:03d}"
    middle = begin + milliseconds / 1000
    return [
        event("success", middle, step="cart", span=f"a{number}", run=run, started=begin),
        event("error", middle + 2, step="pay", span=f"b{number}", run=run, started=middle + 1, error=DECLINED)
        if fails
        else event("success", middle + 1.5, step="pay", span=f"b{number}", run=run, started=middle + 1),
    ]


def nodes(answer: Any) -> dict[str, Any]:
    return {node["stepKey"]: node for node in answer["graph"]["nodes"]}


def numbers(node: dict[str, Any]) -> tuple[Any, ...]:
    names = ("runs", "ended", "failed", "skipped", "running", "failureRate", "skipRate", "p50Ms", "p95Ms")
    return tuple(node[name] for name in names)


def test_rates_and_percentiles_are_those_counted_by_hand(page: Page) -> None:
    # Eight runs: 1 and 2 fail in `pay`, 3 fails and then succeeds, 4 skips it, 5 still runs; `cart` takes 10 to 80 ms.
    for number in range(1, 9):
        run, begin = f"run-{number}", number * 10.0
        page.add(event("success", begin + number / 100, step="cart", span=f"a{number}", run=run, started=begin))
    for number in (1, 2, 3):
        page.add(
            event(
                "error",
                number * 10 + 2,
                span=f"b{number}",
                run=f"run-{number}",
                started=number * 10 + 1,
                error=DECLINED,
            )
        )
    page.add(event("success", 36, span="again", run="run-3", started=33))
    page.add(event("skipped", 41, span="b4", run="run-4"))
    page.add(event("running", 51, span="b5", run="run-5"))
    page.add(
        event("success", 62, span="b6", run="run-6", started=61),
        event("success", 75, span="b7", run="run-7", started=71),
    )
    page.seconds = 75
    answer = page.flow("checkout")
    assert answer["window"] == {"runs": 8, "of": 8, "since": at(12)}
    assert answer["flow"] | {"outcomes": None, "trend": None} == {
        "flowKey": "checkout",
        "outcomes": None,
        "trend": None,
        "runs": 8,
        "total": 8,
        "ended": 7,
        "failed": 2,
        "failureRate": 2 / 7,
        # Of 80, 1000, 2000, 2000, 2000, 5000 and 6000 the fourth and the seventh.
        "p50Ms": 2000.0,
        "p95Ms": 6000.0,
        "running": 1,
        "silent": 0,
        "gone": 0,
        "lastSeen": at(80.08),
        "failedAttempts": 3,
        "retries": 1,
        "retriedRuns": 1,
    }
    assert numbers(nodes(answer)["cart"]) == (8, 8, 0, 0, 0, 0.0, 0.0, 40.0, 80.0)
    # Attempts that ended: 1000 1000 1000 3000 1000 4000 ms.
    assert numbers(nodes(answer)["pay"]) == (7, 5, 2, 1, 1, 2 / 5, 1 / 7, 1000.0, 4000.0)
    assert answer["graph"]["edges"][0]["taken"] == 7
    (error,) = answer["errors"]["errors"]
    assert (error["name"], error["message"], error["stepKey"], error["count"]) == ("Declined", "no money", "pay", 2)
    assert (error["share"], error["recovered"], error["total"]) == (2 / 7, 1, 3)
    assert page.get("flows")["flows"] == [answer["flow"]]


def test_the_outcomes_are_the_newest_twenty_and_the_last_stands_last(page: Page) -> None:
    page.seconds = 1000
    page.add(*[record for number in range(30) for record in run_of(number, fails=number % 2 == 0)])
    page.add(event("running", 310, run="silent", span="x"), event("running", 990, run="live", span="y"))
    answer = page.flow("checkout")
    outcomes = answer["flow"]["outcomes"]
    assert [outcome["runId"] for outcome in outcomes] == [f"run-{number:03d}" for number in range(12, 30)] + [
        "silent",
        "live",
    ]
    assert [outcome["status"] for outcome in outcomes[:2]] == ["error", "success"]
    assert [(outcome["status"], outcome["liveness"]) for outcome in outcomes[-3:]] == [
        ("success", None),
        ("running", "silent"),
        ("running", "live"),
    ]
    assert [row["runId"] for row in answer["runs"]] == [outcome["runId"] for outcome in reversed(outcomes)]
    assert (answer["flow"]["running"], answer["flow"]["silent"], answer["flow"]["gone"]) == (1, 1, 0)


def test_flows_that_need_eyes_alike_stand_by_key_or_when_asked_for_by_their_last_activity(page: Page) -> None:
    page.seconds = 1000
    for number, flow in enumerate(["b", "a/ü", "c%"]):
        page.add(event("running", number + 1, flow=flow, run=f"{flow} {number}", span=flow))
    answer = page.get("flows")
    assert [flow["flowKey"] for flow in answer["flows"]] == ["a/ü", "b", "c%"]
    answer = page.get("flows", sort="-last-seen")
    assert [flow["flowKey"] for flow in answer["flows"]] == ["c%", "a/ü", "b"]
    assert answer["silent"]["count"] == 3
    page.add(*[event("running", 10 + number, flow="b", run=f"{number}", span=f"{number}") for number in range(9)])
    answer = page.get("flows", sort="-last-seen")
    assert [flow["flowKey"] for flow in answer["flows"]] == ["b", "c%", "a/ü"]
    assert answer["silent"]["count"] == 12
    assert [run["runId"] for run in answer["silent"]["runs"]] == ["8", "7", "6", "5", "4"]


def test_the_numbers_speak_of_the_newest_five_hundred_runs(page: Page) -> None:
    page.seconds = 10_000
    page.add(
        *[event("error", 1 + number, run=f"{number:03d}", span=f"{number}", started=number) for number in range(510)]
    )
    page.add(event("success", 600, run="511", span="x", started=599))
    answer = page.flow("checkout")
    assert (answer["flow"]["runs"], answer["flow"]["failed"], nodes(answer)["pay"]["failed"]) == (500, 499, 499)
    (error,) = answer["errors"]["errors"]
    assert (error["count"], error["share"], error["total"]) == (499, 499 / 500, 510)


def test_a_step_of_a_run_before_those_is_in_the_graph_of_that_run_only(page: Page) -> None:
    page.seconds = 10_000
    page.add(event("success", 1, step="old", run="old", span="x", started=0))
    page.add(event("success", 3, run="old", span="y", started=2))
    page.add(*[event("success", 10 + number, run=f"{number}", span=f"{number}") for number in range(500)])
    assert list(nodes(page.flow("checkout"))) == ["pay"]
    graph = nodes(page.run("old"))
    assert list(graph) == ["old", "pay"]
    assert numbers(graph["old"]) == (0, 0, 0, 0, 0, None, None, None, None)
    assert graph["pay"]["runs"] == 500
    assert list(nodes(page.run("499"))) == ["pay"]


def test_of_large_runs_fewer_are_looked_at_but_the_newest_always(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.seconds = 1000
    page.add(*[record for number in range(30) for record in run_of(number)])
    for attempts, runs in ((59, 29), (60, 30), (40, 20), (3, 1), (1, 1)):
        monkeypatch.setattr(flows_module, "MAX_ATTEMPTS", attempts)
        page.receiver.flows.clear_cache()
        answer = page.flow("checkout")
        # The numbers of the flow itself need no attempts.
        assert (answer["flow"]["runs"], nodes(answer)["pay"]["runs"]) == (30, runs)
        # What is listed is not what is counted.
        assert len(answer["flow"]["outcomes"]) == len(answer["runs"]) == 20


def test_only_runs_that_have_changed_are_read_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*[record for number in range(5) for record in run_of(number)])
    flows, read = page.receiver.flows, page.store.runs.stored
    asked: list[str] = []

    def noted(runs: Sequence[RunKey]) -> list[StoredRun]:
        asked.extend(run.run_id for run in runs)
        return read(runs)

    monkeypatch.setattr(page.store.runs, "stored", noted)
    flows.details("checkout")
    assert sorted(asked) == [f"run-{number:03d}" for number in range(5)]
    page.add(event("error", 99, step="pay", span="late", run="run-003", error=DECLINED), *run_of(7))
    asked.clear()
    facts = flows.details("checkout")
    assert sorted(asked) == ["run-003", "run-007"]
    assert [(run.row.run_id, run.row.status) for run in facts.runs[:3]] == [
        ("run-003", "error"),
        ("run-007", "success"),
        ("run-004", "success"),
    ]
    assert flows.details("checkout") is facts
    # The same as without a cache.
    assert facts == Flows(page.store, None).details("checkout")


def test_of_many_flows_those_that_were_asked_for_last_are_kept(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows_module, "MAX_KEPT_ATTEMPTS", 5)
    for flow in "abc":
        page.add(*[event("success", 1, flow=flow, run=f"{number}", span=f"{flow}{number}") for number in range(2)])
    flows = page.receiver.flows
    known = {flow: flows.details(flow) for flow in "abac"}
    assert flows.details("a") is known["a"]
    assert flows.details("c") is known["c"]
    assert flows.details("b") is not known["b"]
    assert flows.details("b") == known["b"]


def test_to_answer_from_the_cache_looks_at_no_other_flow(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor of silent runs asks for the p95 of as many flows each second."""
    page.add(*[event("success", 1, flow=f"f{number}", run=f"{number}", span=f"{number}") for number in range(5)])
    flows = Flows(page.store, None)
    for number in (*range(5), 0):
        assert len(flows.details(f"f{number}").runs) == 1
    page.add(event("success", 2, flow="f0", run="again", span="again"))
    assert len(flows.details("f0").runs) == 2
    assert flows._attempts == 6
    monkeypatch.setattr(flows, "_evict", pytest.fail)
    for number in range(5):
        flows.details(f"f{number}")
    page.store.delete_run(RunKey("f1", "1"))
    flows.clear_cache()
    assert (flows.details("f1").runs, flows._attempts) == ([], 0)


def test_a_look_that_fails_is_repeated(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*run_of(1))
    assert len(page.receiver.flows.details("checkout").runs) == 1
    page.add(*run_of(2))

    def fail(*_: object, **__: object) -> None:
        raise StoreError

    with monkeypatch.context() as patch:
        patch.setattr(page.store.runs, "stored", fail)
        with pytest.raises(StoreError):
            page.receiver.flows.details("checkout")
    assert len(page.receiver.flows.details("checkout").runs) == 2


def test_runs_that_were_deleted_are_in_no_number(page: Page) -> None:
    page.add(*run_of(1), *run_of(2, fails=True))
    assert page.flow("checkout")["flow"]["failed"] == 1
    page.receiver.runs_deleted(page.store.delete_flow("checkout"))
    assert page.ask("flow/checkout").status_code == 404
    page.add(*run_of(3))
    assert (page.flow("checkout")["flow"]["runs"], page.flow("checkout")["flow"]["failed"]) == (1, 0)


def declare(path: Path, *steps: str, edges: list[tuple[str, str]] | None = None) -> None:
    """Writes a file with one flow, at once as an editor does."""
    listed = [{"sdkStepKey": step, "label": step.title()} for step in steps]
    joined = [{"source": source, "target": target} for source, target in edges or []]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"flows": [{"slug": "checkout", "nodes": listed, "edges": joined}]}))
    new.replace(path)


def test_a_flow_that_is_only_declared_has_a_graph_and_no_numbers(tmp_path: Path) -> None:
    declare(tmp_path / "flows.json", "cart", "pay", edges=[("cart", "pay")])
    with opened_page(tmp_path / "x.db", ReceiverSettings(tmp_path / "flows.json")) as page:
        answer = page.flow("checkout")
        assert answer["graph"]["declared"] is True
        assert [(node["stepKey"], node["label"]) for node in answer["graph"]["nodes"]] == [
            ("cart", "Cart"),
            ("pay", "Pay"),
        ]
        assert numbers(nodes(answer)["pay"]) == (0, 0, 0, 0, 0, None, None, None, None)
        assert [(edge["source"], edge["target"], edge["taken"]) for edge in answer["graph"]["edges"]] == [
            ("cart", "pay", 0)
        ]
        assert (answer["errors"]["errors"], answer["runs"]) == ([], [])
        row = answer["flow"]
        assert (row["runs"], row["failureRate"], row["p50Ms"], row["lastSeen"], row["outcomes"]) == (
            0,
            None,
            None,
            None,
            [],
        )
        page.add(event("success", 1, flow="seen"))
        assert [flow["flowKey"] for flow in page.get("flows")["flows"]] == ["seen", "checkout"]
        assert page.get("status")["flows"] == 2


def test_a_file_that_changes_changes_the_graph_also_of_a_flow_that_does_not(tmp_path: Path) -> None:
    path = tmp_path / "flows.json"
    declare(path, "cart", "pay")
    with opened_page(tmp_path / "x.db") as page:
        clock = [0.0]
        flows = Flows(page.store, FlowsFile(path, lambda: clock[0]))
        page.add(*run_of(1))
        assert [node.step_key for node in flows.details("checkout").shape.nodes] == ["cart", "pay"]
        declare(path, "pay", "refund", "cart", edges=[("pay", "refund")])
        clock[0] += 60
        shape = flows.details("checkout").shape
        assert [node.step_key for node in shape.nodes] == ["pay", "refund", "cart"]
        assert [(edge.source, edge.target) for edge in shape.edges][:1] == [("pay", "refund")]
        path.write_text("{")  # which is being written
        clock[0] += 60
        assert flows.details("checkout").shape == shape
        path.write_text('{"flows": []}')
        clock[0] += 60
        assert not flows.details("checkout").shape.declared


def test_places_depend_on_the_shape_alone(page: Page) -> None:
    page.add(*run_of(1))

    def places() -> list[tuple[Any, ...]]:
        answer = page.flow("checkout")["graph"]
        return [(node["stepKey"], node["x"], node["y"]) for node in answer["nodes"]] + [answer["edges"][0]["points"]]

    before = places()
    page.add(*run_of(2, fails=True), event("running", 40, step="cart", span="c", run="run-9"))
    assert places() == before
