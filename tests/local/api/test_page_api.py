"""The lists of the page, and the receiver's own numbers."""

import base64
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from failpath_otel._version import __version__
from failpath_otel.local.receiver import ReceiverSettings
from failpath_otel.records.record import ErrorInfo, Record
from tests.local.contract import operation_of
from tests.local.events import GONE_PROCESS, at, event, wire
from tests.local.page import Page, opened_page
from tests.local.rows import project, received_events
from tests.receiver import Receiver

HARD: Final = [
    "a/b",
    "/",
    "//x//",
    "a\nb",
    "\r\n",
    "100%",
    "%2F",
    "%",
    "?a=1&b#c",
    "..",
    "../x",
    "Grüße 漢字 🦀",
    " ",
    "\x00",
    "+",
]
"""Ids that an address has to be careful with."""


def one_of_each(flow: str = "checkout") -> list[Record]:
    """Six runs, one of each word, at a hundred seconds; the one that is named last was active last."""
    return [
        event("running", 1, run="silent", span="a", flow=flow),
        replace(event("running", 2, run="gone", span="b", flow=flow), process=GONE_PROCESS),
        event("skipped", 3, run="skipped", span="c", flow=flow),
        event("error", 4, run="error", span="d", started=3, error=ErrorInfo("E", "no"), flow=flow),
        event("success", 5, run="success", span="e", started=4, flow=flow),
        event("running", 90, run="running", span="f", flow=flow),
    ]


def test_an_empty_receiver_says_so(page: Page) -> None:
    answer = page.get("flows")
    assert (answer["revision"], answer["now"], answer["flows"], answer["total"]) == (0, at(100), [], 0)
    assert answer["silent"] == {"count": 0, "runs": []}
    assert page.get("runs") == {"revision": 0, "now": at(100), "runs": [], "next": None, "error": None}


def test_the_status_describes_the_receiver(tmp_path: Path) -> None:
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps({"flows": [{"slug": "declared", "nodes": []}]}))
    trace_url = "http://localhost:16686/trace/{trace_id}"
    with opened_page(tmp_path / "x.db", ReceiverSettings(flows, trace_url, 2.5, 64)) as page:
        page.add(event("success", 1), event("success", 2, run="run-2", span="b"))
        status = page.get("status")
        assert status.pop("storeId") == page.store.runs.store_id()
        assert status == {
            "version": __version__,
            "revision": 2,
            "now": at(100),
            "url": "http://127.0.0.1:3001",
            "runs": 2,
            "flows": 2,
            "window": 500,
            "windowAttempts": 25_000,
            "traceUrl": trace_url,
            "keep": {"days": 2.5, "megabytes": 64.0},
            "pruned": {"runs": 0, "before": None},
            "flowsFile": str(flows),
            "sample": False,
            "pinned": 0,
            "readOnly": False,
        }


def test_a_status_counts_what_was_received_before_it_was_asked_for(page: Page) -> None:
    page.store.add(received_events(event("success", 1)), page.now())
    status = page.get("status")
    assert (status["runs"], status["flows"], status["revision"]) == (1, 1, 1)


def test_a_row_has_what_lists_show(page: Page) -> None:
    page.add(
        event("success", 2, step="cart", span="a", started=1),
        event("error", 4.5, step="pay", span="b", started=2, error=ErrorInfo("Declined", "not\nenough")),
        event("running", 5, step="mail", span="c"),
    )
    page.seconds = 6
    (row,) = page.get("runs")["runs"]
    assert row == {
        "flowKey": "checkout",
        "runId": "run-1",
        "status": "running",
        "liveness": "live",
        "startedAt": at(1),
        "endedAt": None,
        "durationMs": None,
        "activeAt": at(5),
        "steps": 3,
        "failed": 1,
        "failedAttempts": 1,
        "retries": 0,
        "stepKey": "mail",
        "message": None,
        "revision": 1,
        "pinned": False,
        "imported": False,
    }
    page.add(event("success", 7, step="mail", span="c", started=5))
    (row,) = page.get("runs")["runs"]
    assert (row["status"], row["liveness"], row["endedAt"], row["durationMs"]) == ("error", None, at(7), 6000.0)
    assert (row["stepKey"], row["message"], row["revision"]) == ("pay", "Declined: not enough", 2)


