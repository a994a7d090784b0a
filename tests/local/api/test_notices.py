"""What the browser's own notices are about, and what is no news."""

from typing import Any

from msgspec.structs import replace

from failpath_otel.local.sample import FLOWS
from failpath_otel.records.record import ErrorInfo
from tests.local.events import GONE_PROCESS, event
from tests.local.page import Page

DECLINED = ErrorInfo("Declined", "no money")


def look(page: Page, after: str) -> tuple[str, Any, Any]:
    answer = page.get("notices", after=after)
    notices = [(notice["kind"], notice["flowKey"], notice["runId"]) for notice in answer["notices"]]
    return answer["cursor"], notices, [(run["flowKey"], run["runId"]) for run in answer["gone"]]


def failure(seconds: float, run: str, **fields: Any) -> Any:
    return event("error", seconds, run=run, error=DECLINED, **fields)


def test_the_first_failure_of_a_flow_after_good_runs_is_news_and_those_after_it_are_not(page: Page) -> None:
    page.add(event("success", 1, run="good"))
    cursor, notices, _ = look(page, "")
    assert notices == []
    page.add(failure(2, "bad"), failure(2, "of-a-new-flow", flow="refund"))
    cursor, notices, _ = look(page, cursor)
    assert ("first-failure", "checkout", "bad") in notices
    assert ("first-failure", "refund", "of-a-new-flow") not in notices
    page.add(failure(3, "worse"), event("running", 4, run="next"))
    cursor, notices, _ = look(page, cursor)
    assert "first-failure" not in {kind for kind, _, _ in notices}
    page.add(event("success", 5, run="fine"), failure(6, "again"))
    cursor, notices, _ = look(page, cursor)
    assert [notice for notice in notices if notice[0] == "first-failure"] == [("first-failure", "checkout", "again")]
    assert look(page, cursor)[1] == []
    assert look(page, "of-another-store-1")[1] == []


def test_an_error_that_no_run_had_before_is_news_once(page: Page) -> None:
    page.add(failure(1, "a"))
    cursor = look(page, "")[0]
    page.add(failure(2, "b"), event("error", 3, run="c", error=ErrorInfo("Declined", "no such card 4711")))
    cursor, notices, _ = look(page, cursor)
    assert [notice for notice in notices if notice[0] == "new-error"] == [("new-error", "checkout", "c")]
    page.add(
        event("error", 4, run="d", error=ErrorInfo("Declined", "no such card 4712")), failure(5, "e", flow="refund")
    )
    (notice,) = page.get("notices", after=cursor)["notices"]
    assert (notice["kind"], notice["flowKey"], notice["runId"]) == ("new-error", "refund", "e")
    assert (notice["stepKey"], notice["text"]) == ("pay", "Declined: no money")


def test_a_process_that_is_gone_is_named_and_one_of_a_file_is_not(page: Page) -> None:
    page.add(replace(event("running", 1, run="lost"), process=GONE_PROCESS), event("running", 1, run="alive"))
    text = page.client.get("/api/export/lost").content.replace(b'"lost"', b'"filed"')
    assert look(page, "")[2] == [("checkout", "lost")]
    page.receiver.delete("checkout", "lost")
    cursor = look(page, "")[0]
    page.client.post("/api/import", content=text, headers={"content-type": "application/json"})
    assert page.ids(status="gone") == ["filed"]
    assert look(page, cursor)[1:] == ([], [])


def test_the_sample_is_no_news(page: Page) -> None:
    cursor = look(page, "")[0]
    page.client.post("/api/page/sample")
    assert len(page.get("flows")["flows"]) == len(FLOWS)
    assert look(page, cursor)[1:] == ([], [])
