"""Logs by OTLP: they are taken within the limits of spans, and shown with the steps of their run."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess

from failpath_otel.local.logs import budget
from failpath_otel.local.store.database import StoreError
from failpath_otel.otlp.requests.intake import MAX_BODY_BYTES
from failpath_otel.records.record import Record
from tests.gateway.requests import JSON, PROTOBUF, json_request, json_span
from tests.gateway.test_bad_input import bomb
from tests.local.events import event
from tests.local.page import Page, opened_page
from tests.logs import SPAN, TRACE, log, log_request

KINDS: Final = pytest.mark.parametrize("kind", [PROTOBUF, JSON])


def step(status: Any, seconds: float, *, span: str = SPAN, parent: str | None = None, **fields: Any) -> Record:
    return replace(event(status, seconds, span=span, **fields), trace_id=TRACE, parent_span_id=parent)


def post(page: Page, body: bytes, kind: str = JSON, **headers: str) -> Any:
    named = {"Content-Type": kind, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return page.client.post("/v1/logs", content=body, headers=named)


def shown(page: Page, run: str = "run-1") -> list[tuple[str, str, str | None]]:
    """The body, the relation and the step of each log of a run."""
    lines = page.get(f"logs/{run}")["logs"]
    return [(line["body"], line["relation"], line["stepKey"]) for line in lines]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that refuses everything."""
    with opened_page(tmp_path_factory.mktemp("logs") / "page.db") as opened:
        yield opened


@KINDS
def test_logs_are_shown_with_their_step_whether_they_come_before_it_or_after(page: Page, kind: str) -> None:
    early = log("early", 2, attributes={"order": 7})
    assert post(page, gzip.compress(log_request(early, kind=kind)), kind, Content_Encoding="gzip").status_code == 200
    assert page.store.logs.count() == 0, "no run is known"
    page.add(step("running", 1))
    assert shown(page) == [("early", "span", "pay")]
    page.add(step("success", 4, duration_ms=3000))
    reply = post(page, log_request(log("late", 3, severity=17), log("between", 2.5, span="c" * 16), kind=kind), kind)
    assert (reply.status_code, reply.headers["content-type"]) == (200, kind)
    assert reply.content == (b"{}" if kind == JSON else b"")
    assert shown(page) == [("early", "span", "pay"), ("between", "during", "pay"), ("late", "span", "pay")]
    first, _, last = page.get("logs/run-1", flow="checkout")["logs"]
    assert (first["logger"], first["service"], first["severity"], first["details"]) == (
        "shop.pay",
        "shop",
        "info",
        True,
    )
    assert [line["eventsBefore"] for line in page.get("logs/run-1")["logs"]] == [1, 1, 1]
    assert (last["severity"], last["attempt"], last["details"], last["error"]) == ("error", 1, False, None)
    assert page.get(f"log/{first['id']}")["attributes"] == {"order": 7}


def test_new_logs_give_their_run_a_new_revision_so_that_the_page_hears_of_them(page: Page) -> None:
    page.add(step("running", 1))
    before = page.store.runs.revision()
    post(page, log_request(log()))
    assert [row.run_id for row in page.store.runs.changes(before, 10)] == ["run-1"]
    assert page.get("logs/run-1")["revision"] > before
    again = page.store.runs.revision()
    for _ in range(5):
        post(page, log_request(log()))
    assert page.store.runs.revision() == again, "it is announced once a second"
    page.receiver.logs.announce_now()
    assert page.store.runs.revision() == again + 1


def test_a_span_below_a_step_that_came_by_otlp_says_which_step_its_logs_are_of(page: Page) -> None:
    page.add(step("running", 1), step("running", 1.5, step="other", span="e" * 16))
    post(page, log_request(log("query", 2, span="c" * 16)))
    assert shown(page) == [("query", "run", None)], "two steps run"
    below = json_span(traceId=TRACE, spanId="c" * 16, parentSpanId=SPAN, attributes=[])
    page.client.post("/v1/traces", content=json_request(below), headers={"Content-Type": JSON})
    assert shown(page) == [("query", "below", "pay")]


def test_the_exception_of_a_log_and_a_long_body_are_in_its_details(page: Page) -> None:
    page.add(step("running", 1))
    stack = 'Traceback (most recent call last):\n  File "/app/shop.py", line 3, in pay\n    charge()\nValueError: no'
    exception = {"exception.type": "ValueError", "exception.message": "no", "exception.stacktrace": stack}
    post(page, log_request(log("x" * 3_000, attributes=exception)))
    [line] = page.get("logs/run-1")["logs"]
    assert (len(line["body"]), line["cut"], line["error"]) == (512, True, "ValueError")
    details = page.get(f"log/{line['id']}")
    assert (len(details["body"]), details["attributes"]) == (3_000, {})
    assert details["error"]["stack"] == stack
    assert [frame["application"] for frame in details["error"]["frames"]].count(True) >= 1


def test_a_run_without_logs_has_none_and_an_unknown_run_or_record_is_404(page: Page) -> None:
    page.add(step("running", 1))
    assert page.get("logs/run-1")["logs"] == []
    assert page.ask("logs/unknown").status_code == 404
    for number in ("7", "0", "x", "9" * 5_000):
        assert page.ask(f"log/{number}").status_code == 404