@pytest.mark.parametrize("word", ["silent", "gone", "skipped", "error", "success", "running"])
def test_each_of_the_six_words_filters(page: Page, word: str) -> None:
    page.add(*one_of_each(), *one_of_each("other"))
    assert page.ids(status=word) == [word, word]
    assert page.ids(status=word, flow="other", text=word.upper()) == [word]
    assert page.ids(status=word, text="nothing like it") == []


def test_the_list_has_the_liveness_of_running_runs_alone(page: Page) -> None:
    page.add(*one_of_each())
    assert {run["runId"]: (run["status"], run["liveness"]) for run in page.get("runs")["runs"]} == {
        "silent": ("running", "silent"),
        "gone": ("running", "gone"),
        "running": ("running", "live"),
        "skipped": ("skipped", None),
        "error": ("error", None),
        "success": ("success", None),
    }


@pytest.mark.parametrize(
    "text", ["%", "_", "'", '"', "\\", "*", "🦀", "50%_'\"", "straße", "STRASSE", "Σ", "--", "\x00"]
)
def test_the_text_filter_finds_what_holds_the_text_and_nothing_else(page: Page, text: str) -> None:
    page.add(event("success", 1, run=f"a {text} b"), event("success", 2, run="another", span="b"))
    page.add(event("error", 3, run="by-error", span="c", error=ErrorInfo("E", f"it was {text}!")))
    page.add(event("success", 4, run="by-metadata", span="d", note={"deep": [f"<{text}>"]}))
    assert page.ids(text=text) == ["by-metadata", "by-error", f"a {text} b"]
    assert page.ids(text=text.upper(), limit=1) == ["by-metadata"]


def test_an_empty_filter_is_none(page: Page) -> None:
    page.add(*one_of_each())
    assert len(page.ids(status="", text="", flow="", before="")) == 6


