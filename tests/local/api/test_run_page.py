"""The page of one run."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from failpath_otel.local.receiver import ReceiverSettings
from failpath_otel.records.record import ErrorInfo, ProcessInfo
from tests.local.events import at, event, wire
from tests.local.page import Page, opened_page
from tests.local.rows import received_events

STACK = (
    "Traceback (most recent call last):\n"
    '  File "/srv/app/pay.py", line 3, in pay\n    charge()\n'
    '  File "/usr/lib/python3.11/site-packages/bank/api.py", line 9, in charge\n    raise Declined\n'
    "bank.Declined: no money"
)


def test_the_page_of_a_run_has_all_of_it(page: Page) -> None:
    process = ProcessInfo(4711, "another-host", at(0))
    page.add(
        event("running", 1, step="cart", span="a", items=2),
        replace(event("success", 2, step="cart", span="a", started=1, total=3), process=process),
        event("running", 3, step="pay", span="b"),
        event("error", 4, step="pay", span="b", started=3, error=ErrorInfo("Declined", "no money", STACK)),
        event("running", 5, step="pay", span="c"),
    )
    page.seconds = 6
    answer = page.run("run-1")
    about = {"revision", "now", "whole", "row", "graph", "previous", "next", "p50Ms", "traceUrl", "clockAheadMs"}
    about |= {"imported"}
    assert answer.keys() == about | {"run", "events", "eventCount", "processes", "traceId"}
    assert (answer["whole"], answer["eventCount"], answer["traceId"]) == (True, 5, "trace")
    assert answer["processes"] == []
    run = answer["run"]
    assert {
        name: run[name] for name in ("runId", "flowKey", "status", "liveness", "startedAt", "endedAt", "durationMs")
    } == {
        "runId": "run-1",
        "flowKey": "checkout",
        "status": "running",
        "liveness": "live",
        "startedAt": at(1),
        "endedAt": None,
        "durationMs": None,
    }
    cart, first, second = run["steps"]
    assert cart == {
        "stepKey": "cart",
        "attempt": 1,
        "status": "success",
        "liveness": None,
        "startedAt": at(1),
        "endedAt": at(2),
        "durationMs": 1000.0,
        "error": None,
        "metadata": {"items": 2, "total": 3},
        "spanId": "a",
        "traceId": "trace",
        "process": None,
        "parentSpanId": None,
        "processIsHere": False,
    }
    assert (first["attempt"], first["status"], second["attempt"], second["status"]) == (1, "error", 2, "running")
    assert second["liveness"] == "live"
    assert first["error"]["stack"] == STACK
    assert "".join(frame["text"] for frame in first["error"]["frames"]).replace("\n", "") == STACK.replace("\n", "")
    assert [frame["application"] for frame in first["error"]["frames"] if "File" in frame["text"]] == [True, False]
    assert [
        (logged["stepKey"], logged["status"], logged["attempt"], logged["timestamp"]) for logged in answer["events"]
    ] == [
        ("cart", "running", 1, at(1)),
        ("cart", "success", 1, at(2)),
        ("pay", "running", 1, at(3)),
        ("pay", "error", 1, at(4)),
        ("pay", "running", 2, at(5)),
    ]
    assert {logged["receivedAt"] for logged in answer["events"]} == {at(100)}
    assert answer["events"][3]["error"] == {"name": "Declined", "message": "no money"}
    assert answer["p50Ms"] == {"cart": 1000.0, "pay": 1000.0}
    assert (answer["previous"], answer["next"], answer["traceUrl"]) == (None, None, None)
    assert [answer["row"]] == page.get("runs")["runs"]
    assert {node["stepKey"]: node["running"] for node in answer["graph"]["nodes"]} == {"cart": 0, "pay": 1}


def test_records_by_hand_have_no_start_and_belong_to_the_attempt_that_they_end(page: Page) -> None:
    page.add(
        event("running", 1, step="pay", span="opened"),
        event("success", 3, step="pay", span="by-hand"),
        event("error", 4, step="mail", span="alone", error=ErrorInfo("E", "m")),
        event("skipped", 5, step="ship", span="skip"),
    )
    answer = page.run("run-1")
    pay, mail, ship = answer["run"]["steps"]
    assert (pay["spanId"], pay["status"], pay["startedAt"], pay["durationMs"]) == ("opened", "success", at(1), 2000.0)
    for step in (mail, ship):
        assert (step["startedAt"], step["durationMs"]) == (None, None)
    assert [logged["attempt"] for logged in answer["events"]] == [1, 1, 1, 1]
    assert answer["p50Ms"] == {"pay": 2000.0}
    numbers = {
        node["stepKey"]: (node["runs"], node["p50Ms"], node["failureRate"], node["skipRate"])
        for node in answer["graph"]["nodes"]
    }
    assert numbers == {"pay": (1, 2000.0, 0.0, 0.0), "mail": (1, None, 1.0, 0.0), "ship": (1, None, None, 1.0)}


def test_neighbours_are_those_of_the_same_flow_by_their_start(page: Page) -> None:
    for flow, run, second in [("a", "x", 3), ("a", "y", 1), ("a", "z", 2), ("b", "w", 2.5), ("a", "y2", 1)]:
        page.add(event("success", 50, step="end", span=f"{flow}{run}", started=second, flow=flow, run=run))
    order = ["y", "y2", "z", "x"]
    for place, run_id in enumerate(order):
        answer = page.run(run_id)
        assert answer["previous"] == ({"runId": order[place - 1]} if place else None)
        assert answer["next"] == ({"runId": order[place + 1]} if place < 3 else None)
    assert (page.run("w")["previous"], page.run("w")["next"]) == (None, None)


def test_where_flows_share_a_run_id_the_flow_decides_or_what_was_active_last(page: Page) -> None:
    page.add(event("success", 2, flow="a"), event("error", 1, flow="b", span="b"))
    assert page.run("run-1")["row"]["flowKey"] == "a"
    assert page.run("run-1", flow="b")["row"]["flowKey"] == "b"
    assert page.run("run-1", flow="")["row"]["flowKey"] == "a"
    assert page.ask("run/run-1", flow="c").status_code == 404


@pytest.mark.parametrize("url", ["http://localhost:16686/trace/{trace_id}", None])
def test_the_address_of_a_trace_is_what_was_given(tmp_path: Path, url: str | None) -> None:
    with opened_page(tmp_path / "x.db", ReceiverSettings(trace_url=url)) as page:
        page.add(event("success", 1))
        assert page.run("run-1")["traceUrl"] == url


def test_a_run_shows_what_came_since_its_row_was_made(page: Page) -> None:
    page.add(event("running", 99, span="a"))
    assert page.run("run-1")["row"]["revision"] == 1
    page.store.add(received_events(event("success", 100, span="a", started=99)), page.now())
    answer = page.run("run-1")
    assert (answer["row"]["status"], answer["run"]["status"], answer["row"]["revision"]) == ("success", "success", 2)


def test_a_huge_run_is_shown_as_its_events_say_also_before_its_row_is_made(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.add(event("running", 99, span="a"))
    # As for a run that rests, because its last projection took long.
    monkeypatch.setattr(page.receiver.projector, "catch_up", lambda: None)
    page.store.add(
        received_events(event("success", 100, span="a", started=99), event("skipped", 101, step="new", span="b")), 1
    )
    answer = page.run("run-1")
    assert (answer["row"]["status"], answer["row"]["steps"], answer["run"]["status"]) == ("success", 2, "success")
    assert len(answer["events"]) == 3
    # What its events say of steps is in its graph, too.
    assert {node["stepKey"] for node in answer["graph"]["nodes"]} == {"pay", "new"}


def test_a_run_that_is_deleted_meanwhile_is_not_there(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(event("success", 1))
    events = page.store.events

    def deleted_first(run: Any) -> Any:
        page.store.delete_flow("checkout")
        return events(run)

    monkeypatch.setattr(page.store, "events", deleted_first)
    assert page.ask("run/run-1").status_code == 404


def test_text_in_every_field_arrives_as_it_is(page: Page) -> None:
    evil = "</script><script>alert(1)</script>\u2028&amp;\x00🦀"
    page.add(
        event(
            "error",
            2,
            run=evil,
            flow=evil,
            step=evil,
            span=evil,
            started=1,
            error=ErrorInfo(evil, evil, evil),
            note=evil,
        )
    )
    answer = page.run(evil, flow=evil)
    (step,) = answer["run"]["steps"]
    assert (step["stepKey"], step["spanId"], step["metadata"]) == (evil, evil, {"note": evil})
    assert step["error"] | {"frames": None} == {"name": evil, "message": evil, "stack": evil, "frames": None}
    assert answer["row"]["runId"] == answer["row"]["flowKey"] == evil
    assert page.ask(f"run/{quote(evil, safe='')}").headers["content-type"] == "application/json"


def test_an_unknown_field_does_no_harm(page: Page) -> None:
    fields = wire(event("success", 1), later={"deep": [1]}, version=9)
    answer = page.client.post("/v1/events", json={"events": [fields]}, headers={"Authorization": "Bearer fp_project_x"})
    assert answer.json() == {"accepted": 1, "rejected": []}
    assert page.run("run-1")["row"]["status"] == "success"
