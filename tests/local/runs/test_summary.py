"""The summary of a run says what its view says, in less space."""

from typing import Any

import msgspec
import pytest

from failpath_otel.local.runs.summary import MAX_SEARCH, AttemptSummary, RunSummary, summarise
from failpath_otel.local.runs.view import build_run_view
from failpath_otel.records.record import ErrorInfo, ProcessInfo, Record
from tests.local.events import event

_START = 1_700_000_000_000_000


def _summary(*records: Record) -> RunSummary:
    return summarise(build_run_view(records), records)


def test_a_summary_has_the_attempts_in_the_order_of_the_run_view() -> None:
    process = ProcessInfo(7, "host")
    first = msgspec.structs.replace(event("running", 1, span="a"), process=process)
    summary = _summary(
        event("success", 4, span="b", started=3),
        first,
        event("error", 2, span="a", started=1, error=ErrorInfo("Declined", "no\n money " * 40, "stack")),
        event("running", 5, step="ship", span="c"),
    )
    failed, retried, running = summary.attempts
    message = ("no money " * 40)[:200]
    assert failed == AttemptSummary(
        "pay",
        "error",
        _START + 1_000_000,
        _START + 2_000_000,
        1000.0,
        "Declined",
        message,
        "trace",
        "a",
        process,
        False,
    )
    assert (retried.step_key, retried.status, retried.newest) == ("pay", "success", True)
    assert (running.step_key, running.status, running.ended, running.newest) == ("ship", "running", None, True)
    assert (summary.flow_key, summary.run_id, summary.status) == ("checkout", "run-1", "running")
    assert (summary.started, summary.ended, summary.duration_ms) == (_START + 1_000_000, None, None)
    assert (summary.active_at, summary.steps, summary.failed) == (_START + 5_000_000, 2, 0)
    assert (summary.step_key, summary.message) == ("ship", None)


def test_a_run_that_ended_has_an_end_and_a_duration() -> None:
    summary = _summary(event("success", 3.5, started=1), event("skipped", 2, step="mail", span="b"))
    assert (summary.status, summary.started, summary.ended) == ("success", _START + 1_000_000, _START + 3_500_000)
    assert (summary.duration_ms, summary.step_key, summary.message) == (2500.0, None, None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ErrorInfo("Declined", "no money"), "Declined: no money"),
        (ErrorInfo("Declined", ""), "Declined"),
        (None, None),
    ],
)
def test_the_step_that_failed_last_is_named_with_its_error(error: ErrorInfo | None, message: str | None) -> None:
    summary = _summary(
        event("error", 2, step="pay", span="a", error=ErrorInfo("Earlier", "one")),
        event("error", 3, step="ship", span="b", error=error),
        event("error", 4, step="mail", span="c", error=ErrorInfo("Healed", "one")),
        event("success", 9, step="mail", span="d", started=8),
    )
    assert (summary.step_key, summary.message, summary.failed, summary.steps) == ("ship", message, 2, 3)


def test_the_filter_sees_keys_errors_and_metadata_in_any_case() -> None:
    nested: Any = {"list": ["Straße", {"deep": 12.5}], "flag": True, "nothing": None}
    search = _summary(
        event("error", 2, step="Charge-Card", run="Req_1", error=ErrorInfo("CardDeclined", "No\nMoney")),
        event("running", 1, step="Ship", span="b", run="Req_1", order="A-1", nested=nested),
    ).search
    assert search.split("\n") == [
        "req_1", "checkout", "ship", "charge-card", "carddeclined", "no money", "a-1", "strasse", "12.5"
    ]  # fmt: skip


def test_the_filter_sees_names_before_metadata_and_no_more_than_a_page_of_it() -> None:
    records = [event("running", n, step=f"s{n}", span=f"s{n}", big="x" * 3000 + str(n)) for n in range(5)]
    search = _summary(*records).search
    assert len(search) <= MAX_SEARCH
    assert search.split("\n")[:7] == ["run-1", "checkout", "s0", "s1", "s2", "s3", "s4"]


def test_metadata_that_is_nested_as_deep_as_json_allows_is_no_trouble() -> None:
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = [deep]
    assert "bottom" in _summary(event("running", 1, deep=deep)).search


def test_attempts_survive_their_way_into_the_store() -> None:
    attempts = _summary(event("error", 2, started=1, error=ErrorInfo("a", "b")), event("running", 1, step="c")).attempts
    assert msgspec.json.decode(msgspec.json.encode(attempts), type=list[AttemptSummary]) == attempts


def test_a_summary_counts_failed_attempts_and_those_that_another_followed() -> None:
    fail = ErrorInfo("Declined", "no")
    summary = _summary(
        event("error", 2, span="a", started=1, error=fail),
        event("error", 4, span="b", started=3, error=fail),
        event("success", 6, span="c", started=5),
        event("error", 8, step="mail", span="d", started=7, error=fail),
        event("success", 10, step="ship", span="e", started=9),
        event("success", 12, step="ship", span="f", started=11),
    )
    assert (summary.failed, summary.failed_attempts, summary.retries) == (1, 3, 2)


def test_the_parent_of_an_attempt_is_the_span_that_one_of_its_records_names() -> None:
    inner = msgspec.structs.replace(event("success", 3, step="card", span="b", started=2), parent_span_id="a")
    summary = _summary(event("running", 1), event("running", 2, step="card", span="b"), inner)
    assert [(attempt.step_key, attempt.parent) for attempt in summary.attempts] == [("pay", None), ("card", "a")]