@pytest.mark.parametrize(
    "query", [{}, {"flow": "checkout"}, {"status": "success"}, {"text": "run"}, {"status": "silent"}]
)
def test_pages_follow_each_other_without_gap_or_double_while_runs_arrive(page: Page, query: dict[str, str]) -> None:
    status: Any = "running" if query.get("status") == "silent" else "success"
    # Some were active in the same microsecond.
    page.add(*[event(status, number // 3, run=f"run-{number:02d}", span=f"{number}") for number in range(40)])
    everything = page.ids(**query)
    assert len(everything) == 40
    seen: list[str] = []
    answer = page.get("runs", limit=7, **query)
    while True:
        seen += [run["runId"] for run in answer["runs"]]
        page.add(event(status, 50 + len(seen), run=f"run-new-{len(seen)}", span=f"new{len(seen)}"))
        if answer["next"] is None:
            break
        assert len(answer["runs"]) == 7
        answer = page.get("runs", limit=7, before=answer["next"], **query)
    assert seen == everything


def test_pages_of_what_runs_leave_out_what_is_silent_and_are_full(page: Page) -> None:
    page.seconds = 1000
    # What runs and what is silent alternates in the list: the silent have records of other, earlier steps' times.
    for number in range(20):
        page.add(event("running", 900, run=f"silent-{number:02d}", span=f"s{number}"))
        page.add(event("success", 980 + number / 2, run=f"silent-{number:02d}", step="x", span=f"t{number}"))
        page.add(event("running", 980 + number / 2, run=f"live-{number:02d}", span=f"l{number}"))
    seen: list[str] = []
    before = ""
    while True:
        answer = page.get("runs", status="running", limit=3, before=before)
        seen += [run["runId"] for run in answer["runs"]]
        if answer["next"] is None:
            break
        assert len(answer["runs"]) == 3
        before = answer["next"]
    assert seen == [f"live-{number:02d}" for number in reversed(range(20))]
    assert page.ids(status="silent") == [f"silent-{number:02d}" for number in reversed(range(20))]


def test_the_last_page_says_that_it_is_the_last(page: Page) -> None:
    page.add(*[event("success", number, run=f"{number}", span=f"{number}") for number in range(4)])
    assert page.get("runs", limit=4)["next"] is None
    assert page.get("runs", limit=3)["next"] is not None
    assert page.get("runs", before=page.get("runs", limit=3)["next"])["next"] is None


def test_a_range_takes_runs_by_their_newest_activity_without_its_end(page: Page) -> None:
    for seconds in (1, 2, 3):
        page.add(event("success", seconds, run=f"run-{seconds}"))

    def found(**query: str) -> list[str]:
        return [row["runId"] for row in page.get("runs", **query)["runs"]]

    assert found(**{"from": at(2)}) == ["run-3", "run-2"]
    assert found(to=at(2)) == ["run-1"]
    assert found(**{"from": at(2), "to": at(3)}) == ["run-2"]
    assert found(**{"from": "", "to": ""}) == ["run-3", "run-2", "run-1"]
    assert found(**{"from": at(1), "text": "run-", "flow": "checkout", "status": "success", "limit": "1"}) == ["run-3"]


def test_a_cursor_may_hold_any_id(page: Page) -> None:
    page.add(
        *[event("success", 1, run=run, flow=flow, span=f"{flow} {run}") for run in HARD for flow in ("a", "ü/\n%")]
    )
    seen: list[tuple[str, str]] = []
    before = ""
    while True:
        answer = page.get("runs", limit=1, before=before)
        seen += [(run["flowKey"], run["runId"]) for run in answer["runs"]]
        if answer["next"] is None:
            break
        before = answer["next"]
    assert seen == sorted((flow, run) for run in HARD for flow in ("a", "ü/\n%"))


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": limit} for limit in ("0", "1001", "-1", "x", "", "1e3", "٣", "9" * 30)),
        *({"status": status} for status in ("live", "Error", "process gone", "null")),
        *(
            {"before": base64.urlsafe_b64encode(text.encode()).decode()}
            for text in ("", "7", '[1,"a"]', '["1","a","b"]', '[1,"a","b",2]', '[1e3,"a","b"]', "{", "[" * 10_000)
            if text
        ),
        *({end: text} for end in ("from", "to") for text in ("yesterday", "1960-01-01T00:00:00Z", "1h")),
        *({"before": before} for before in ("x", "ä", "====", "a" * 5, "🦀")),
        *({"before": base64.urlsafe_b64encode(b'[%d,"a","b"]' % number).decode()} for number in (-1, 2**63, 10**400)),
        {"before": base64.urlsafe_b64encode(b'[1,"\xff","b"]').decode()},
    ],
    ids=lambda query: str(query)[:40],
)
def test_a_question_that_makes_no_sense_is_refused_in_one_line(page: Page, query: dict[str, str]) -> None:
    page.add(*one_of_each())
    answer = page.ask("runs", **query)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["run/none", "run/", "flow/none", "flow/", "nothing", "", "runs/", "status/x", "run/run-1?flow=none"]
)
def test_what_is_not_there_is_said_to_be_not_there(page: Page, path: str) -> None:
    page.add(event("success", 1))
    answer = page.ask(path)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_ids_of_any_characters_survive_an_address(shared_receiver: Receiver) -> None:
    flows = [f"hard {text}" for text in HARD]
    events = [wire(event("success", 1, run=run, flow=flow)) for run, flow in zip(HARD, flows, strict=True)]
    assert shared_receiver.post(*events).status == 202
    for run_id, flow_key in zip(HARD, flows, strict=True):
        run, flow = quote(run_id, safe=""), quote(flow_key, safe="")
        answer = shared_receiver.request(f"/api/page/run/{run}?flow={flow}").json()
        assert (answer["row"]["runId"], answer["run"]["flowKey"]) == (run_id, flow_key)
        assert shared_receiver.request(f"/api/page/flow/{flow}").json()["flow"]["flowKey"] == flow_key
        found = shared_receiver.request(f"/api/page/runs?flow={flow}&text={quote(run_id)}").json()["runs"]
        assert [(row["runId"], row["flowKey"]) for row in found] == [(run_id, flow_key)]


