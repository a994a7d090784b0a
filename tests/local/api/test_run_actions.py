"""What a user changes: runs are pinned and deleted, and found by their metadata."""

import sqlite3
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from failpath_otel.local.runs.pairs import MAX_PAIR_CHARS, MAX_PAIRS, MAX_VALUES
from failpath_otel.local.store import deletion, store
from failpath_otel.local.store.pruning import Pruner
from failpath_otel.local.store.run_row import RunKey
from tests.local.events import event
from tests.local.page import Page

DAY = 86_400


def change(page: Page, method: str, path: str, **headers: str) -> tuple[int, Any]:
    answer = page.client.request(method, f"/api/page/{path}", headers=headers)
    return answer.status_code, answer.json()


def test_a_pinned_run_is_neither_too_old_nor_too_much_until_it_is_let_go(page: Page) -> None:
    page.add(event("success", 0, run="kept"), event("success", 1, run="old"), event("success", 2, run="old-too"))
    assert change(page, "PUT", "pin/kept?flow=checkout") == (200, {"pinned": True})
    assert change(page, "PUT", "pin/kept") == (200, {"pinned": True})
    assert page.ids(pinned=1) == ["kept"]
    assert page.get("status")["pinned"] == 1
    page.seconds = 8 * DAY
    assert page.receiver.pruner.prune() == 2
    assert Pruner(page.store, page.now, mebibytes=0).prune() == 0
    assert page.ids() == ["kept"]
    assert change(page, "DELETE", "pin/kept") == (200, {"pinned": False})
    assert page.receiver.pruner.prune() == 1
    assert change(page, "PUT", "pin/kept") == (404, {"error": "no such run"})


def test_pinned_runs_leave_half_of_the_limit_to_the_others(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "DELETED_RUNS", 1)
    page.add(*(event("success", n, run="large", span=str(n), note="x" * 8000) for n in range(400)))
    page.seconds = 600
    page.add(*(event("success", 500 + n, run=f"r{n}") for n in range(5)))
    pruner = Pruner(page.store, page.now, mebibytes=2)
    change(page, "PUT", "pin/large")
    assert 400 * 8000 < page.store.pins.size() < page.store.size()
    assert pruner.prune() == 0
    change(page, "DELETE", "pin/large")
    assert pruner.prune() == 1
    assert page.ids() == ["r4", "r3", "r2", "r1", "r0"]


def test_a_pin_is_a_change_that_every_tab_gets(page: Page) -> None:
    page.add(event("success", 1))
    revision = page.store.runs.revision()
    change(page, "PUT", "pin/run-1")
    (row,) = page.store.runs.changes(revision, 10)
    assert page.receiver.store.pins.all() == [row.key]
    assert page.run("run-1")["row"]["pinned"] is True


def test_a_run_a_flow_and_all_are_deleted_with_what_belongs_to_them(page: Page) -> None:
    for flow in ("checkout", "refund", "mail"):
        page.add(*(event("running", n, run=f"r{n}", flow=flow, customer="c-1") for n in range(3)))
    change(page, "PUT", "pin/r1?flow=refund")
    resets = page.receiver.changes.resets
    assert change(page, "DELETE", "run/r0?flow=checkout") == (200, {"runs": 1, "pinned": 0})
    assert page.ids(flow="checkout") == ["r2", "r1"]
    assert page.receiver.changes.resets == resets + 1
    assert page.get("count", flow="refund") == {"runs": 3, "pinned": 1}
    assert change(page, "DELETE", "flow/refund") == (200, {"runs": 3, "pinned": 1})
    assert page.ids(pinned=1) == []
    assert page.get("count") == {"runs": 5, "pinned": 0}
    assert change(page, "DELETE", "runs") == (200, {"runs": 5, "pinned": 0})
    assert page.get("flows")["flows"] == []
    assert page.get("flows")["silent"]["count"] == 0
    assert page.store.deletions() == 9
    assert change(page, "DELETE", "run/r0")[0] == 404


def test_what_comes_later_of_a_deleted_run_makes_it_anew(page: Page) -> None:
    page.add(event("running", 1))
    change(page, "PUT", "pin/run-1")
    change(page, "DELETE", "run/run-1")
    page.add(event("success", 2))
    (row,) = page.get("runs")["runs"]
    assert (row["status"], row["steps"], row["pinned"]) == ("success", 1, False)


