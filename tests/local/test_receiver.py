"""The receiver as a whole: used from many threads, with a database that refuses, and at its end."""

import contextlib
import http.client
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from failpath_otel.local.flows.flows import Flows
from failpath_otel.local.receiver import ReceiverSettings
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.records.record import ProcessInfo
from tests.local.events import GONE_PROCESS, event, wire
from tests.local.page import Page, opened_page
from tests.local.rows import expected, received_events
from tests.receiver import Receiver, wait_for

_PATIENCE_SECONDS = 40


def in_threads(*works: Callable[[], None]) -> None:
    """Does all of it at once; fails the test for what one of them raises, and if one of them does not end."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads)


def test_many_threads_with_deletions_in_between_end_on_the_right_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = ProcessInfo(1, "another-host")
    with opened_page(tmp_path / "x.db", ReceiverSettings(days=1)) as page:
        page.receiver.start()

        def write(thread: int) -> None:
            chance = random.Random(thread)
            for number in range(60):
                run, flow = f"run-{chance.randrange(30)}", f"flow-{chance.randrange(3)}"
                record = event(
                    chance.choice(["running", "success", "error"]),
                    50 + number / 2,
                    step=f"s{number % 4}",
                    span=f"{thread}/{number}",
                    run=run,
                    flow=flow,
                )
                old = event("success", -200_000 + number, run=f"old-{thread}-{number}", flow=flow, span=f"old{number}")
                process = chance.choice([None, GONE_PROCESS, elsewhere])
                page.store.add(received_events(replace(record, process=process)), page.now())
                page.store.add(received_events(old), page.now() - 200_000_000_000)

        def read(thread: int) -> None:
            chance = random.Random(thread)
            for _ in range(25):
                for flow in page.get("flows")["flows"]:
                    assert page.ask(f"flow/{flow['flowKey']}").status_code in {200, 404}
                for row in chance.sample(runs := page.get("runs")["runs"], min(3, len(runs))):
                    assert (row["liveness"] is None) == (row["status"] != "running")
                    assert page.ask(f"run/{row['runId']}", flow=row["flowKey"]).status_code in {200, 404}
                assert page.client.get("/api/runs").status_code == 200

        def delete() -> None:
            for number in range(20):
                page.receiver.runs_deleted(page.store.delete_flow(f"flow-{number % 3}"))
                page.receiver.runs_deleted(page.receiver.pruner.prune())

        def look() -> None:
            for _ in range(40):
                page.receiver.monitor.check()
                page.receiver.monitor.current()
                page.receiver.flows.p95_ms("flow-1", "s1")
                page.receiver.flows.clear_cache()

        in_threads(*[lambda t=thread: write(t) for thread in range(3)], lambda: read(7), lambda: read(8), delete, look)
        page.receiver.runs_deleted(page.receiver.pruner.prune())
        wait_for(lambda: not page.store.dirty(1))
        rows = page.store.runs.rows(1000)
        with contextlib.closing(sqlite3.connect(page.path)) as connection:
            keys = connection.execute("SELECT DISTINCT flow_key, run_id FROM events").fetchall()
        assert sorted(row.key for row in rows) == sorted(RunKey(*key) for key in keys)
        for row in rows:
            assert row == expected(row.key, page.store.events(row.key), row.revision)
        for flow_key in page.receiver.flows.known():
            assert page.receiver.flows.details(flow_key) == Flows(page.store, None).details(flow_key)
        with_liveness = {row.key for row in rows if row.status == "running"}
        assert set(page.receiver.monitor.current()) == with_liveness
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_change_of_liveness_reaches_those_who_follow_the_changes(page: Page) -> None:
    page.seconds = 10
    page.add(event("running", 9))
    assert page.receiver.monitor.check() == []
    before = page.store.runs.revision()
    page.seconds = 60
    assert page.receiver.monitor.check() == [RunKey("checkout", "run-1")]
    (row,) = page.store.runs.changes(before, 10)
    assert page.get("runs")["runs"] == [page.run("run-1")["row"]]
    assert (row.status, page.get("runs")["runs"][0]["liveness"]) == ("running", "silent")
    # A touched run is no other run: the flow's numbers stay.
    assert page.flow("checkout")["flow"]["silent"] == 1


def test_what_is_deleted_is_said_to_those_who_listen(page: Page) -> None:
    page.add(event("success", 1))
    resets = page.receiver.changes.resets
    page.client.post("/api/page/sample")
    page.client.delete("/api/page/sample")
    assert page.receiver.changes.resets > resets


def test_a_receiver_that_was_never_started_can_be_closed(page: Page) -> None:
    page.receiver.close()
    page.receiver.close()
    assert page.receiver.changes.closed


@pytest.mark.parametrize("path", ["status", "flows", "runs", "flow/checkout", "run/run-1", "stream"])
def test_a_database_that_refuses_is_reported_in_one_line(
    page: Page, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    page.add(event("success", 1))
    page.store.close()
    answer = page.ask(path)
    assert answer.status_code == 503
    assert answer.json() == {"error": f"{page.path} is closed"}
    assert [record.getMessage() for record in caplog.records if record.name.startswith("failpath")] == [
        f"{page.path} is closed (not logged again for 60 s)"
    ]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_sample_that_cannot_be_stored_is_reported_too(page: Page, method: str) -> None:
    page.store.close()
    answer = page.client.request(method, "/api/page/sample")
    assert (answer.status_code, answer.json()) == (503, {"error": f"{page.path} is closed"})


def test_while_another_process_writes_the_page_is_served_and_then_gets_what_came(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.post(wire(event("success", 1)))
    assert receiver.request("/api/page/runs").json()["runs"]
    blocker = sqlite3.connect(tmp_path / "local.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    stream = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    try:
        stream.request("GET", "/api/page/stream")
        response = stream.getresponse()
        wait_for(lambda: response.readline() == b"event: hello\n")
        for path in ("status", "flows", "runs", "flow/checkout", "run/run-1"):
            assert receiver.request(f"/api/page/{path}").status == 200, path
        refused = receiver.post(wire(event("success", 2, run="run-2", span="b")))
        assert (refused.status, list(refused.json())) == (503, ["error"])
        assert receiver.request("/api/page/sample", method="POST").status == 503
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert receiver.post(wire(event("success", 2, run="run-2", span="b"))).status == 202
    wait_for(lambda: b'"runId":"run-2"' in response.readline())
    stream.close()
    assert [row["runId"] for row in receiver.request("/api/page/runs").json()["runs"]] == ["run-2", "run-1"]


def test_what_waits_for_its_row_while_another_process_writes_is_no_reason_to_refuse(page: Page) -> None:
    page.add(event("running", 99))
    page.store.add(received_events(event("success", 100, started=99)), page.now())
    blocker = sqlite3.connect(page.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        assert page.run("run-1")["run"]["status"] == "success"
        assert page.get("runs")["runs"][0]["status"] == "running"
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert page.get("runs")["runs"][0]["status"] == "success"
