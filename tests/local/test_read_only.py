"""A read-only receiver shows a store that another one writes, and changes nothing."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.follower import Follower
from failpath_otel.local.store.store import Store
from tests.local.events import event, wire
from tests.local.page import Page, opened_page
from tests.receiver import wait_for


@pytest.fixture
def reading(page: Page) -> Iterator[Page]:
    """A read-only receiver of the same store."""
    with closing(Store(page.path, read_only=True)) as store:
        opened = Page(page.path, store)
        try:
            yield opened
        finally:
            opened.receiver.close()


def test_it_shows_what_another_receiver_stores_as_it_happens(
    page: Page, reading: Page, caplog: pytest.LogCaptureFixture
) -> None:
    page.add(event("running", 1))
    assert reading.ids() == ["run-1"]
    assert reading.get("status")["readOnly"] is True
    assert page.get("status")["readOnly"] is False
    seen: list[int] = []
    with closing(Follower(reading.store, seen.append, lambda: None)) as follower:
        follower.start()
        page.add(event("success", 2))
        wait_for(lambda: seen == [page.store.runs.revision()])
    assert reading.run("run-1")["run"]["status"] == "success"
    reading.receiver.start()
    resets = reading.receiver.changes.resets
    page.receiver.delete()
    wait_for(lambda: reading.receiver.changes.resets > resets)
    assert reading.ids() == []
    reading.receiver.runs_deleted()
    assert caplog.messages == []  # It has not tried to delete their logs too.


def test_a_sender_keeps_its_events_and_nothing_is_changed(page: Page, reading: Page) -> None:
    page.add(event("success", 1))
    before = page.path.read_bytes()
    headers = {"authorization": "Bearer k", "content-type": "application/json"}
    answer = reading.client.post("/v1/events", json={"events": [wire(event("success", 2))]}, headers=headers)
    # Of the wire contract: about the way to the receiver; kept, and tried again.
    assert answer.status_code == 405
    assert answer.json() == {"error": "this receiver is read-only and takes no events; keep them for another one"}
    for method, path in (("DELETE", "runs"), ("PUT", "pin/run-1"), ("POST", "sample"), ("DELETE", "sample")):
        answer = reading.client.request(method, f"/api/page/{path}")
        assert (answer.status_code, answer.json()["error"]) == (
            403,
            "this receiver is read-only: nothing can be changed here",
        )
    assert reading.client.post("/api/import", content=b"{}").status_code == 403
    assert reading.client.get("/api/export/run-1").status_code == 200
    assert reading.client.get("/readyz").json()["reason"] == f"{page.path} is open for reading only"
    assert reading.receiver.monitor.check() == []
    with pytest.raises(StoreError, match="is open for reading only"):
        reading.store.bump_revisions([])
    assert page.path.read_bytes() == before
    assert page.ids() == ["run-1"]


def test_a_file_that_has_no_place_for_shared_memory_is_read_as_one_that_does_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db"
    with opened_page(path) as page:
        page.add(event("success", 1))
    asked: list[str] = []
    connect = sqlite3.connect

    def refusing(address: str, **options: object) -> sqlite3.Connection:
        asked.append(address)
        if "immutable" not in address:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(address, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", refusing)
    with closing(Store(path, read_only=True)) as store:
        assert [row.run_id for row in store.runs.rows(10)] == ["run-1"]
    assert asked == [f"file://{path}?mode=ro", f"file://{path}?mode=ro&immutable=1"]
    Path(f"{path}-wal").write_bytes(b"x")
    with pytest.raises(StoreError, match="the newest runs are in db-wal beside it"):
        Store(path, read_only=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with opened_page(folder / "db") as page:
        page.add(event("success", 1))
    (folder / "db").chmod(0o400)
    folder.chmod(0o500)
    try:
        with closing(Store(folder / "db", read_only=True)) as store:
            assert store.runs.count() == 1
        assert [path.name for path in folder.iterdir()] == ["db"]
    finally:
        folder.chmod(0o700)


def test_what_is_no_store_of_this_version_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file to read"):
        Store(tmp_path / "none", read_only=True)
    other = tmp_path / "other"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(StoreError, match="is no database of this program"):
        Store(other, read_only=True)
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("PRAGMA application_id = 1179668308; PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="open it once without --read-only"):
        Store(other, read_only=True)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="upgrade failpath-otel"):
        Store(other, read_only=True)