@pytest.mark.parametrize("path", ["status", "flows", "runs", "flow/head", "run/head"])
def test_methods_are_those_that_make_sense(shared_receiver: Receiver, path: str) -> None:
    shared_receiver.post(wire(event("success", 1, run="head", flow="head")))
    head = shared_receiver.request(f"/api/page/{path}", method="HEAD")
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "application/json")
    others = [name for name in ("POST", "PUT", "DELETE", "PATCH") if operation_of(name, f"/api/page/{path}") is None]
    assert len(others) >= 3
    for method in others:
        answer = shared_receiver.request(f"/api/page/{path}", method=method)
        assert (answer.status, list(answer.json())) == (405, ["error"])
        assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", ")) <= {"GET", "HEAD", "DELETE"}


def test_the_sample_is_loaded_once_and_removed_whole(page: Page) -> None:
    page.add(event("success", 1))
    assert page.client.delete("/api/page/sample").json() == {"runs": 0}
    for _ in range(2):
        answer = page.client.post("/api/page/sample")
        assert (answer.status_code, answer.json()) == (201, {"runs": 132})
        project(page.store)  # reading makes as many rows as there is time for
        assert page.get("status")["runs"] == 133
        assert page.get("status")["sample"] is True
        page.seconds += 1
    flow = page.get("flow/sample-checkout")
    assert flow["flow"]["runs"] == 120
    # What it is there to show: since when, in which step, and for whom.
    (change,) = [change for change in flow["flow"]["trend"]["changes"] if change["kind"] == "failureRate"]
    assert (change["worse"], change["stepKey"], change["common"]["value"]) == (True, "pack", "c-814")
    assert flow["errors"]["errors"][0]["common"] == {"key": "customer", "value": "c-814", "failed": 16, "of": 16}
    assert {run["liveness"] for run in page.get("flows")["silent"]["runs"]} == {"silent", "gone"}
    answer = page.client.delete("/api/page/sample")
    assert (answer.status_code, answer.json()) == (200, {"runs": 132})
    status = page.get("status")
    assert (status["sample"], status["runs"], status["flows"]) == (False, 1, 1)
    assert page.get("flows")["silent"]["count"] == 0
    assert page.ask("flow/sample-checkout").status_code == 404


def test_the_sample_is_neither_asked_for_nor_replaced(shared_receiver: Receiver) -> None:
    for method in ("GET", "PUT"):
        assert shared_receiver.request("/api/page/sample", method=method).status == 405


def test_what_was_pruned_is_said(page: Page) -> None:
    *ended, running = one_of_each()
    page.seconds = 5
    page.add(*ended)
    page.seconds = 100
    page.add(running)
    page.get("flows")
    page.receiver.pruner.days = 50 / 86_400
    page.receiver.runs_deleted(page.receiver.pruner.prune())
    assert page.get("status")["pruned"] == {"runs": 5, "before": at(5)}
    assert page.ids() == ["running"]
    assert [row["runs"] for row in page.get("flows")["flows"]] == [1]
    assert page.ask("run/success").status_code == 404


def test_a_person_who_has_mistyped_an_address_gets_the_page_and_a_program_does_not(page: Page) -> None:
    shown = page.client.get("/nowhere/at/all", headers={"Accept": "text/html"})
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert 'id="app"' in shown.text
    assert "content-security-policy" in shown.headers
    response = page.client.get("/nowhere/at/all")
    assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


def test_a_step_whose_process_is_gone_does_not_count_as_running(page: Page) -> None:
    page.add(
        replace(event("running", 1, run="gone", span="a"), process=GONE_PROCESS),
        event("running", 99, run="runs", span="b"),
        event("success", 3, run="done", span="c", started=1),
        # An earlier attempt that is gone, and a newer one that runs.
        replace(event("running", 97, run="again", span="d"), process=GONE_PROCESS),
        event("running", 98, run="again", span="e"),
    )
    (node,) = page.flow("checkout")["graph"]["nodes"]
    assert (node["runs"], node["running"], node["gone"]) == (4, 2, 1)
    (same,) = page.run("done")["graph"]["nodes"]
    assert (same["running"], same["gone"]) == (2, 1)