def test_a_deletion_ends_also_beside_a_sender_that_goes_on(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*(event("success", n, run=f"r{n}") for n in range(6)))
    monkeypatch.setattr(deletion, "DELETED_RUNS", 1)
    delete_some, numbers = deletion.delete_some, count()

    def and_one_comes(connection: sqlite3.Connection, runs: list[RunKey]) -> int:
        connection.execute("INSERT INTO dirty VALUES ('checkout', ?, 1, 1)", (f"new-{next(numbers)}",))
        return delete_some(connection, runs)

    monkeypatch.setattr(deletion, "delete_some", and_one_comes)
    assert page.store.delete_all() == 6
    assert page.store.runs.count() == 0


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "pin/run-1"),
        ("DELETE", "pin/run-1"),
        ("DELETE", "run/run-1"),
        ("DELETE", "flow/checkout"),
        ("DELETE", "runs"),
    ],
)
def test_a_page_of_another_origin_changes_nothing(page: Page, headers: dict[str, str], method: str, path: str) -> None:
    page.add(event("success", 1))
    assert change(page, method, path, **headers)[0] == 403
    assert page.ids() == ["run-1"]


def test_a_pair_of_metadata_finds_the_runs_that_have_it_in_any_step_and_no_others(page: Page) -> None:
    page.add(
        event("success", 1, run="a", customer="c-814", items=3, paid=True, note=None, share=0.5),
        event("success", 2, run="b", customer="c-8140"),
        event("success", 3, run="c", order={"customer": "c-814"}, tags=["c-814"]),
        event("success", 4, run="d", step="cart", span="x", other="1"),
        event("success", 5, run="d", customer="c-814"),
    )
    assert page.ids(meta="customer=c-814") == ["d", "a"]
    assert page.ids(meta="customer=c-81") == []
    assert page.ids(meta="customer=C-814") == []
    for pair in ("items=3", "paid=true", "note=null", "share=0.5"):
        assert page.ids(meta=pair) == ["a"]
    answer = page.client.get("/api/page/runs?meta=customer=c-814&meta=other=1")
    assert [run["runId"] for run in answer.json()["runs"]] == ["d"]
    assert page.ids(meta="customer=c-814", text="a", flow="checkout", status="success") == ["d", "a"]
    assert [run["runId"] for run in page.client.get("/api/runs?meta=customer=c-814").json()["runs"]] == ["d", "a"]
    cursor = page.client.get("/api/changes").json()["cursor"]
    page.add(event("success", 6, run="e", customer="c-814"), event("success", 7, run="f"))
    changes = page.client.get(f"/api/changes?after={cursor}&meta=customer=c-814").json()["runs"]
    assert [run["runId"] for run in changes] == ["e"]
    assert page.ask("runs", meta="customer").status_code == 400


@pytest.mark.parametrize("value", ["50%_'\"", "a=b", "\x00", "ß\U0001f980", "", " ", "a\x1fb"])
def test_any_value_is_found_as_it_is(page: Page, value: str) -> None:
    page.add(event("success", 1, run="a", name=value), event("success", 2, run="b", name=f"{value}!"))
    assert page.ids(meta=f"name={value}") == ["a"]


def test_the_pairs_of_a_run_are_bounded(page: Page) -> None:
    steps = [event("success", n, step=f"s{n}", span=str(n), item=f"i-{n}", customer="c-1") for n in range(100)]
    last = replace(event("success", 101, step="last", span="z"), metadata={f"k{n}": n for n in range(100)})
    page.add(*steps, last)
    assert page.ids(meta="customer=c-1") == ["run-1"]
    found = [n for n in range(100) if page.ids(meta=f"item=i-{n}")]
    assert found == list(range(MAX_VALUES))
    assert sum(1 for n in range(100) if page.ids(meta=f"k{n}={n}")) == MAX_PAIRS - MAX_VALUES - 1
    page.add(event("success", 1, run="long", text="x" * MAX_PAIR_CHARS, other="1"))
    assert page.ids(meta=f"text={'x' * MAX_PAIR_CHARS}") == []
    assert page.ids(meta="other=1") == ["long"]


def test_a_pin_of_a_run_that_is_not_there_is_none(page: Page) -> None:
    assert page.store.pins.set(RunKey("checkout", "nowhere"), pinned=True) is False
    assert page.store.pins.count() == page.store.pins.count("checkout") == 0