@KINDS
def test_a_partial_success_says_how_many_records_were_rejected_and_why(page: Page, kind: str) -> None:
    body = log_request(log() | {"spanId": "00"}, log(), log(trace=""), kind=kind)
    reply = post(page, body, kind)
    assert reply.status_code == 200
    if kind == JSON:
        partial = reply.json()["partialSuccess"]
        rejected, reason = int(partial["rejectedLogRecords"]), partial["errorMessage"]
    else:
        success = ExportLogsServiceResponse.FromString(reply.content).partial_success
        rejected, reason = success.rejected_log_records, success.error_message
    assert (rejected, reason) == (1, "log record 0: its span id has 1 bytes, not 8")
    metrics = page.client.get("/metrics").text
    for outcome, number in {"kept": 1, "ignored": 1, "rejected": 1, "dropped": 0}.items():
        assert f'failpath_log_records_total{{outcome="{outcome}"}} {number}.0' in metrics
    assert 'failpath_requests_total{code="200",protocol="http",signal="logs"} 1.0' in metrics


def test_a_flood_is_dropped_with_a_reason_and_counted(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.receiver.logs._budget, "_left", 250.0)
    monkeypatch.setattr(budget, "MAX_A_SECOND", 0)
    partial = post(page, log_request(*[log()] * 600)).json()["partialSuccess"]
    assert partial["rejectedLogRecords"] == "350"
    assert "log records a second" in partial["errorMessage"]
    assert 'failpath_log_records_total{outcome="dropped"} 350.0' in page.client.get("/metrics").text


REFUSED: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("garbage as protobuf", b"\xff\xfe garbage", {}, 400, "no ExportLogsServiceRequest"),
    ("JSON said to be protobuf", log_request(log()), {}, 400, "no ExportLogsServiceRequest"),
    ("no JSON", b"{", {"kind": JSON}, 400, "no ExportLogsServiceRequest"),
    ("JSON nested without end", b'{"resourceLogs":' + b"[" * 100_000, {"kind": JSON}, 400, ""),
    ("no Content-Type", b"", {"kind": ""}, 415, "application/x-protobuf"),
    ("an unknown coding", b"", {"Content_Encoding": "zstd"}, 415, "gzip"),
    ("gzip cut short", gzip.compress(log_request(log()))[:-9], {"Content_Encoding": "gzip"}, 400, "decompressed"),
    ("a body that is too large", bytes(MAX_BODY_BYTES + 1), {}, 413, "larger than"),
    ("a gzip bomb", bomb(1 << 26), {"Content_Encoding": "gzip"}, 413, "when it is decompressed"),
    ("too many records", b"\x0a\x00" * 100_001, {}, 413, "more than 100000 log records"),
    ("a page in a browser", b"", {"Origin": "http://127.0.0.1:4318"}, 403, ""),
]


@pytest.mark.parametrize(
    ("body", "headers", "code", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_refused_of_spans_is_refused_of_logs(
    shared: Page, body: bytes, headers: dict[str, str], code: int, reason: str
) -> None:
    kind = headers.get("kind", PROTOBUF)
    reply = post(shared, body, kind, **{name: text for name, text in headers.items() if name != "kind"})
    assert reply.status_code == code
    if kind == PROTOBUF and code != 403:
        assert reason in ExportTracePartialSuccess.FromString(reply.content).error_message
    else:
        assert reason in reply.text
    assert shared.client.get("/v1/logs").status_code == 405


def test_a_busy_database_is_503_and_nothing_is_lost(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.add(step("running", 1))
    post(page, log_request(log("first")))

    def busy(*_: object) -> None:
        raise StoreError("the database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(page.store.logs, "add", busy)
        reply = post(page, log_request(log("second", 2)))
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        post(page, log_request(log("waits", 3, trace="d" * 32)))
        page.add(replace(step("running", 3, run="run-2", span="f" * 16), trace_id="d" * 32))
        assert shown(page, "run-2") == []
    assert post(page, log_request(log("second", 2))).status_code == 200
    page.add(replace(step("success", 4, run="run-2", span="f" * 16), trace_id="d" * 32))
    assert shown(page) == [("first", "span", "pay"), ("second", "span", "pay")]
    assert shown(page, "run-2") == [("waits", "during", "pay")]


def test_the_logs_of_two_runs_in_one_trace_are_told_apart(page: Page) -> None:
    page.add(step("running", 1), step("running", 2, flow="stock", run="run-2", step="reserve", span="e" * 16))
    post(page, log_request(log("pays", 3), log("reserves", 3, span="e" * 16), log("either", 3, span="c" * 16)))
    assert shown(page) == [("pays", "span", "pay"), ("either", "run", None)]
    assert shown(page, "run-2") == [("reserves", "span", "reserve"), ("either", "run", None)]


def test_logs_are_there_after_a_restart(tmp_path: Path) -> None:
    with opened_page(tmp_path / "page.db") as page:
        page.add(step("running", 1))
        post(page, log_request(log("before")))
    with opened_page(tmp_path / "page.db") as page:
        post(page, log_request(log("after", 2)))
        assert [body for body, *_ in shown(page)] == ["before", "after"]
