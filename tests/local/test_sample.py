"""The sample is what real flows would have sent: valid, varied, in the past, and the same every time."""

import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from failpath_otel.local.liveness.liveness import Processes, run_liveness
from failpath_otel.local.runs.event import Event, decode_event
from failpath_otel.local.runs.summary import RunSummary, summarise
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import RunView, build_run_view
from failpath_otel.local.sample import CHECKOUT, FLOWS, IMPORT, sample_events
from failpath_otel.records.record import record_id

NOW = 1_790_000_000_000_000
HOST = socket.gethostname()
TWO_HOURS = 2 * 3600 * 1_000_000


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return [decode_event(text) for text in sample_events(NOW, HOST)]


@pytest.fixture(scope="module")
def by_run(events: list[Event]) -> dict[tuple[str, str], list[Event]]:
    runs: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        runs.setdefault((event.flow_key, event.run_id), []).append(event)
    return runs


@pytest.fixture(scope="module")
def runs(by_run: dict[tuple[str, str], list[Event]]) -> list[RunView]:
    return [build_run_view(of_run) for of_run in by_run.values()]


@pytest.fixture(scope="module")
def summaries(by_run: dict[tuple[str, str], list[Event]]) -> list[RunSummary]:
    return [summarise(build_run_view(of_run), of_run) for of_run in by_run.values()]


def test_it_is_the_same_every_time_and_another_at_another_time() -> None:
    assert sample_events(NOW, HOST) == sample_events(NOW, HOST)
    former = {decode_event(text).id for text in sample_events(NOW - 60_000_000, HOST)}
    assert former.isdisjoint(decode_event(text).id for text in sample_events(NOW, HOST))


def test_ids_are_made_as_everywhere_and_no_two_are_the_same(events: list[Event]) -> None:
    for event in events:
        assert event.id == record_id(event.trace_id, event.span_id, event.status, parse_rfc3339(event.timestamp) * 1000)
        assert (len(event.trace_id), len(event.span_id)) == (32, 16)
    assert len({event.id for event in events}) == len(events)


def test_it_lies_in_the_last_two_hours_in_the_order_of_time(events: list[Event]) -> None:
    times = [parse_rfc3339(event.timestamp) for event in events]
    assert times == sorted(times)
    assert NOW - TWO_HOURS <= times[0] < NOW - TWO_HOURS + 600_000_000
    assert NOW - 300_000_000 < times[-1] < NOW


def test_all_of_it_says_that_it_is_a_sample(events: list[Event]) -> None:
    assert {event.flow_key for event in events} == set(FLOWS) == {"sample-checkout", "sample-nightly-import"}
    assert all(event.metadata["sample"] is True and len(event.metadata) > 2 for event in events)


def test_there_are_some_runs_and_most_go_well(runs: list[RunView]) -> None:
    assert Counter((run.flow_key, run.status) for run in runs) == {
        (CHECKOUT, "success"): 100,
        (CHECKOUT, "error"): 19,
        (CHECKOUT, "running"): 1,
        (IMPORT, "success"): 10,
        (IMPORT, "error"): 1,
        (IMPORT, "running"): 1,
    }


def test_the_steps_are_those_of_a_shop_and_of_an_import(runs: list[RunView]) -> None:
    steps = {flow: {step.step_key for run in runs if run.flow_key == flow for step in run.steps} for flow in FLOWS}
    assert steps[CHECKOUT] == {
        *("validate-cart", "charge-card", "reserve-stock", "pack", "send-receipt-email"),
        *("pick-items", "choose-box"),
    }
    assert len(steps[IMPORT]) == 9
    seen = Counter(
        (step.step_key, step.status) for run in runs for step in run.steps if step.step_key == "send-receipt-email"
    )
    assert seen == {("send-receipt-email", "success"): 90, ("send-receipt-email", "skipped"): 10}


