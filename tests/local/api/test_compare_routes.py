"""The comparison of two runs as the page gets it."""

from typing import Any

from failpath_otel.records.record import ErrorInfo, Record
from tests.local.events import event
from tests.local.page import Page

DECLINED = ErrorInfo("Declined", "not enough")


def run(
    name: str, start: float, *steps: str, fails: str | None = None, seconds: float = 1, **metadata: Any
) -> list[Record]:
    events = []
    for place, step in enumerate(steps or ("cart", "pay", "mail")):
        at = start + place * seconds
        same: dict[str, Any] = {"step": step, "span": f"{name}/{step}", "run": name}
        end: dict[str, Any] = {"started": at, "duration_ms": seconds * 1000, **same}
        events.append(event("running", at, **same, **metadata))
        if step == fails:
            return [*events, event("error", at + seconds, error=DECLINED, **end)]
        events.append(event("success", at + seconds, **end))
    return events


def test_a_run_is_compared_with_the_last_good_one_before_it(page: Page) -> None:
    page.add(
        *run("good", 0, customer="c-1"), *run("bad", 10, fails="pay"), *run("worse", 20, fails="pay", customer="c-8")
    )
    page.add(*run("good later", 30))
    found = page.get("compare/worse")
    assert (found["own"]["runId"], found["other"]["runId"], found["problem"]) == ("worse", "good", None)
    assert (found["lastGood"], found["previous"], found["next"]) == ("good", "bad", "good later")
    assert [(step["stepKey"], step["differs"]) for step in found["steps"]] == [
        ("cart", []),
        ("pay", ["outcome"]),
        ("mail", ["missing"]),
    ]
    assert found["steps"][1]["own"]["errorMessage"] == "not enough"
    assert found["metadata"] == [{"key": "customer", "own": "c-8", "other": "c-1"}]


def test_any_other_run_of_the_flow_can_be_chosen(page: Page) -> None:
    page.add(*run("a", 0), *run("b", 10, seconds=2), *run("c", 20, fails="pay"))
    found = page.get("compare/a", **{"with": "b"})
    assert (found["other"]["runId"], found["lastGood"]) == ("b", None)
    assert [step["differs"] for step in found["steps"]] == [["faster"]] * 3
    assert [step["factor"] for step in found["steps"]] == [0.5] * 3


def test_what_cannot_be_compared_says_why(page: Page) -> None:
    page.add(*run("bad", 0, fails="cart"), *run("good", 10))
    for query, problem in (({}, "none"), ({"with": "bad"}, "same"), ({"with": "nothing like it"}, "unknown")):
        found = page.get("compare/bad", **query)
        assert (found["own"]["runId"], found["other"], found["problem"], found["steps"]) == ("bad", None, problem, [])
    assert page.ask("compare/nowhere").status_code == 404


def test_a_running_run_is_compared_as_far_as_it_is(page: Page) -> None:
    page.add(*run("good", 0), *run("now", 10, "cart"), event("running", 11, step="pay", span="x", run="now"))
    found = page.get("compare/now")
    assert [step["differs"] for step in found["steps"]] == [[], ["outcome"], ["pending"]]


def test_the_last_good_run_is_one_that_began_before_whatever_was_active_last(page: Page) -> None:
    page.add(
        *run("good", 0), *run("bad", 10, fails="pay"), event("success", 5, step="cart", span="y", run="late", started=4)
    )
    page.add(event("success", 50, step="pay", span="z", run="late", started=6))
    assert page.get("compare/bad")["lastGood"] == "good"
