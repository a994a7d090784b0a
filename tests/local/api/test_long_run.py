"""A long run is answered in parts: a line for each attempt, and its events and the rest of each attempt on demand."""

from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from failpath_otel.local.api.page import run_page
from failpath_otel.local.flows import shape
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record
from tests.local.events import at, event
from tests.local.page import Page
from tests.local.rows import RECEIVED, received_events

STACK = 'Traceback (most recent call last):\n  File "/srv/app/pay.py", line 3, in pay\n    charge()\nDeclined: no money'
PROCESS = ProcessInfo(4711, "another-host")


@pytest.fixture(autouse=True)
def long_from_five_events_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page, "WHOLE_EVENTS", 4)


def records(run: str = "run-1") -> list[Record]:
    """A step inside another that fails, is tried again and runs; and one whose end was recorded by hand."""
    same: dict[str, Any] = {"run": run}
    message = "no\nmoney " + "x" * 500
    inner = [
        event("running", 2, step="pay", span="b", **same),
        event(
            "error", 3, step="pay", span="b", started=2, error=ErrorInfo("Declined", message, STACK), cents=5, **same
        ),
        event("running", 4, step="pay", span="c", **same),
    ]
    return [
        event("running", 1, step="cart", span="a", items=2, **same),
        *(replace(record, parent_span_id="a", process=PROCESS) for record in inner),
        event("running", 5, step="mail", span="opened", **same),
        event("success", 6, step="mail", span="by hand", **same),
        event("success", 7, step="cart", span="a", started=1, **same),
    ]


def of(run: str) -> str:
    return quote(run, safe="")


def test_a_long_run_has_a_line_for_each_attempt_with_what_a_list_shows_of_it(page: Page) -> None:
    page.add(*records())
    page.seconds = 8
    answer, whole = page.run("run-1"), page.run("run-1", whole="1")
    assert (answer["whole"], answer["events"], answer["eventCount"]) == (False, None, 7)
    assert (whole["whole"], len(whole["events"]), whole["eventCount"]) == (True, 7, 7)
    cart, pay, again, mail = answer["run"]["steps"]
    assert cart == {
        "stepKey": "cart",
        "attempt": 1,
        "status": "success",
        "spanId": "a",
        "startedAt": at(1),
        "endedAt": at(7),
        "durationMs": 6000.0,
    }
    assert pay["error"] == {"name": "Declined", "message": "no money " + "x" * 191}
    assert (pay["parentSpanId"], "process" in pay) == ("a", False)
    assert (again["attempt"], again["status"], again["liveness"]) == (2, "running", "live")
    assert again["process"] == {"pid": 4711, "host": "another-host"}
    assert (mail["spanId"], mail["status"]) == ("opened", "success")
    # Everything else, and what they share, is the same.
    for name in ("row", "graph", "p50Ms", "processes", "traceId", "previous", "next"):
        assert answer[name] == whole[name]
    shared = ("runId", "flowKey", "status", "liveness", "startedAt", "endedAt", "durationMs")
    assert {name: answer["run"][name] for name in shared} == {name: whole["run"][name] for name in shared}
    for line, step in zip(answer["run"]["steps"], whole["run"]["steps"], strict=True):
        same = line.keys() - {"error"}
        assert {name: line[name] for name in same} == {name: step[name] for name in same}


def test_the_parts_of_a_long_run_are_those_of_the_whole(page: Page) -> None:
    page.add(*records())
    page.seconds = 8
    whole = page.run("run-1", whole="1")
    parts = [page.get("run-events/run-1", offset=offset, limit=3) for offset in (0, 3, 6, 9)]
    assert [(part["offset"], part["total"], len(part["events"])) for part in parts] == [
        (0, 7, 3),
        (3, 7, 3),
        (6, 7, 1),
        (9, 7, 0),
    ]
    # Also the attempt of the outcome by hand, whose span is not that of the attempt.
    assert [logged for part in parts for logged in part["events"]] == whole["events"]
    steps = whole["run"]["steps"]
    assert steps[1]["error"]["stack"] == STACK
    assert steps[1]["error"]["frames"]
    for step in steps:
        assert page.get("run-step/run-1", step=step["stepKey"], span=step["spanId"])["step"] == step


def test_a_long_run_shows_what_came_since_its_row_was_made(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*records())
    # As for a run that rests, because its last projection took long.
    monkeypatch.setattr(page.receiver.projector, "catch_up", lambda: None)
    page.store.add(received_events(event("success", 9, step="pay", span="c", started=4)), RECEIVED)
    page.seconds = 10
    answer = page.run("run-1")
    assert (answer["run"]["steps"][2]["status"], answer["row"]["status"]) == ("success", "success")
    assert page.get("run-events/run-1")["events"][-1]["attempt"] == 2


def test_the_graph_of_a_run_with_too_many_nodes_to_be_drawn_is_left_out(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.add(*records())
    assert len(page.run("run-1")["graph"]["nodes"]) == 3
    monkeypatch.setattr(shape, "MAX_DRAWN", 2)
    page.receiver.flows.clear_cache()
    answer = page.run("run-1")
    assert (answer["graph"]["nodes"], answer["graph"]["edges"]) == ([], [])
    assert answer["p50Ms"].keys() == {"cart", "mail", "pay"}


def test_a_run_whose_id_looks_like_a_path_has_parts_too(page: Page) -> None:
    for run in ("a/step/b", "run-events/run-1", "\n/../x"):
        page.add(*records(run))
        assert page.run(run)["run"]["runId"] == run
        assert page.get(f"run-events/{of(run)}", flow="checkout")["total"] == 7
        assert page.get(f"run-step/{of(run)}", step="mail", span="opened")["step"]["status"] == "success"


def test_parts_of_what_is_not_there_are_not_found_and_a_wrong_part_is_refused(page: Page) -> None:
    page.add(*records())
    for path, query in (
        ("run-events/nowhere", {}),
        ("run-events/run-1", {"flow": "another"}),
        ("run-step/run-1", {}),
        ("run-step/run-1", {"step": "mail"}),
        ("run-step/run-1", {"step": "nothing", "span": "a"}),
        ("run-step/run-1", {"step": "mail", "span": "by hand"}),
    ):
        assert page.ask(path, **query).status_code == 404, (path, query)
    for query in ({"offset": "-1"}, {"offset": "many"}, {"limit": "0"}, {"limit": "1001"}):
        assert page.ask("run-events/run-1", **query).status_code == 400, query


def test_a_long_run_that_is_deleted_meanwhile_is_not_there(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(*records())
    count = page.store.event_log.count

    def deleted_first(run: Any) -> int:
        counted = count(run)
        page.store.delete_flow("checkout")
        return counted

    monkeypatch.setattr(page.store.event_log, "count", deleted_first)
    assert page.ask("run/run-1").status_code == 404