def test_some_steps_run_side_by_side_and_others_wait_for_them(runs: list[RunView]) -> None:
    for run in runs:
        started = {step.step_key: step.started_at for step in run.steps if step.started_at and step.attempt == 1}
        ended = {step.step_key: step.ended_at for step in run.steps if step.ended_at}
        if run.flow_key == CHECKOUT and "pack" in started:
            assert started["reserve-stock"] < ended["charge-card"]
            assert started["charge-card"] < ended["reserve-stock"]
            assert started["pack"] > max(ended["charge-card"], ended["reserve-stock"])
        if run.flow_key == IMPORT:
            downloads = [key for key in started if key.startswith("download-")]
            assert len(downloads) == 3
            assert max(started[key] for key in downloads) < min(ended[key] for key in downloads)
            assert started["merge-tables"] > max(ended[key] for key in downloads)


def test_a_step_that_failed_was_repeated_and_then_went_well(runs: list[RunView]) -> None:
    repeated = [
        [other.status for other in run.steps if other.step_key == step.step_key]
        for run in runs
        for step in run.steps
        if step.attempt == 2
    ]
    assert repeated == [["error", "success"]] * 11


def test_steps_inside_others_have_these_as_parents_and_end_before_them(runs: list[RunView]) -> None:
    nested = set()
    for run in runs:
        by_span = {step.span_id: step for step in run.steps}
        for step in run.steps:
            if step.parent_span_id is not None:
                parent = by_span[step.parent_span_id]
                nested.add((parent.step_key, step.step_key))
                assert parent.started_at
                assert step.started_at
                assert parent.started_at < step.started_at
                assert parent.ended_at is None or (step.ended_at or "") < parent.ended_at
    assert {parent for parent, _ in nested} == {"pack", "download"}
    assert len(nested) == 5


def test_since_half_an_hour_all_orders_of_one_customer_fail_and_no_others(runs: list[RunView]) -> None:
    failed = {
        run.run_id: (run.started_at or "", step.metadata["customer"])
        for run in runs
        for step in run.steps
        if step.error is not None and step.error.name == "NoCarrierError"
    }
    assert {customer for _, customer in failed.values()} == {"c-814"}
    since = parse_rfc3339(min(started for started, _ in failed.values()))
    assert 25 < (NOW - since) / 60_000_000 < 35
    later = [run for run in runs if run.flow_key == CHECKOUT and parse_rfc3339(run.started_at or "") >= since]
    of_it = {run.run_id for run in later if run.steps[0].metadata["customer"] == "c-814"}
    assert of_it == set(failed)
    assert len(of_it) < len(later) * 2 / 3


def test_errors_have_stacks_with_frames_of_the_application_and_of_libraries(events: list[Event]) -> None:
    errors = [event.error for event in events if event.error is not None]
    assert len({error.name for error in errors}) >= 4
    for error in errors:
        assert error.stack is not None
        first, *_, last = error.stack.splitlines()
        assert (first, last) == ("Traceback (most recent call last):", f"{error.name}: {error.message}")
        assert "/srv/" in error.stack
        assert not any(str(here) in error.stack for here in (Path.home(), Path(__file__).parents[2]))
    assert any("site-packages" in (error.stack or "") for error in errors)


@pytest.mark.skipif(os.name != "posix", reason="processes are looked at on POSIX alone")
def test_one_run_is_gone_and_one_is_silent(summaries: list[RunSummary]) -> None:
    is_gone = Processes().is_gone
    liveness = {
        summary.flow_key: run_liveness(summary.attempts, NOW, lambda _: 25_000, is_gone)
        for summary in summaries
        if summary.status == "running"
    }
    assert liveness == {CHECKOUT: "silent", IMPORT: "gone"}


def test_no_process_but_the_one_that_is_gone_is_of_this_host(events: list[Event]) -> None:
    hosts = Counter(event.process.host == HOST for event in events if event.process)
    of_the_gone = [event for event in events if event.process and event.process.host == HOST]
    assert hosts[False] > 500
    assert {event.flow_key for event in of_the_gone} == {IMPORT}
    assert len({event.run_id for event in of_the_gone}) == 1
