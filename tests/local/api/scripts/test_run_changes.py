"""What scripts ask for: runs by filters, and those that have changed since."""

import threading
from typing import Any

import pytest
from msgspec.structs import replace

from tests.local.events import GONE_PROCESS, event
from tests.local.page import Page


def _get(page: Page, path: str, **query: Any) -> Any:
    answer = page.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _ids(page: Page, **query: Any) -> list[str]:
    return [run["runId"] for run in _get(page, "/api/runs", **query)["runs"]]


def _add_one_of_each(page: Page) -> None:
    page.add(
        event("success", 90, run="good"),
        event("error", 91, run="bad"),
        replace(event("running", 92, run="gone"), process=GONE_PROCESS),
        event("running", 99.9, run="live"),
        event("skipped", 94, run="skipped", flow="other"),
    )


def test_runs_are_found_by_any_of_several_statuses_and_by_what_they_are_shown_as(page: Page) -> None:
    _add_one_of_each(page)
    assert _ids(page) == ["live", "skipped", "gone", "bad", "good"]
    assert _ids(page, status="gone") == ["gone"]
    assert _ids(page, status=["error", "gone"]) == ["gone", "bad"]
    assert _ids(page, status=["error", "gone"], limit=1) == ["gone"]
    assert _ids(page, status="running") == ["live", "gone"]
    assert _ids(page, status="silent") == []
    assert _ids(page, status="skipped", flow="checkout") == []


def test_a_few_of_many_running_runs_are_found(page: Page) -> None:
    page.add(*(event("running", 99 + number / 1000, run=f"live{number}") for number in range(150)))
    _add_one_of_each(page)
    assert _ids(page, status="gone", limit=5) == ["gone"]


def test_pages_of_runs_and_of_flows_follow_each_other_up_to_the_last(page: Page) -> None:
    _add_one_of_each(page)
    for filters in ({}, {"status": ["error", "gone", "success"]}):
        found: list[str] = []
        before: str | None = None
        while True:
            answer = _get(page, "/api/runs", limit=2, **filters, **({} if before is None else {"before": before}))
            assert len(answer["runs"]) <= 2
            found += [run["runId"] for run in answer["runs"]]
            before = answer["next"]
            if before is None:
                break
        assert found == _ids(page, **filters)
    assert _get(page, "/api/runs", limit=5)["next"] is None
    first = _get(page, "/api/flows", limit=1)
    assert ([flow["flowKey"] for flow in first["flows"]], first["next"]) == (["checkout"], "checkout")
    second = _get(page, "/api/flows", limit=1, after="checkout")
    assert ([flow["flowKey"] for flow in second["flows"]], second["next"]) == (["other"], None)


def test_runs_are_found_by_their_newest_activity(page: Page) -> None:
    _add_one_of_each(page)
    page.add(event("success", 97, run="good", step="ship"))
    assert _ids(page, since="2023-11-14T22:14:54Z") == ["live", "good", "skipped"]
    assert _ids(page, since="2023-11-14T23:14:54+01:00", flow="checkout") == ["live", "good"]
    assert _ids(page, since="2024-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("runs", "since=yesterday", "expected an RFC 3339 time"),
        ("runs", "since=1960-01-01T00:00:00Z", "expected a time from 1970"),
        ("runs", "status=error&status=failed", "expected a status out of running, success, error, skipped, silent"),
        ("changes", "wait=31", "expected a number of seconds from 0 to 30"),
        ("changes", "wait=1.5", "expected a number of seconds"),
        ("changes", "limit=0", "expected a limit"),
    ],
)
def test_what_no_filter_is_is_refused(page: Page, path: str, query: str, reason: str) -> None:
    answer = page.client.get(f"/api/{path}?{query}")
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_a_client_gets_each_run_that_has_changed_once_and_nothing_twice(page: Page) -> None:
    page.add(event("success", 1, run="before"))
    begin = _get(page, "/api/changes")
    assert (begin["runs"], begin["reset"], begin["more"]) == ([], False, False)
    page.add(event("running", 2, run="a"), event("running", 3, run="b"))
    page.add(event("error", 4, run="a", started=2))
    after = _get(page, "/api/changes", after=begin["cursor"])
    assert [(run["runId"], run["status"]) for run in after["runs"]] == [("b", "running"), ("a", "error")]
    assert not after["reset"]
    assert _get(page, "/api/changes", after=after["cursor"]) == after | {"runs": []}


def test_many_changes_come_in_parts_of_which_none_is_left_out(page: Page) -> None:
    cursor = _get(page, "/api/changes")["cursor"]
    page.add(*(event("success", number, run=f"r{number}") for number in range(5)))
    found: list[list[str]] = []
    more = True
    while more:
        part = _get(page, "/api/changes", after=cursor, limit=2)
        cursor, more = part["cursor"], part["more"]
        found.append([run["runId"] for run in part["runs"]])
    assert sorted(map(len, found)) == [1, 2, 2]
    assert {run for part in found for run in part} == {f"r{number}" for number in range(5)}


def test_changes_are_filtered_and_the_cursor_passes_what_is_left_out(page: Page) -> None:
    cursor = _get(page, "/api/changes")["cursor"]
    _add_one_of_each(page)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"flow": "other"}, ["skipped"]),
        ({"run": "bad"}, ["bad"]),
        ({"status": ["error", "gone"]}, ["bad", "gone"]),
        ({"status": "gone"}, ["gone"]),
        ({"since": "2023-11-14T22:14:54Z"}, ["live", "skipped"]),
        ({"run": "none"}, []),
    ]
    for query, expected in cases:
        found = _get(page, "/api/changes", after=cursor, **query)
        assert sorted(run["runId"] for run in found["runs"]) == expected
        assert _get(page, "/api/changes", after=found["cursor"])["runs"] == []


@pytest.mark.parametrize("after", ["", "x", "another-store-3", "another-store-999999999999999999"])
def test_a_cursor_of_another_database_begins_anew(page: Page, after: str) -> None:
    page.add(event("success", 1))
    answer = _get(page, "/api/changes", after=after)
    assert (answer["reset"], answer["runs"]) == (True, [])
    assert _get(page, "/api/changes", after=answer["cursor"])["reset"] is False


def test_a_client_that_waits_is_answered_when_a_run_changes_and_when_the_receiver_ends(page: Page) -> None:
    cursor = _get(page, "/api/changes")["cursor"]
    answers: list[Any] = []

    def ask() -> None:
        answers.append(_get(page, "/api/changes", after=cursor, wait=30, run="wanted"))

    for end in (False, True):
        asking = threading.Thread(target=ask)
        asking.start()
        if end:
            page.receiver.changes.close()
        else:
            page.add(event("success", 1, run="other"))
            page.add(event("success", 2, run="wanted"))
            page.receiver.changes.notify()
        asking.join(20)
        assert not asking.is_alive()
        cursor = answers[-1]["cursor"]
    assert [[run["runId"] for run in answer["runs"]] for answer in answers] == [["wanted"], []]
