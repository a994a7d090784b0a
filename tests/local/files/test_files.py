"""A run that was exported from one receiver and imported into another is the same run, marked, and never mixed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from failpath_otel.local.files import run_file
from failpath_otel.local.files.run_file import file_name
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.records.record import ErrorInfo, ProcessInfo
from tests.local.events import GONE_PROCESS, event, wire
from tests.local.page import Page, opened_page
from tests.logs import SPAN, TRACE, log, log_request

KEY = RunKey("checkout", "run-1")
STACK = 'Traceback\n  File "/home/ada/shop/bank.py", line 3, in charge\n    pay(password="hunter22")\nDeclined: no'


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Page]:
    """A second receiver."""
    with opened_page(tmp_path / "other.db") as opened:
        yield opened


def fill(page: Page) -> None:
    page.add(
        event("success", 2, step="cart", span="c", started=1, customer="c-814", path="/Users/ada/cart.json"),
        event("running", 3, span="a", customer="c-814"),
        event("error", 4, span="a", started=3, error=ErrorInfo("Declined", "postgres://u:secret@db", STACK)),
        replace(event("running", 5, step="ship", span="s"), process=GONE_PROCESS),
        event("success", 9, run="another"),
    )


def export(page: Page, **query: Any) -> httpx.Response:
    answer: httpx.Response = page.client.get("/api/export/run-1", params=query)
    return answer


def send(page: Page, content: bytes, **headers: str) -> httpx.Response:
    given = {"content-type": "application/json"} | headers
    answer: httpx.Response = page.client.post("/api/import", content=content, headers=given)
    return answer


def changed(text: bytes, **changes: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(text) | changes)


def test_a_run_that_was_exported_and_imported_is_the_same_run(page: Page, other: Page) -> None:
    fill(page)
    answer = export(page)
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''run-1.failpath-run.json"
    other.seconds = 1000.0
    assert send(other, answer.content).json() == {"flowKey": "checkout", "runId": "run-1", "new": True}
    here, there = page.run("run-1"), other.run("run-1")
    for shown in (here["run"], there["run"]):
        for step in shown["steps"]:
            step.pop("still", None)
            if step["error"]:
                step["error"] = {"name": step["error"]["name"]}
            step["metadata"].pop("path", None)
    assert there["run"] == here["run"]
    assert [logged["receivedAt"] for logged in there["events"]] == [logged["receivedAt"] for logged in here["events"]]
    assert there["imported"] == {
        "at": "2023-11-14T22:30:00.000000Z",
        "asOf": "2023-11-14T22:15:00.000000Z",
        "mixed": False,
    }
    assert here["imported"] is None
    assert [row["imported"] for row in other.get("runs")["runs"]] == [True]
    assert other.store.pruned().runs == 0


def test_a_file_is_the_same_each_time_and_from_whichever_receiver(page: Page, other: Page) -> None:
    fill(page)
    first = export(page).content
    assert export(page).content == first
    send(other, first)
    assert export(other).content == first


def test_a_file_is_redacted_again_and_has_no_names_of_home_directories(page: Page) -> None:
    """What a sender of another package has put there in clear is not passed on."""
    fill(page)
    text = export(page).text
    for part in ("secret", "hunter22", "/ada/"):
        assert part not in text
    assert "~/shop/bank.py" in text
    assert "~/cart.json" in text


@pytest.mark.parametrize(
    ("part", "gone"), [("metadata", "c-814"), ("errors", "bank.py"), ("process", GONE_PROCESS.host)]
)
def test_a_part_is_left_out_and_the_file_says_so(page: Page, part: str, gone: str) -> None:
    fill(page)
    assert gone in export(page).text
    without = export(page, without=part)
    assert gone not in without.text
    assert without.json()["without"] == [part]


def test_a_field_that_the_contract_does_not_have_is_not_passed_on(page: Page) -> None:
    body = msgspec.json.encode({"events": [wire(event("success", 1), internal="confidential")]})
    headers = {"authorization": "Bearer k", "content-type": "application/json"}
    page.client.post("/v1/events", content=body, headers=headers)
    assert "confidential" not in export(page).text
    assert export(page, without="everything").status_code == 400
    assert page.client.get("/api/export/nowhere").status_code == 404


def test_a_process_that_is_not_here_is_neither_looked_for_nor_counted(page: Page, other: Page) -> None:
    fill(page)
    assert page.get("flows")["silent"]["count"] == 1
    text = export(page).content.replace(b'"gone"', b'"live"')
    send(other, text)
    other.seconds = 100_000.0
    shown = other.run("run-1")["run"]
    assert [step["liveness"] for step in shown["steps"]] == [None, None, "live"]
    assert shown["liveness"] == "live"
    flows = other.get("flows")
    assert flows["silent"]["count"] == 0
    assert [(flow["running"], flow["silent"], flow["gone"]) for flow in flows["flows"]] == [(0, 0, 0)]
    assert other.ids(status="running") == ["run-1"]
    assert other.ids(status="silent") == []
    assert other.receiver.monitor.check() == []


def test_what_was_gone_is_found_as_gone(page: Page, other: Page) -> None:
    fill(page)
    send(other, export(page).content)
    assert other.ids(status="gone") == ["run-1"]
    assert other.ids(status="running") == []
    send(other, changed(export(page).content, flowKey="x"))
    assert other.receiver.delete("checkout") == 1
    assert other.ids(status="gone") == []


def test_the_same_file_again_changes_nothing_and_another_with_that_run_is_refused(page: Page, other: Page) -> None:
    fill(page)
    send(other, export(page).content)
    before = other.store.runs.revision()
    again = send(other, export(page).content)
    assert (again.status_code, again.json()["new"]) == (200, False)
    page.add(event("success", 6, span="late"))
    refused = send(other, export(page).content)
    assert refused.status_code == 409
    assert refused.json()["error"] == (
        "a run 'run-1' of 'checkout' is here already, with other events; delete it first"
    )
    assert other.store.runs.revision() == before
    assert len(other.store.events(KEY)) == 4


def test_a_run_of_a_sender_gets_nothing_from_a_file(page: Page, other: Page) -> None:
    fill(page)
    other.add(event("running", 1))
    assert send(other, export(page).content).status_code == 409
    assert len(other.store.events(KEY)) == 1
    assert other.run("run-1")["imported"] is None


def test_an_event_of_another_run_is_not_taken_from_it(page: Page, other: Page) -> None:
    fill(page)
    stolen = event("success", 1, run="victim")
    other.add(stolen)
    event_of_file = wire(event("success", 2), id=stolen.id)
    text = changed(export(page).content, events=[{"receivedAt": "2023-11-14T22:13:21Z", "event": event_of_file}])
    assert send(other, text).json() == {"error": "an event of the file belongs to the run 'victim' of 'checkout'"}
    assert other.ids() == ["victim"]


def test_events_of_a_sender_that_come_later_are_said_and_the_run_lives_again(page: Page, other: Page) -> None:
    fill(page)
    send(other, export(page).content)
    other.add(event("running", 90, step="refund", span="r"))
    shown = other.run("run-1")
    assert shown["imported"]["mixed"] is True
    assert "still" not in shown["run"]["steps"][0]
    assert [row["imported"] for row in other.get("runs", flow="checkout")["runs"]] == [False]


EVENT = wire(event("success", 1))
FILED = {"receivedAt": "2023-11-14T22:13:21Z", "event": EVENT}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "har"}, "its format is not 'failpath-run'"),
        ({"version": 2}, "the file has version 2, this version of failpath-otel reads 1"),
        ({"version": {"a": ["b" * 1000]}}, "the file has version {'a': ['bbbbbbbbbbbb, this"),
        ({"events": []}, "the file has no events"),
        ({"events": None}, "Expected `array`, got `null` - at `$.events`"),
        ({"events": [FILED, FILED]}, "event 2 of the file has the id of an earlier one"),
        ({"events": [FILED | {"receivedAt": "yesterday"}]}, "expected an RFC 3339 time"),
        ({"events": [FILED | {"event": EVENT | {"runId": "run-2"}}]}, "event 1 of the file belongs to another run"),
        ({"events": [FILED | {"event": EVENT | {"status": "paused"}}]}, "Invalid enum value 'paused'"),
        ({"events": [FILED | {"event": 7}]}, "event 1 of the file is invalid"),
        ({"flowKey": ""}, "the file names no run"),
        ({"flowKey": 7}, "Expected `str`, got `int` - at `$.flowKey`"),
        ({"attempts": [{"stepKey": "a", "spanId": "b", "liveness": "undead"}]}, "Invalid enum value 'undead'"),
    ],
)
def test_a_file_that_no_receiver_has_written_is_refused_with_the_reason(
    page: Page, other: Page, changes: dict[str, Any], reason: str
) -> None:
    fill(page)
    answer = send(other, changed(export(page).content, **changes))
    assert answer.status_code == 422
    assert reason in answer.json()["error"]
    assert other.store.runs.count() == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"format": "failpath-run", "version": 1, "events": ' + b'{"a":' * 100_000,
        b"\xff",
        b'{"format": "failpath-run", "version": 1}',
    ],
    ids=["empty", "null", "nested", "nested events", "not UTF-8", "bare"],
)
def test_hostile_contents_are_refused(page: Page, content: bytes) -> None:
    assert send(page, content).status_code == 422
    assert page.store.runs.count() == 0


def test_an_event_that_is_nested_too_deeply_is_refused(page: Page) -> None:
    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    fill(page)
    text = changed(export(page).content, events=[FILED | {"event": EVENT | {"metadata": {"a": nested}}}])
    assert send(page, text).json()["error"] == "event 1 of the file is invalid: nested deeper than 200"


def test_too_large_a_run_makes_no_file_and_too_large_a_file_no_run(
    page: Page, other: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(page)
    text = export(page).content
    for module in ("export", "reading"):
        monkeypatch.setattr(f"failpath_otel.local.files.{module}.MAX_FILE_EVENTS", 3)
    assert export(page).json() == {"error": "the run has 4 events, and a file holds 3"}
    assert send(other, text).json() == {"error": "the file has more than 3 events"}
    assert run_file.MAX_FILE_BYTES == 33_554_432
    length = {"content-length": str(65 * 1_048_576)}
    assert send(other, b"{", **length).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 400),
        ({"origin": "http://127.0.0.1:3001"}, 200),
    ],
)
def test_a_page_of_another_origin_imports_nothing(
    page: Page, other: Page, headers: dict[str, str], status: int
) -> None:
    fill(page)
    assert send(other, export(page).content, **headers).status_code == status


def test_the_name_of_a_file_is_one_that_any_system_takes() -> None:
    assert file_name("order-17") == "order-17.failpath-run.json"
    assert file_name("../../etc/passwd\n") == "_.._etc_passwd_.failpath-run.json"
    assert file_name("…") == "_.failpath-run.json"
    assert file_name("..") == "run.failpath-run.json"
    assert len(file_name("x" * 500)) < 100


def test_of_a_run_that_is_being_deleted_no_half_is_written(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(page)
    received = page.store.received(KEY)
    monkeypatch.setattr(page.store, "received", lambda _: dict(list(received.items())[2:]))
    assert export(page).status_code == 404


def test_a_process_is_that_of_the_record(page: Page) -> None:
    page.add(replace(event("success", 1), process=ProcessInfo(7, "web-1")))
    assert export(page).json()["events"][0]["event"]["process"] == {"pid": 7, "host": "web-1"}


SECOND: Any = {
    "exception.type": "Declined",
    "exception.message": "no",
    "exception.stacktrace": STACK,
}


def fill_logs(page: Page) -> None:
    """A run with three logs, one of which is of another run in its trace."""
    page.add(
        replace(event("running", 1, span=SPAN, customer="c-814"), trace_id=TRACE),
        replace(event("success", 1, span="d" * 16, run="another"), trace_id=TRACE),
    )
    of_home = {"file": "/home/ada/cart.json", "deep": [[[{"token": "hunter22"}]]]}
    logs = log("password=hunter22", 2, attributes=of_home), log("late", 3, severity=17, attributes=SECOND)
    assert post_logs(page, log_request(*logs, log("of another", 2, span="d" * 16))).status_code == 200


def post_logs(page: Page, body: bytes) -> Any:
    return page.client.post("/v1/logs", content=body, headers={"content-type": "application/json"})


def logs_of(page: Page) -> list[dict[str, Any]]:
    found = page.get("logs/run-1")
    assert found["leftOut"] == 0
    lines = found["logs"]
    details = [page.get(f"log/{line.pop('id')}") for line in lines]
    return [line | its | {"id": 0} for line, its in zip(lines, details, strict=True)]


def test_the_logs_of_a_run_are_in_its_file_redacted_again_and_deleted_with_it(page: Page, other: Page) -> None:
    fill_logs(page)
    text = export(page)
    for part in ("hunter22", "/ada/", "of another"):
        assert part not in text.text
    assert [(one["body"], one.get("severity")) for one in text.json()["logs"]] == [
        ("password=[redacted]", 9),
        ("late", 17),
    ]
    assert "c-814" not in export(page, without="metadata").text
    assert "cart.json" not in export(page, without="metadata").text
    assert "bank.py" not in export(page, without="errors").text
    without = export(page, without="logs").json()
    assert (without["logs"], without["without"]) == ([], ["logs"])
    send(other, text.content)
    assert export(other).content == text.content
    assert [(one["body"], one["relation"], one["stepKey"]) for one in logs_of(other)] == [
        ("password=[redacted]", "span", "pay"),
        ("late", "span", "pay"),
    ]
    assert logs_of(other)[1]["error"]["frames"]
    # A log that comes later finds its run, though nothing was noted of the others when the file came.
    other.add(replace(event("success", 1, span="d" * 16, run="another"), trace_id=TRACE))
    post_logs(other, log_request(log("of another", 2, span="d" * 16)))
    assert [line["body"] for line in other.get("logs/another")["logs"]] == ["of another"]
    assert [line["body"] for line in logs_of(other)] == ["password=[redacted]", "late"]
    other.receiver.delete("checkout", "run-1")
    assert other.store.logs.count() == 1


def test_a_file_adds_no_logs_to_another_run_of_its_trace_nor_takes_their_room(page: Page, other: Page) -> None:
    fill_logs(page)
    text = changed(export(page).content, runId="x")
    text = text.replace(b'"runId":"run-1"', b'"runId":"x"')
    before = page.get("logs/run-1")["logs"]
    records = [one | {"body": "forged"} for one in msgspec.json.decode(text)["logs"]] * 900
    events = [one | {"event": one["event"] | {"id": "new"}} for one in msgspec.json.decode(text)["events"]]
    assert send(page, changed(text, logs=records, events=events)).json()["new"] is True
    assert page.get("logs/run-1")["logs"] == before
    assert {line["body"] for line in page.get("logs/x")["logs"]} == {"forged", *(line["body"] for line in before)} - {
        ""
    }


RECORD = {"timestamp": "2023-11-14T22:13:21Z", "traceId": TRACE, "attributes": {}}


@pytest.mark.parametrize(
    ("logs", "reason"),
    [
        ({}, "Expected `array`, got `object` - at `$.logs`"),
        ([{}], "missing required field"),
        ([RECORD | {"traceId": "0" * 32}], "log record 1 of the file is in a trace that the run does not have"),
        (
            [RECORD, RECORD | {"spanId": "b7ad6b7169203331\n"}],
            "log record 2 of the file is invalid: its span id is none",
        ),
        ([RECORD | {"timestamp": "10000-01-01T00:00:00Z"}], "expected an RFC 3339 time"),
        ([RECORD | {"timestamp": "1969-12-31T23:59:59Z"}], "expected a time from 1970 to 9999"),
        ([RECORD | {"severity": 25}], "`int` <= 24"),
        ([RECORD | {"severity": 1.5}], "Expected `int`"),
        ([RECORD | {"body": {"a": 1}}], "Expected `str`"),
        ([RECORD | {"attributes": [1]}], "Expected `object`, got `array`"),
        ([RECORD | {"attributes": {"a": "x" * 262_144}}], "its attributes are larger than"),
        ([RECORD | {"error": {"name": 7, "message": ""}}], "Expected `str`"),
        ([RECORD] * 2_001, "the file has more than 2,000 log records"),
    ],
)
def test_logs_that_no_receiver_has_written_are_refused_with_the_run(
    page: Page, other: Page, logs: Any, reason: str
) -> None:
    fill_logs(page)
    answer = send(other, changed(export(page).content, logs=logs))
    assert answer.status_code == 422
    assert reason in answer.json()["error"]
    assert (other.store.runs.count(), other.store.logs.count()) == (0, 0)


def test_odd_logs_of_a_file_are_cleaned_as_those_of_a_sender_are(page: Page, other: Page) -> None:
    fill_logs(page)
    odd = {"__proto__": {"a": 1}, "constructor": "x", "toString": 7, "b" * 9_000: "b", "big": 10**400, "u": "\u202e"}
    texts = {"body": "x" * 9_000 + "password=hunter22", "logger": "\u202e<b>", "service": "s" * 9_000}
    records = [RECORD | texts | {"timestamp": "9999-12-31T23:59:59.999999Z", "attributes": odd}, RECORD]
    text = changed(export(page).content, logs=records, logsLeftOut=1_000_000_000)
    assert send(other, text).status_code == 200
    again = export(other)
    assert "hunter22" not in again.text
    found = again.json()["logs"]
    assert {len(one.get("body", "")) for one in found} == {0, 4_096}
    assert other.get("logs/run-1")["leftOut"] == 1_000_000_000


def test_a_file_has_as_many_of_the_newest_logs_as_there_is_room_for(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_logs(page)
    size = len(export(page).content)
    monkeypatch.setattr("failpath_otel.local.files.export.MAX_FILE_BYTES", size - 1)
    kept = export(page).json()
    assert [one["body"] for one in kept["logs"]] == ["late"]
    assert kept["logsLeftOut"] == 1


def test_how_an_imported_run_stood_is_shown_in_every_view_and_counted_in_none(page: Page, other: Page) -> None:
    fill(page)
    send(other, export(page).content)
    [row] = other.get("flows")["flows"]
    assert [(one["status"], one["liveness"]) for one in row["outcomes"]] == [("running", "gone")]
    assert (row["running"], row["silent"], row["gone"]) == (0, 0, 0)
    shown = other.flow("checkout")
    assert [one["liveness"] for one in (*shown["flow"]["outcomes"], *shown["runs"])] == ["gone", "gone"]
    assert {(node["running"], node["gone"]) for node in shown["graph"]["nodes"]} == {(0, 0)}
    assert {(node["running"], node["gone"]) for node in other.run("run-1")["graph"]["nodes"]} == {(0, 0)}
    [run] = other.get("grid/checkout")["runs"]
    assert (run["liveness"], sorted(run["cells"])) == ("gone", ["e", "g", "s"])
    assert other.get("compare/run-1")["own"]["liveness"] == "gone"
    stored = other.store.runs.row(KEY)
    assert stored is not None
    assert other.client.get("/api/page/notices").json()["gone"] == []


def test_what_a_file_says_of_attempts_that_do_not_run_is_not_taken(page: Page, other: Page) -> None:
    fill(page)
    claims = [{"stepKey": step, "spanId": span, "liveness": "gone"} for step, span in (("cart", "c"), ("x", "y"))]
    send(other, changed(export(page).content, attempts=claims))
    steps = other.run("run-1")["run"]["steps"]
    assert [step["liveness"] for step in steps] == [None, None, "live"]
    imported = other.store.imports.get(KEY)
    assert imported is not None
    assert list(imported.attempts) == [("cart", "c")]
