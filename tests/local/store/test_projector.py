"""The rows of the store say what its events say, however those came."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel.local.runs.summary import summarise
from failpath_otel.local.runs.times import parse_rfc3339
from failpath_otel.local.runs.view import build_run_view
from failpath_otel.local.store import projector as module
from failpath_otel.local.store.projector import Projector
from failpath_otel.local.store.run_row import RunKey
from failpath_otel.local.store.store import Store
from failpath_otel.records.record import Record
from tests.local.events import at, event
from tests.local.rows import RECEIVED, expected, opened, project, received_events, stored
from tests.receiver import wait_for

_seconds = st.integers(0, 6)


@st.composite
def _records(draw: st.DrawFn) -> Record:
    return event(
        draw(st.sampled_from(("running", "success", "error", "skipped"))),
        draw(_seconds),
        step=draw(st.sampled_from(("pay", "ship"))),
        span=draw(st.sampled_from("abc")),
        started=draw(st.none() | _seconds),
        run=draw(st.sampled_from(("r1", "r2"))),
        flow=draw(st.sampled_from(("checkout", "refund"))),
        note=draw(st.sampled_from("xyz")),
    )


@settings(max_examples=settings().max_examples * 2 // 5, deadline=None)
@given(records=st.lists(_records(), min_size=1, max_size=16), data=st.data())
def test_rows_are_those_of_all_events_at_once_whatever_the_order_the_batches_and_the_restarts(
    records: list[Record], data: st.DataObject
) -> None:
    arriving = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records), max_size=6))]))
    revision = 0
    with TemporaryDirectory() as directory:
        store = Store(Path(directory, "db"))
        try:
            while arriving:
                size = data.draw(st.integers(1, len(arriving)))
                store.add(received_events(*arriving[:size]), RECEIVED)
                arriving = arriving[size:]
                after = data.draw(st.sampled_from(("nothing", "project", "reopen", "stale")))
                if after == "project":
                    project(store)
                elif after == "reopen":
                    store.close()
                    store = Store(Path(directory, "db"))
                elif after == "stale" and arriving:
                    # Another projector works on a run from the events before the next ones.
                    old = [(d, summarise(build_run_view(e := store.events(d.run)), e)) for d in store.dirty(10)]
                    store.add(received_events(arriving[0]), RECEIVED)
                    if data.draw(st.booleans()):
                        project(store)
                    store.save_summaries(old)
                assert store.runs.revision() >= revision
                revision = store.runs.revision()
            project(store)
            rows = store.runs.rows(100)
            assert {row.key for row in rows} == {RunKey(record.flow_key, record.run_id) for record in records}
            for row in rows:
                assert row == expected(row.key, records, row.revision)
            assert rows == sorted(rows, key=lambda row: (-row.active_at, row.flow_key, row.run_id))
            assert len({row.revision for row in rows}) == len(rows)
            assert max(row.revision for row in rows) <= store.runs.revision()
        finally:
            store.close()


def _started(store: Store, on_change: Callable[[int], None] | None = None) -> Projector:
    projector = Projector(store, on_change)
    projector.start()
    return projector


def test_who_listens_hears_the_revision_after_which_the_row_is_there(tmp_path: Path) -> None:
    reported: list[tuple[int, list[str]]] = []
    with opened(tmp_path / "db") as store:
        projector = _started(
            store, lambda revision: reported.append((revision, [r.status for r in store.runs.rows(5)]))
        )
        store.add(received_events(event("running", 1)), RECEIVED)
        wait_for(lambda: reported == [(1, ["running"])])
        store.add(received_events(event("success", 2)), RECEIVED)
        wait_for(lambda: reported[1:] == [(2, ["success"])])
        store.bump_revisions([RunKey("checkout", "run-1")])
        wait_for(lambda: reported[2:] == [(3, ["success"])])
        projector.close()


def test_what_another_thread_has_caught_up_with_is_notified_as_well(tmp_path: Path) -> None:
    reported: list[int] = []
    with opened(tmp_path / "db") as store:
        projector = Projector(store, reported.append)
        store.add(received_events(event("running", 1)), RECEIVED)
        projector.catch_up()
        assert [row.status for row in store.runs.rows(5)] == ["running"]
        projector.start()
        wait_for(lambda: reported == [1])
        projector.close()


def test_an_event_that_is_there_already_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        record = event("running", 1)
        stored(store, record)
        store.add(received_events(record), RECEIVED)
        assert store.dirty(1) == []
        store.add(received_events(record, event("running", 1, run="other")), RECEIVED)
        assert [dirty.run.run_id for dirty in store.dirty(5)] == ["other"]


def test_runs_that_were_waiting_at_the_end_get_their_rows_at_the_next_start(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        store.add(received_events(event("running", 1)), RECEIVED)
    with opened(tmp_path / "db") as store:
        projector = _started(store)
        wait_for(lambda: store.runs.count() == 1)
        projector.close()


def test_other_runs_do_not_wait_for_the_view_of_a_huge_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painting, go_on = threading.Event(), threading.Event()

    def slow(events: Any) -> Any:
        painting.set()
        assert go_on.wait(10)
        return build_run_view(events)

    monkeypatch.setattr(module, "build_run_view", slow)
    with opened(tmp_path / "db") as store:
        projector = _started(store)
        store.add(received_events(event("running", 1)), RECEIVED)
        assert painting.wait(10)
        assert store.add(received_events(event("running", 1, run="other")), RECEIVED) == 1
        assert store.runs.rows(5) == []
        assert store.find("other") == RunKey("checkout", "other")
        go_on.set()
        wait_for(lambda: store.runs.count() == 2)
        projector.close()


def test_a_huge_run_rests_while_others_go_on_and_gets_its_row_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.001)
    with opened(tmp_path / "db") as store:
        huge = [event("running", number, span=f"s{number}", run="huge") for number in range(5_000)]
        projector = Projector(store)
        store.add(received_events(*huge), RECEIVED)
        projector.catch_up()
        assert store.dirty(1) == []
        store.add(received_events(event("success", 6_000, run="huge"), event("success", 1, run="small")), RECEIVED)
        projector.catch_up()
        assert [dirty.run.run_id for dirty in store.dirty(5)] == ["huge"]
        projector.start()
        wait_for(lambda: not store.dirty(1))
        assert {row.run_id: row.active_at for row in store.runs.rows(5)}["huge"] == 1_700_006_000_000_000
        projector.close()


def test_a_run_that_was_deleted_while_its_view_was_built_does_not_come_back(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        store.add(received_events(event("running", 1)), RECEIVED)
        (dirty,) = store.dirty(1)
        events = store.events(dirty.run)
        store.delete_flow("checkout")
        store.save_summaries([(dirty, summarise(build_run_view(events), events))])
        assert store.runs.rows(5) == []


def test_what_follows_from_older_events_neither_replaces_a_newer_row_nor_hides_what_waits(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        store.add(received_events(event("running", 1)), RECEIVED)
        (old,) = store.dirty(1)
        summary = summarise(build_run_view(events := store.events(old.run)), events)
        store.add(received_events(event("success", 2)), RECEIVED)
        store.save_summaries([(old, summary)])
        assert [row.status for row in store.runs.rows(5)] == ["running"]
        project(store)
        assert [row.status for row in store.runs.rows(5)] == ["success"]
        store.add(received_events(event("error", 3, step="ship", span="b")), RECEIVED)
        store.save_summaries([(old, summary)])
        assert [row.status for row in store.runs.rows(5)] == ["success"]
        project(store)
        assert [row.status for row in store.runs.rows(5)] == ["error"]


def test_a_run_whose_events_cannot_be_read_does_not_keep_the_others_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path / "db") as store:
        store.add(received_events(event("running", 0, run="good"), event("running", 0, run="bad", span="b")), RECEIVED)
        with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
            other.execute("UPDATE events SET payload = '{' WHERE run_id = 'bad'")
        Projector(store).catch_up()
        assert [row.run_id for row in store.runs.rows(9)] == ["good"]
        assert not store.dirty(1)
    assert "'bad'" in caplog.text


def test_neither_the_newest_nor_the_oldest_of_too_many_runs_waits_for_the_others(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        for number in range(300):
            store.add(received_events(event("running", 1, run=f"r{number}")), RECEIVED)
        chosen = [dirty.run.run_id for dirty in Projector(store)._waiting(huge=True)]
        assert {"r0", "r299"} <= set(chosen)
        assert len(chosen) == len(set(chosen)) == 128


def test_a_store_that_is_closed_first_does_not_keep_the_thread(tmp_path: Path) -> None:
    store = Store(tmp_path / "db")
    projector = _started(store)
    store.close()
    projector.close()
    assert projector._thread is not None
    assert not projector._thread.is_alive()


def test_what_cannot_be_projected_while_nothing_can_be_written_waits_and_does_not_block_reads(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "db") as store, closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        projector = Projector(store)
        store.add(received_events(event("running", 1, run="r1")), RECEIVED)
        projector.catch_up()
        store.add(received_events(event("running", 2, run="r2")), RECEIVED)
        other.execute("BEGIN IMMEDIATE")
        projector.catch_up()
        assert [row.run_id for row in store.runs.rows(9)] == ["r1"]
        other.execute("ROLLBACK")
        projector.catch_up()
        assert [row.run_id for row in store.runs.rows(9)] == ["r2", "r1"]


def test_a_run_of_a_sender_whose_clock_is_ahead_stands_in_the_list_by_when_it_was_heard_of(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as store:
        now = parse_rfc3339(at(100))
        store.add(received_events(event("running", 86_400, run="ahead")), now)
        store.add(received_events(event("running", 101, run="later", span="b")), now + 1_000_000)
        project(store)
        assert [(row.run_id, row.active_at) for row in store.runs.rows(9)] == [
            ("later", now + 1_000_000),
            ("ahead", now),
        ]
        assert store.event_log.clock_ahead_ms(RunKey("checkout", "ahead")) == 86_300_000.0
        assert store.event_log.clock_ahead_ms(RunKey("checkout", "later")) == 0
