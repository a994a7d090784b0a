"""Flows that need eyes stand first, each column sorts, and an order that a client holds on to stays."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import pytest
from msgspec.structs import replace

from failpath_otel.local.board import order as order_module
from failpath_otel.local.board.order import SORTS, Orders
from failpath_otel.records.record import Record
from tests.local.events import GONE_PROCESS, event
from tests.local.page import Page

NOW = 100_000.0


@dataclass
class Story:
    """A flow whose runs end a minute after each other, the last one ``ago`` seconds before now."""

    flow: str
    fails: Callable[[int], bool] = lambda _: False
    _: KW_ONLY
    runs: int = 40
    ago: float = 100.0
    milliseconds: float = 10.0

    def records(self) -> list[Record]:
        found = []
        for number in range(self.runs):
            at, name = NOW - self.ago - (self.runs - 1 - number) * 60, f"{self.flow}-{number}"
            same = {"flow": self.flow, "run": name, "span": name, "started": at - self.milliseconds / 1000}
            found.append(event("error" if self.fails(number) else "success", at, **same))  # type: ignore[arg-type]
        return found


def all_kinds() -> list[Record]:
    """Flows for each need of eyes, whose names tell how much they are to stand below."""
    stories = [
        Story("g-good, lately"),
        Story("h-good, today", runs=1, ago=3_600),
        Story("i-good, earlier", runs=1, ago=90_000),
        Story("f-failed once", lambda number: number == 25, ago=3_600),
        Story("e-failing", lambda number: number == 39),
        Story("d-failed several times", lambda number: number % 7 == 2, ago=90_000),
        Story("c-worse", lambda number: 20 <= number < 39),
        Story("b-silent"),
        Story("a-gone"),
    ]
    lost = event("running", NOW - 5000, flow="a-gone", run="gone", span="gone")
    return [
        *(record for story in stories for record in story.records()),
        replace(lost, process=GONE_PROCESS),
        event("running", NOW - 5000, flow="b-silent", run="silent", span="silent"),
    ]


def keys(page: Page, **query: str | int) -> list[str]:
    return [flow["flowKey"] for flow in page.get("flows", **query)["flows"]]


def test_what_is_gone_silent_worse_or_failing_stands_above_what_is_well(page: Page) -> None:
    page.seconds = NOW
    page.add(*all_kinds())
    assert [key[0] for key in keys(page)] == list("abcdefghi")
    # In a range without a failure only what runs now, or does not any more, needs eyes.
    within = {"from": page.get("status")["now"].replace("02:00", "01:59")}
    assert [key[0] for key in keys(page, **within)][:2] == ["a", "b"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("flow", "abc"),
        ("-flow", "cba"),
        ("runs", "cab"),
        ("-runs", "bac"),
        ("failure-rate", "bac"),
        ("-p50", "cba"),
        ("p95", "abc"),  # Of one run there is none.
        ("-p95", "bac"),
        ("-last-seen", "bac"),
        ("-now", "abc"),
    ],
)
def test_each_column_sorts_and_what_has_no_value_stands_last(page: Page, sort: str, expected: str) -> None:
    page.seconds = NOW
    for story in (
        Story("a", lambda number: number == 3, runs=6, ago=20),
        Story("b", runs=7, milliseconds=20, ago=10),
        Story("c", lambda _: True, runs=1, milliseconds=99, ago=30),
    ):
        page.add(*story.records())
    assert sort in SORTS
    assert "".join(keys(page, sort=sort)) == expected


def test_flows_are_found_by_a_part_of_their_keys_and_come_in_pages(page: Page) -> None:
    page.add(*[event("success", 1, flow=flow, span=flow, run=flow) for flow in ("pay-A", "pay-b", "mail", "Repay")])
    assert keys(page, text="PAY", sort="flow") == ["pay-A", "pay-b", "Repay"]
    answer = page.get("flows", text="pay", sort="flow", offset=1, limit=1)
    assert ([flow["flowKey"] for flow in answer["flows"]], answer["offset"], answer["total"]) == (["pay-b"], 1, 3)
    assert page.get("flow-keys")["keys"] == ["Repay", "mail", "pay-A", "pay-b"]
    for wrong in ({"sort": "size"}, {"offset": "x"}, {"order": "-1"}):
        assert page.ask("flows", **wrong).status_code == 400


def test_an_order_that_is_held_keeps_its_rows_in_place_and_has_what_is_new_at_its_end(page: Page) -> None:
    page.add(*[event("success", number, flow=flow, span=flow, run=flow) for number, flow in enumerate("cab", 1)])
    first = page.get("flows", sort="-last-seen")
    assert ([flow["flowKey"] for flow in first["flows"]], first["moved"]) == (["b", "a", "c"], False)
    page.add(event("error", 9, flow="c", span="9", run="9"), event("success", 10, flow="new", span="n", run="n"))
    held = page.get("flows", sort="-last-seen", order=first["order"])
    assert ([flow["flowKey"] for flow in held["flows"]], held["moved"]) == (["b", "a", "c", "new"], True)
    assert held["flows"][2]["failed"] == 1
    assert held["order"] == first["order"]
    page.receiver.runs_deleted(page.store.delete_flow("a"))
    assert keys(page, sort="-last-seen", order=first["order"]) == ["b", "c", "new"]
    now = page.get("flows", sort="-last-seen", order=99_999)
    assert ([flow["flowKey"] for flow in now["flows"]], now["moved"]) == (["new", "c", "b"], False)


def test_only_so_many_orders_are_held_and_an_equal_one_is_no_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_module, "_MAX_KEPT", 2)
    orders = Orders()
    numbers = [orders.hold(order, None)[0] for order in (["a", "b"], ["a", "b"], ["b", "a"])]
    assert numbers[0] == numbers[1] != numbers[2]
    assert orders.hold(["b", "a"], numbers[0]) == (numbers[0], ["a", "b"])
    third, _ = orders.hold(["a", "b"], None)
    assert orders.hold(["b", "a"], numbers[0]) == (numbers[0], ["a", "b"])
    assert orders.hold(["a", "b"], numbers[2]) == (third, ["a", "b"])
    monkeypatch.setattr(order_module, "_MAX_KEPT_KEYS", 5)
    number, _ = orders.hold(["a", "b", "c", "d"], None)
    assert [*orders._kept] == [number]
