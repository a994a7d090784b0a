"""The grid of a flow as the page gets it."""

from typing import Any

import pytest
from msgspec.structs import replace

from failpath_otel.local.api.page import grid_routes
from failpath_otel.records.record import ErrorInfo, Record
from tests.local.events import GONE_PROCESS, at, event
from tests.local.page import Page

DECLINED = ErrorInfo("Declined", "not enough")


def run(name: str, start: float, *, fails: bool = False) -> list[Record]:
    """A run of two steps, the second of which takes two seconds, and may fail."""
    end: dict[str, Any] = {"step": "pay", "span": f"{name}/pay", "run": name, "started": start + 1}
    return [
        event("success", start + 1, step="cart", span=f"{name}/cart", run=name, started=start),
        event("error", start + 3, error=DECLINED, **end) if fails else event("success", start + 3, **end),
    ]


def test_a_grid_has_a_column_for_each_run_and_a_letter_for_each_step(page: Page) -> None:
    page.add(*run("a", 0), *run("b", 10, fails=True), *run("c", 20, fails=True))
    page.add(
        event("error", 31, step="cart", span="c1", run="d", started=30, error=DECLINED),
        event("success", 33, step="cart", span="c2", run="d", started=32),
        event("skipped", 34, step="mail", span="c3", run="d"),
        replace(event("running", 35, step="pay", span="c4", run="d"), process=GONE_PROCESS),
        event("running", 90, step="cart", span="c5", run="e"),
    )
    grid = page.get("grid/checkout")
    order = [step["stepKey"] for step in grid["steps"]]
    assert sorted(order) == ["cart", "mail", "pay"]
    assert order.index("cart") < order.index("pay")
    cells = {shown["runId"]: dict(zip(order, shown["cells"], strict=True)) for shown in grid["runs"]}
    assert list(cells) == ["a", "b", "c", "d", "e"]
    assert cells["a"] == {"cart": "s", "pay": "s", "mail": "."}
    assert cells["b"] == {"cart": "s", "pay": "e", "mail": "."}
    assert cells["d"] == {"cart": "s", "pay": "g", "mail": "k"}
    assert cells["e"] == {"cart": "r", "pay": ".", "mail": "."}
    assert grid["runs"][0]["durations"] == [1000.0, 2000.0]
    assert grid["texts"] == ["Declined: not enough"]
    assert grid["errors"] == [[1, order.index("pay"), 0], [2, order.index("pay"), 0]]
    assert grid["repeated"] == [[3, order.index("cart"), 2, 1]]
    assert {step["stepKey"]: step["failing"] for step in grid["steps"]} == {
        "cart": None,
        "mail": None,
        "pay": {"since": at(13), "runId": "b", "failed": 2, "ended": 2, "failedBefore": 0, "endedBefore": 1},
    }


def test_older_runs_follow_by_next_and_a_range_restricts_them(page: Page) -> None:
    for number in range(5):
        page.add(*run(f"run-{number}", 10 * number))

    def names(**query: Any) -> tuple[list[str], str | None]:
        grid = page.get("grid/checkout", **query)
        return [shown["runId"] for shown in grid["runs"]], grid["next"]

    newest, following = names(limit=2)
    assert newest == ["run-3", "run-4"]
    assert names(limit=3, before=following) == (["run-0", "run-1", "run-2"], None)
    assert names(**{"from": at(13), "to": at(33)}) == (["run-1", "run-2"], None)


def test_it_is_failing_since_earlier_than_the_oldest_run_shown(page: Page) -> None:
    page.add(
        *run("good", 0), *(record for number in range(1, 5) for record in run(f"{number}", 10 * number, fails=True))
    )
    (failing,) = [step["failing"] for step in page.get("grid/checkout", limit=2)["steps"] if step["failing"]]
    assert (failing["runId"], failing["failed"], failing["endedBefore"]) == ("1", 4, 1)


def test_a_grid_has_no_more_cells_than_it_may_but_always_the_newest_run(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.add(*run("a", 0), *run("b", 10), *run("c", 20))
    for cells, expected in ((1, ["c"]), (2, ["c"]), (4, ["b", "c"]), (6, ["a", "b", "c"])):
        monkeypatch.setattr(grid_routes, "MAX_CELLS", cells)
        grid = page.get("grid/checkout")
        assert [shown["runId"] for shown in grid["runs"]] == expected
        assert (grid["next"] is None) == (cells == 6)


def test_an_unknown_flow_is_not_found_and_a_wrong_cursor_is_refused(page: Page) -> None:
    assert page.ask("grid/nowhere").status_code == 404
    page.add(*run("a", 0))
    assert page.ask("grid/checkout", before="x").status_code == 400
