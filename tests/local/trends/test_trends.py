"""What the page's API says of flows over time."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from failpath_otel.local.store.flow_queries import FlowQueries
from failpath_otel.local.store.time_range import ALL_TIME, TimeRange
from failpath_otel.local.trends.trends import Trends
from failpath_otel.records.record import ErrorInfo, Record
from tests.local.events import EPOCH_NS, at, event
from tests.local.page import Page

MINUTE = 60
HOUR = 60 * MINUTE
REFUSED = ErrorInfo("Refused", "no")


def run_at(seconds: float, *, flow: str = "pay", fails: bool = False, customer: str = "", slow: bool = False) -> Record:
    """A run of one step, which ends at a time."""
    name = f"{flow} {seconds}"
    return event(
        "error" if fails else "success",
        seconds,
        flow=flow,
        run=name,
        span=name,
        step="charge",
        started=seconds - (20 if slow else 2),
        duration_ms=20_000 if slow else 2_000,
        error=REFUSED if fails else None,
        **({"customer": customer, "region": "eu", "retry": False} if customer else {}),
    )


def a_fault_for_one_customer(begin: int = 18 * HOUR, hours: int = 24) -> list[Record]:
    """A run each four minutes; from a time on, all of one customer fail, and 1 of 25 of all others at any time."""
    runs = []
    for number in range(hours * 15):
        seconds = (number + 1) * 4 * MINUTE
        customer = f"c-{810 + number * 7 % 5}"
        fails = number % 25 == 0 or (seconds > begin and customer == "c-814")
        runs.append(run_at(seconds, fails=fails, customer=customer))
    return runs


def test_a_fault_of_one_customer_since_some_hours_is_said_with_its_time_step_and_customer(page: Page) -> None:
    page.seconds = 24 * HOUR
    page.add(*a_fault_for_one_customer())
    (row,) = page.get("flows", **{"from": at(0)})["flows"]
    (change,) = row["trend"]["changes"]
    assert (change["kind"], change["worse"], change["stepKey"]) == ("failureRate", True, "charge")
    assert at(18 * HOUR) < change["since"] <= at(18 * HOUR + 24 * MINUTE)  # The first of that customer's runs.
    assert change["before"] == pytest.approx(0.04, abs=0.005)
    assert change["value"] == pytest.approx(0.24, abs=0.02)
    common = change["common"]
    assert (common["key"], common["value"]) == ("customer", "c-814")
    assert (common["failed"], common["of"]) == (18, 22)  # Four of others, as at any time.
    assert page.flow("pay")["flow"]["trend"]["changes"] == [change]


def test_where_all_fail_there_is_no_customer_to_name(page: Page) -> None:
    page.seconds = 24 * HOUR
    runs = [run_at(number * MINUTE, fails=number >= 100, customer=f"c-{number % 3}") for number in range(130)]
    page.add(*runs)
    (change,) = page.flow("pay")["flow"]["trend"]["changes"]
    assert (change["since"], change["common"], change["stepKey"]) == (at(100 * MINUTE), None, "charge")


def test_a_p95_that_has_risen_is_said_and_has_no_cause(page: Page) -> None:
    page.seconds = 24 * HOUR
    page.add(*[run_at((number + 1) * MINUTE, slow=number >= 60) for number in range(90)])
    (change,) = page.flow("pay")["flow"]["trend"]["changes"]
    assert (change["kind"], change["since"], change["value"], change["before"]) == ("p95", at(61 * MINUTE), 20e3, 2e3)
    assert (change["runs"], change["runsBefore"], change["worse"]) == (30, 60, True)
    assert (change["stepKey"], change["common"]) == (None, None)


def test_a_chart_is_over_all_runs_of_the_range_with_the_same_time_before(page: Page) -> None:
    page.seconds = 48 * HOUR
    page.add(*[run_at((number + 0.5) * HOUR, fails=number % 24 == 3) for number in range(48)])
    page.add(run_at(47 * HOUR + 1, flow="other"))
    trend = page.get("flow/pay", **{"from": at(24 * HOUR)})["flow"]["trend"]
    for series, begin in ((trend["series"], 24), (trend["before"], 0)):
        assert series["widthMs"] == 30 * MINUTE * 1000
        assert series["start"] <= at(begin * HOUR)
        assert (sum(series["ended"]), sum(series["failed"])) == (24, 1)
        (index,) = [index for index, failed in enumerate(series["failed"]) if failed]
        assert series["p95Ms"][index] == 2_000.0
    assert trend["series"]["failed"].index(1) == trend["before"]["failed"].index(1)
    everything = page.flow("pay")["flow"]["trend"]
    assert everything["before"] is None
    assert (sum(everything["series"]["ended"]), sum(everything["series"]["failed"])) == (48, 2)
    empty = page.get("flow/pay", **{"from": at(60 * HOUR), "to": at(70 * HOUR)})["flow"]
    assert (empty["total"], empty["lastSeen"], sum(empty["trend"]["series"]["ended"])) == (0, at(47.5 * HOUR), 0)


def test_the_graph_the_errors_and_the_last_runs_follow_the_range(page: Page) -> None:
    page.seconds = 30 * HOUR
    page.add(run_at(HOUR, fails=True), run_at(2 * HOUR), replace(run_at(3 * HOUR), step_key="later"))
    early = page.get("flow/pay", to=at(2.5 * HOUR))
    assert [node["stepKey"] for node in early["graph"]["nodes"]] == ["charge"]
    assert (len(early["runs"]), len(early["errors"]["errors"]), early["window"]) == (
        2,
        1,
        {"runs": 2, "of": 2, "since": at(HOUR)},
    )
    late = page.get("flow/pay", **{"from": at(2.5 * HOUR)})
    assert [node["stepKey"] for node in late["graph"]["nodes"]] == ["later"]
    assert (len(late["runs"]), late["errors"]["errors"], late["flow"]["total"]) == (1, [], 1)
    # From the cache, and up to date with a run of the range.
    page.add(run_at(4 * HOUR))
    assert page.get("flow/pay", **{"from": at(2.5 * HOUR)})["flow"]["total"] == 2
    assert page.get("flow/pay", to=at(2.5 * HOUR)) | {"revision": 3} == early
    assert page.ask("flow/nothing", to=at(1)).status_code == 404
    assert page.ask("flow/pay", **{"from": "yesterday"}).status_code == 400


def test_a_window_that_leaves_runs_out_says_so(page: Page) -> None:
    page.seconds = 100_000
    page.add(*[event("success", number, flow="pay", run=f"{number}", span=f"{number}") for number in range(1, 504)])
    answer = page.flow("pay")
    assert answer["window"] == {"runs": 500, "of": 503, "since": at(4)}
    assert (answer["flow"]["total"], answer["flow"]["runs"]) == (503, 500)
    assert sum(answer["flow"]["trend"]["series"]["ended"]) == 503
    assert page.get("flows")["flows"] == [answer["flow"]]


def test_runs_are_read_in_chunks_of_which_none_is_lost_or_doubled(page: Page) -> None:
    # Several at one time, so that a chunk ends among them.
    page.seconds = 1000
    for flow, size in (("a", 2), ("b", 11), ("c", 1), ("d", 3)):
        page.add(
            *[event("success", number // 4, run=f"{number:02}", span=f"{number}", flow=flow) for number in range(size)]
        )
    database = page.store._database
    whole = dict(FlowQueries(database).by_flow())
    assert [(key, len(runs)) for key, runs in whole.items()] == [("a", 2), ("b", 11), ("c", 1), ("d", 3)]
    for chunk in (1, 2, 3, 4, 5, 12, 17):
        queries = FlowQueries(database, chunk)
        assert dict(queries.by_flow()) == whole
        assert len(queries.ended("b")) == 11
    second = EPOCH_NS // 1000 + 1_000_000
    assert [(key, len(runs)) for key, runs in FlowQueries(database, 3).by_flow(TimeRange(second))] == [("b", 7)]


def test_a_trend_that_takes_long_rests_before_it_is_computed_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.seconds = 1000
    page.add(run_at(1))
    trends: Trends = page.receiver.trends
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    computed = trends._compute

    def slow(flow_key: str, within: TimeRange) -> object:
        nonlocal now
        now += 0.2
        return computed(flow_key, within)

    monkeypatch.setattr(trends, "_compute", slow)

    def ended() -> int:
        return sum(trends.trend("pay", ALL_TIME).series.ended)

    assert ended() == 1
    page.add(run_at(2))
    assert ended() == 1
    now += 2.0
    assert ended() == 2


def test_metadata_is_that_of_the_first_events_of_each_run(page: Page, tmp_path: Path) -> None:
    del tmp_path
    page.add(event("running", 1, a=1, b="x"), event("success", 2, started=1, b="y"))
    (row,) = page.store.runs.rows(1)
    assert list(page.store.flows.metadata([row.key])) == [{"a": 1, "b": "y"}]
