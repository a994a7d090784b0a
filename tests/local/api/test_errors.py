"""What the page is answered about errors."""

from msgspec.structs import replace

from failpath_otel.local.runs.fingerprint import fingerprint
from failpath_otel.records.record import ErrorInfo, Record
from tests.local.events import at, event
from tests.local.page import Page

DAY = 86_400.0


def failed(run: str, seconds: float, message: str, *, flow: str = "checkout", name: str = "Declined") -> Record:
    return event("error", seconds, run=run, span=run, flow=flow, started=seconds - 1, error=ErrorInfo(name, message))


def test_an_error_has_its_share_its_times_and_how_often_it_was_seen_in_each_part_of_them(page: Page) -> None:
    page.seconds = 2_400
    page.add(
        *(failed(f"order-{n}", n * 100, f"order {n} declined") for n in range(1, 9)),
        event("success", 900, run="good", span="good"),
        event("running", 2_399, run="late", span="late"),
        failed("other", 950, "down", name="OSError"),
    )
    answer = page.flow("checkout")["errors"]
    assert (answer["kinds"], answer["until"]) == (2, at(2400.000001))
    error, rarer = answer["errors"]
    assert error | {"buckets": None} == {
        "fingerprint": fingerprint("checkout", "pay", "Declined", "order 7 declined"),
        "flowKey": "checkout",
        "stepKey": "pay",
        "name": "Declined",
        "shape": "order * declined",
        "message": "order 8 declined",
        "newestRunId": "order-8",
        "count": 8,
        "share": 8 / 10,
        "recovered": 0,
        "total": 8,
        "firstSeen": at(100),
        "lastSeen": at(800),
        "isNew": False,
        "buckets": None,
        "common": None,
    }
    assert (sum(error["buckets"]), len(error["buckets"]), rarer["count"], rarer["share"]) == (8, 24, 1, 1 / 10)
    listed = page.get("errors", limit=1)
    assert (listed["kinds"], listed["counted"], listed["window"]) == (2, 9, 2_000)
    assert [(found["name"], found["count"], found["share"]) for found in listed["errors"]] == [("Declined", 8, None)]


def test_an_error_says_for_whom_it_is_where_others_of_the_flow_are_well(page: Page) -> None:
    page.seconds = 1_000
    metadata = [{"customer": f"c-{n % 5}", "region": "eu"} for n in range(60)]
    page.add(
        *(replace(event("success", n, run=f"{n}", span=f"{n}"), metadata=metadata[n]) for n in range(60) if n % 5),
        *(replace(failed(f"{n}", 100 + n, f"order {n} declined"), metadata=metadata[n]) for n in range(0, 60, 5)),
        *(failed(f"other {n}", 200 + n, "down", name="OSError") for n in range(12)),
    )
    expected = [{"key": "customer", "value": "c-0", "failed": 12, "of": 12}, None]
    by_name = {error["name"]: error for error in page.flow("checkout")["errors"]["errors"]}
    assert [by_name[name]["common"] for name in ("Declined", "OSError")] == expected
    (listed,) = [error for error in page.get("errors")["errors"] if error["name"] == "Declined"]
    assert listed["common"] == expected[0]
    assert len(page.ids(error=listed["fingerprint"], meta="customer=c-0")) == 12


def test_a_range_limits_what_is_counted_and_divides_its_own_time(page: Page) -> None:
    page.seconds = 1_000
    page.add(*(failed(f"order-{n}", n * 10, "declined") for n in range(1, 49)))
    query = {"from": at(240), "to": at(480)}
    answer = page.get("flow/checkout", **query)["errors"]
    (error,) = answer["errors"]
    assert (answer["since"], answer["until"]) == (at(240), at(480))
    assert (error["count"], error["total"], error["firstSeen"]) == (24, 48, at(10))
    assert error["buckets"] == [1] * 24
    assert page.get("errors", **query)["errors"][0]["count"] == 24
    # No time, and one that has ended before it begins.
    for odd in ({"from": at(240), "to": at(240)}, {"from": at(480), "to": at(240)}):
        assert page.get("errors", **odd)["errors"] == page.get("flow/checkout", **odd)["errors"]["errors"] == []


def test_an_error_is_new_if_it_was_first_seen_in_the_last_day_in_a_flow_that_is_older(page: Page) -> None:
    page.seconds = 3 * DAY
    page.add(
        failed("old", DAY, "declined"),
        failed("again", 3 * DAY - 60, "declined"),
        failed("new", 3 * DAY - 30, "down", name="OSError"),
        failed("first", 3 * DAY - 20, "down", flow="fresh", name="OSError"),
    )
    found = {(error["flowKey"], error["name"]): error["isNew"] for error in page.get("errors")["errors"]}
    assert found == {("checkout", "Declined"): False, ("checkout", "OSError"): True, ("fresh", "OSError"): False}
    page.seconds = 4 * DAY
    assert not any(error["isNew"] for error in page.get("errors")["errors"])


def test_the_list_of_runs_takes_the_fingerprint_of_an_error_and_says_what_it_is(page: Page) -> None:
    page.add(*(failed(f"order-{n}", n, f"order {n} declined") for n in (1, 2, 3)), failed("x", 4, "down", name="E"))
    declined = fingerprint("checkout", "pay", "Declined", "order 7 declined")
    assert page.ids(error=declined) == ["order-3", "order-2", "order-1"]
    first = page.get("runs", error=declined, limit=2)
    assert first["error"] == {
        "fingerprint": declined,
        "flowKey": "checkout",
        "stepKey": "pay",
        "name": "Declined",
        "shape": "order * declined",
    }
    assert page.ids(error=declined, limit=2, before=first["next"]) == ["order-1"]
    assert page.ids(error=declined, text="order-2", status="error") == ["order-2"]
    assert page.get("runs", error="0" * 16)["error"] is None
    assert len(page.ids(error="")) == 4
    for wrong in ("0" * 15, "G" * 16, "0" * 16 + "\n", "' OR 1 --"):
        assert page.ask("runs", error=wrong).status_code == 400


def test_an_error_without_a_name_or_a_message_is_counted_too(page: Page) -> None:
    page.add(event("error", 1, run="1"), event("error", 2, run="2"))
    (error,) = page.get("errors")["errors"]
    assert (error["name"], error["message"], error["shape"], error["count"]) == ("", "", "", 2)


def test_of_four_thousand_attempts_of_which_half_failed_and_were_retried_the_page_has_every_figure(page: Page) -> None:
    page.seconds = 1_000
    page.add(
        *(
            event("success" if n % 2 else "error", n + 0.5, run=f"r{run}", span=f"{n}", started=n)
            for run in range(20)
            for n in range(200)
        )
    )
    answer = page.flow("checkout")
    (node,) = answer["graph"]["nodes"]
    assert (node["failed"], node["failureRate"]) == (0, 0.0)
    assert (node["attempts"], node["failedAttempts"], node["retries"], node["retriedRuns"]) == (4_000, 2_000, 2_000, 20)
    flow = answer["flow"]
    assert (flow["failed"], flow["failedAttempts"], flow["retries"], flow["retriedRuns"]) == (0, 2_000, 2_000, 20)
    assert {(run["failedAttempts"], run["retries"]) for run in page.get("runs")["runs"]} == {(100, 100)}
    (error,) = answer["errors"]["errors"]
    assert (error["count"], error["recovered"]) == (0, 20)
